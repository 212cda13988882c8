package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

const oneMachine = `{"config":{"image":"nginx"},"region":"ams"}`

func TestFaultsHappen(t *testing.T) {
	for name, tc := range map[string]struct {
		faults   string
		statuses []int // of creates, one after the other; 0: the connection broke
		machines int
	}{
		"503 before":      {`[{"match":{"method":"POST","path":"*/machines"},"do":{"status":503}}]`, []int{503, 200}, 1},
		"503 after":       {`[{"match":{"method":"POST","path":"*/machines"},"do":{"status":503,"after":true}}]`, []int{503, 200}, 2},
		"drop before":     {`[{"match":{"path":"*/machines"},"do":{"drop":"before"}}]`, []int{0, 200}, 1},
		"drop after":      {`[{"match":{"path":"*/machines"},"do":{"drop":"after"}}]`, []int{0, 200}, 2},
		"second only":     {`[{"match":{"path":"*/machines","nth":2},"do":{"status":500}}]`, []int{200, 500, 200}, 2},
		"repeated":        {`[{"match":{"path":"*/machines"},"do":{"status":429,"repeat":2}}]`, []int{429, 429, 200}, 1},
		"always":          {`[{"match":{"path":"*/machines"},"do":{"status":504,"repeat":-1}}]`, []int{504, 504, 504}, 0},
		"certain":         {`[{"match":{"path":"*","probability":1},"do":{"status":500}}]`, []int{500, 500}, 0},
		"other method":    {`[{"match":{"method":"GET"},"do":{"status":500}}]`, []int{200}, 1},
		"first that hits": {`[{"match":{"path":"/x"},"do":{"status":500}},{"match":{},"do":{"status":408}}]`, []int{408, 200}, 1},
		"by its body":     {`[{"match":{"body":"\"region\":\"ams\""},"do":{"status":500}}]`, []int{500, 200}, 1},
		"another body":    {`[{"match":{"body":"\"region\":\"fra\""},"do":{"status":500}}]`, []int{200}, 1},
		"none":            {`[]`, []int{200}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := start(t, flysim.Options{})
			newApp(t, url, "faulty")
			control(t, http.MethodPut, url+"/_sim/faults", tc.faults)
			for i, want := range tc.statuses {
				if got, body := raw(t, http.MethodPost, url+"/v1/apps/faulty/machines", oneMachine); got != want {
					t.Errorf("request %d: got %d %s, want %d", i, got, body, want)
				}
			}
			if got := len(s.State().Apps[0].Machines); got != tc.machines {
				t.Errorf("got %d machines, want %d", got, tc.machines)
			}
		})
	}
}

func TestFaultSaysWhatItIsTold(t *testing.T) {
	_, url := start(t, flysim.Options{})
	newApp(t, url, "faulty")
	for body, want := range map[string]string{
		`{"error":"insufficient","status":"insufficient_capacity"}`: `{"error":"insufficient","status":"insufficient_capacity"}`,
		`"<html>bad gateway"`: "<html>bad gateway",
		`null`:                "null",
	} {
		control(t, http.MethodPut, url+"/_sim/faults", `[{"match":{},"do":{"status":412,"body":`+body+`}}]`)
		if _, got := unchecked(t, http.MethodGet, url+"/v1/apps/faulty"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFaultDelays(t *testing.T) {
	_, url := start(t, flysim.Options{})
	newApp(t, url, "slow")
	control(t, http.MethodPut, url+"/_sim/faults", `[{"match":{"path":"/v1/apps/slow"},"do":{"delay_ms":120}}]`)
	before := time.Now()
	raw(t, http.MethodGet, url+"/v1/apps/slow", "")
	if took := time.Since(before); took < 120*time.Millisecond {
		t.Errorf("took %s", took)
	}
}

// TestRetriedCreateMakesTwoMachines shows the trap that shared/fly has to close: fly-go repeats a
// POST that was answered 503 although it had been done.
func TestRetriedCreateMakesTwoMachines(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "twice")
	need(t, s.SetFaults(flysim.Fault{
		Match: flysim.Match{Method: "POST", Path: "*/machines"}, Do: flysim.Effect{Status: 503, After: true},
	}))
	launch(t, c, "twice", flygo.LaunchMachineInput{Config: config("nginx")})
	if got := len(s.State().Apps[0].Machines); got != 2 {
		t.Errorf("got %d machines, want 2", got)
	}
}

func TestBadFaultsAreRefused(t *testing.T) {
	_, url := start(t, flysim.Options{})
	for _, list := range []string{
		`{}`, `[{}]`, `[{"do":{"status":99}}]`, `[{"do":{"drop":"never"}}]`, `[{"do":{"status":500,"drop":"after"}}]`, `[{"do":{"body":{}}}]`, `[{"do":{"delay_ms":-1}}]`,
		`[{"match":{"probability":2},"do":{"status":500}}]`, `[{"match":{"nth":-1},"do":{"status":500}}]`, `[{"do":{"status":500,"repeat":-2}}]`, `[{"do":{"state":500}}]`, `[] []`, `[`,
	} {
		if status, body := raw(t, http.MethodPut, url+"/_sim/faults", list); status != http.StatusBadRequest || !strings.Contains(body, "fault") {
			t.Errorf("%s: %d %s", list, status, body)
		}
	}
}

func TestListsLag(t *testing.T) {
	s, url := start(t, flysim.Options{Lag: flysim.Lag{List: 10 * time.Second, Create: 3 * time.Second}})
	s.Freeze()
	c := newApp(t, url, "lag")
	m := launch(t, c, "lag", flygo.LaunchMachineInput{Config: config("nginx")})
	_, err := c.Get(t.Context(), "lag", m.ID)
	wantStatus(t, err, 404, "machine not found")
	s.Advance(4 * time.Second)
	if got := get(t, c, "lag", m.ID); got.State != "started" {
		t.Errorf("a read after a moment: %s", got.State)
	}
	listed := func() string {
		list, err := c.List(t.Context(), "lag", "")
		need(t, err)
		var states []string
		for _, m := range list {
			states = append(states, m.State)
		}
		return strings.Join(states, ",")
	}
	if got := listed(); got != "" {
		t.Errorf("listed too early: %s", got)
	}
	s.Advance(7 * time.Second)
	if got := listed(); got != "started" {
		t.Errorf("got %q, want started", got)
	}
	need(t, c.Destroy(t.Context(), "lag", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, ""))
	s.Advance(time.Second)
	if got := listed(); got != "started" {
		t.Errorf("got %q, want the machine as it was", got)
	}
	s.Advance(10 * time.Second)
	if got := listed(); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestRateLimits(t *testing.T) {
	s, url := start(t, flysim.Options{RateLimits: true})
	s.Freeze()
	newApp(t, url, "limits")
	create := func() int {
		status, _ := raw(t, http.MethodPost, url+"/v1/apps/limits/machines", oneMachine)
		return status
	}
	for i, want := range []int{200, 200, 200, 429, 429} {
		if got := create(); got != want {
			t.Errorf("create %d: got %d, want %d", i, got, want)
		}
	}
	s.Advance(time.Second)
	if got := create(); got != 200 {
		t.Errorf("a second later: %d", got)
	}
	id := s.State().Apps[0].Machines[0].ID
	for i := range 11 {
		want := 200
		if i == 10 {
			want = 429
		}
		if got, _ := raw(t, http.MethodGet, url+"/v1/apps/limits/machines/"+id, ""); got != want {
			t.Errorf("read %d: got %d, want %d", i, got, want)
		}
	}
}
