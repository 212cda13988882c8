package dispatcher_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// health asks with a query.
func (h *house) health(query string) reply {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.door.URL+"/healthz"+query, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send(req)
}

func TestHealthIsPlainOrDeep(t *testing.T) {
	h := open(t)
	if got := h.health(""); got.status != http.StatusOK || h.calls.Load() != 0 {
		t.Errorf("plain: %d %s, %d calls to Fly", got.status, got.text, h.calls.Load())
	}
	if got := h.health("?deep"); got.status != http.StatusOK || !strings.Contains(got.text, `"redis":"ok"`) || !strings.Contains(got.text, `"fly":"ok"`) {
		t.Errorf("deep: %d %s", got.status, got.text)
	}
}

func TestDeepHealthNamesWhatIsDown(t *testing.T) {
	h := open(t)
	h.sim(http.MethodPut, "/_sim/faults", `[{"match":{"path":"/v1/apps/runners"},"do":{"status":500,"repeat":-1}}]`)
	if got := h.health("?deep"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.text, `"fly":"down"`) {
		t.Errorf("deep without Fly: %d %s", got.status, got.text)
	}
}

// Broken when: whoever asks for the deep answer spends calls of Fly's and commands of Redis's.
func TestStrangersCannotSpendFlysCalls(t *testing.T) {
	h := open(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := h.health("?deep"); got.status != http.StatusOK {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
	wg.Wait()
	if n := h.calls.Load(); n != 1 {
		t.Errorf("%d calls to Fly, want 1", n)
	}
}
