package dispatcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

func TestWedgedFlyDoesNotHoldTheAnswer(t *testing.T) {
	for name, do := range map[string]string{
		"Fly never answers":   `{"delay_ms":60000,"repeat":-1}`,
		"Fly cuts everything": `{"drop":"before","repeat":-1}`,
		"Fly is over":         `{"status":503,"repeat":-1}`,
		"Fly limits the rate": `{"status":429,"repeat":-1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, roots(t, hello))
			h.apps("a", "b", "c", "d", "e")
			h.faults(http.MethodPost, do)
			got := h.push("guid", payload(t, "push.branch.json"))
			if got.status != http.StatusAccepted || len(got.Jobs) != 6 {
				t.Errorf("got %d %s", got.status, got.text)
			}
			if got.took > 5*time.Second {
				t.Errorf("answered after %v", got.took)
			}
			for _, j := range got.Jobs {
				if r := h.job(j.ID); r.Over() {
					t.Errorf("job %s is %s", j.ID, r.State)
				}
			}
		})
	}
}

func TestWhatMadeNothingSpendsNoAttempt(t *testing.T) {
	h := open(t, roots(t, hello))
	h.faults(http.MethodPost, `{"status":422,"body":{"error":"no such image"},"repeat":-1}`)
	got := h.push("guid", payload(t, "push.branch.json"))
	r := h.job(got.Jobs[0].ID)
	if got.status != http.StatusAccepted || r.Active() || r.Over() || r.Attempt != 0 {
		t.Errorf("got %d, job %+v", got.status, r)
	}
}

func TestWhatMayHaveMadeAMachineWaitsForItsClaim(t *testing.T) {
	h := open(t, roots(t, hello))
	// The machine is made, and every answer about it is lost.
	h.sim(http.MethodPut, "/_sim/faults", `[{"match":{"method":"POST","path":"`+listOf+`"},"do":{"drop":"after","repeat":-1}},
		{"match":{"method":"GET","path":"`+listOf+`","nth":2},"do":{"status":500,"repeat":-1}}]`)
	got := h.push("guid", payload(t, "push.branch.json"))
	r := h.job(got.Jobs[0].ID)
	if r.State != queue.Launching || r.Attempt != 1 {
		t.Fatalf("job %+v", r)
	}
	h.finish(r)
}

func TestRunnersStayWithinTheLimit(t *testing.T) {
	h := open(t, func(h *house) { h.d.MaxRunners = 3 })
	h.apps("a", "b", "c", "d", "e")
	got := h.push("guid", payload(t, "push.branch.json"))
	if len(got.Jobs) != 5 {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	if n := len(h.machines()); n != 3 {
		t.Errorf("%d machines, want 3", n)
	}
	h.finish(h.active()[0])
	h.next()
	if n := len(h.machines()); n != 4 {
		t.Errorf("%d machines after one job ended, want a fourth", n)
	}
}

// TestLaunchesRunSideBySide holds that one slow machine does not delay the others, and that no more
// are made at once than Parallel says.
func TestLaunchesRunSideBySide(t *testing.T) {
	var now, most atomic.Int64
	h := open(t, func(h *house) {
		h.d.Parallel = 2
		h.d.Runners = counted{h.d.Runners, func() {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
		}, func() { now.Add(-1) }}
	})
	h.apps("a", "b", "c", "d", "e")
	h.faults(http.MethodPost, `{"delay_ms":200,"repeat":-1}`)
	h.push("guid", payload(t, "push.branch.json"))
	if n := len(h.machines()); n != 5 || most.Load() != 2 {
		t.Errorf("%d machines, %d at once, want 5 and 2", n, most.Load())
	}
}

// counted tells when a launch begins and ends.
type counted struct {
	dispatcher.Runners
	begin, end func()
}

func (c counted) Launch(ctx context.Context, r launch.Runner) (launch.Machine, error) {
	c.begin()
	defer c.end()
	return c.Runners.Launch(ctx, r)
}

// TestManyWebhooksShareAPass holds that a burst costs few due passes, and that all is launched.
func TestManyWebhooksShareAPass(t *testing.T) {
	const pushes = 60
	count := counting(t, queuetest.Redis(t))
	h := open(t, at("redis://"+count.addr), func(h *house) { h.d.MaxRunners = 1000 })
	sources := map[string]string{}
	for i := range pushes {
		sources[fmt.Sprintf("app-%d", i)] = fmt.Sprintf("https://github.com/me/app-%d", i)
	}
	h.catalog(sources)
	h.push("warm", payload(t, "push.branch.json"))
	before := count.commands.Load()
	var wg sync.WaitGroup
	for i := range pushes {
		wg.Go(func() {
			body := strings.ReplaceAll(string(payload(t, "push.branch.json")), "Codertocat/Hello-World.git", fmt.Sprintf("me/app-%d.git", i))
			if got := h.push(fmt.Sprintf("guid-%d", i), []byte(body)); got.status != http.StatusAccepted {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
	wg.Wait()
	if n := len(h.machines()); n != pushes {
		t.Errorf("%d machines, want one per push", n)
	}
	// Two for each push, one take for each job, and what the passes cost.
	if n := count.commands.Load() - before; n > 3*pushes+2*pushes {
		t.Errorf("%d commands for %d pushes", n, pushes)
	}
}

func TestDuePassLetsLaunchesLapse(t *testing.T) {
	h := open(t, roots(t, hello))
	h.q.Times.Start = time.Millisecond
	h.q.Times.Backoff = time.Millisecond
	got := h.push("guid", payload(t, "push.branch.json"))
	deadline := time.Now().Add(10 * time.Second)
	for h.job(got.Jobs[0].ID).Attempt < 2 {
		if time.Now().After(deadline) {
			t.Fatalf("still at the first attempt: %+v", h.job(got.Jobs[0].ID))
		}
		if _, err := h.d.Due(within(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNextIsForWhoHasTheToken(t *testing.T) {
	h := open(t)
	for _, header := range []string{"", "Bearer", "Bearer x", "Basic " + nextToken, nextToken} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.door.URL+"/next", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		if got := h.send(req); got.status != http.StatusUnauthorized {
			t.Errorf("%q: %d %s", header, got.status, got.text)
		}
	}
	if got := h.next(); got.status != http.StatusOK || !strings.Contains(got.text, `"launched":0`) {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

func TestWithoutANextTokenNobodyIsLetIn(t *testing.T) {
	h := open(t, func(h *house) { h.d.NextToken = "" })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.door.URL+"/next", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer ")
	if got := h.send(req); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// TestNextWaitsForWhatBecomesDue holds the way that a retry starts while nobody else is awake.
func TestNextWaitsForWhatBecomesDue(t *testing.T) {
	h := open(t, roots(t, hello))
	got := h.push("guid", payload(t, "push.branch.json"))
	r := h.job(got.Jobs[0].ID)
	c, err := h.q.Claim(t.Context(), r.Job.ID, r.Attempt, "machine")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.q.GiveBack(t.Context(), c, queue.GiveBack{After: 700 * time.Millisecond, Detail: "a passing failure"}); err != nil {
		t.Fatal(err)
	}
	said := h.next()
	var report dispatcher.Report
	if err := json.Unmarshal([]byte(said.text), &report); err != nil || report.Launched != 1 {
		t.Errorf("got %d %s, %v", said.status, said.text, err)
	}
	if r := h.job(r.Job.ID); r.State != queue.Launching || r.Attempt != 2 {
		t.Errorf("job %+v", r)
	}
}

// Broken when: a job whose machine could not be made waits for a webhook, although somebody asks for it.
func TestFailedLaunchIsTriedAgainWhileSomebodyAsks(t *testing.T) {
	h := open(t, roots(t, hello))
	h.q.Times.Unlaunch = 300 * time.Millisecond
	h.faults(http.MethodPost, `{"status":422,"body":{"error":"no capacity"},"repeat":2}`)
	got := h.push("guid", payload(t, "push.branch.json"))
	said := h.next()
	var report dispatcher.Report
	if err := json.Unmarshal([]byte(said.text), &report); err != nil || report.Launched != 1 {
		t.Errorf("got %d %s, %v", said.status, said.text, err)
	}
	if r := h.job(got.Jobs[0].ID); r.State != queue.Launching || r.Attempt != 1 {
		t.Errorf("job %+v", r)
	}
}

func TestOneWatcherIsEnough(t *testing.T) {
	h := open(t, roots(t, hello))
	// A launched job has a start deadline, which is something to wait for.
	h.q.Times.Start = 30 * time.Second
	h.push("guid", payload(t, "push.branch.json"))
	answered := make(chan reply, 2)
	for range 2 {
		go func() { answered <- h.next() }()
	}
	select {
	case got := <-answered:
		if got.status != http.StatusOK {
			t.Errorf("got %d %s", got.status, got.text)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("both wait")
	}
	h.d.Stop()
	select {
	case <-answered:
	case <-time.After(10 * time.Second):
		t.Fatal("Stop leaves it waiting")
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	h := open(t, roots(t, hello))
	h.push("guid", payload(t, "push.branch.json"))
	h.push("guid", payload(t, "push.branch.json"))
	w := httptest.NewRecorder()
	h.d.Private().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`flycd_webhook_requests_total{status="202"} 2`, "flycd_jobs_pushed_total 1", "flycd_replays_total 1",
		`flycd_launches_total{result="launched"} 1`, `flycd_jobs{state="active"} 1`, "flycd_webhook_seconds_count 2",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in:\n%s", want, w.Body.String())
		}
	}
}
