package flysim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// raw sends a request as a person with curl would, and holds the answer against the document.
// Requests need not fit it: refusals are what many tests are about. Status 0 is a broken connection.
func raw(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	return send(t, asked{method, url, body, headers, true})
}

// unchecked is raw for answers that no API would give.
func unchecked(t *testing.T, method, url string) (int, string) {
	t.Helper()
	return send(t, asked{method, url, "", nil, false})
}

type asked struct {
	method, url, body string
	headers           []string
	check             bool
}

func send(t *testing.T, a asked) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), a.method, a.url, strings.NewReader(a.body))
	need(t, err)
	for i := 0; i+1 < len(a.headers); i += 2 {
		r.Header.Set(a.headers[i], a.headers[i+1])
	}
	input, _ := checkRequest(r) // it need not fit
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	text, err := io.ReadAll(resp.Body)
	need(t, err)
	need(t, resp.Body.Close())
	if a.check && input != nil {
		if err := checkAnswer(input, resp, text); err != nil {
			t.Errorf("answer to %s %s does not fit the document: %v\n%s", a.method, a.url, err, text)
		}
	}
	return resp.StatusCode, string(text)
}

// control uses one of the simulator's own endpoints.
func control(t *testing.T, method, url, body string) {
	t.Helper()
	if status, text := raw(t, method, url, body); status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, url, status, text)
	}
}

// machineIn finds a machine in the state, by id or name.
func machineIn(t *testing.T, s *flysim.Server, id string) flysim.MachineState {
	t.Helper()
	for _, a := range s.State().Apps {
		for _, m := range a.Machines {
			if m.ID == id || m.Name == id {
				return m
			}
		}
	}
	t.Fatalf("no machine %s in the state", id)
	return flysim.MachineState{}
}

func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	need(t, json.Unmarshal(text, &v))
	return v
}
