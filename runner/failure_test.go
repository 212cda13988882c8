package runner_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gigurra/flycd/runner"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// threeMachines is an app whose update has several stages.
func threeMachines(image, text string) string {
	return yaml("web", image, text) + "machines: {count: 3}\n"
}

func TestFailedReleaseIsRolledBack(t *testing.T) {
	onBoth(t, func(h *house) {
		good, bad := h.Image("web:good"), h.Image("bad:1")
		h.images(map[string]flysim.Behavior{bad: {Checks: "critical"}})
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		wait := "deploy: {wait_timeout: 400ms}\n"
		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(good, "1") + wait}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Created})
		before := h.env("web", "GREETING")

		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(bad, "2") + wait}))
		done := h.drain()
		h.expect(done, map[string]job.Outcome{tree: job.Updated, "web": job.Failed})
		if d := done["web"].Result.Detail; !strings.Contains(d, "put back") || !strings.Contains(d, "check") {
			h.t.Errorf("failed with %q", d)
		}
		if got := h.env("web", "GREETING"); fmt.Sprint(got) != fmt.Sprint(before) {
			h.t.Errorf("machines run %v after the rollback, want %v", got, before)
		}
		// the same commit is not tried again by itself
		h.push(config, config.Commit(map[string]string{"README.md": "words"}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Unchanged})
		// a better one is
		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(good, "3") + wait}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Updated})
	})
}

func TestStoppedFailureLeavesTheRest(t *testing.T) {
	h := newHouse(t, queuetest.Embedded(t))
	good, bad := h.Image("web:good"), h.Image("bad:1")
	h.images(map[string]flysim.Behavior{bad: {Checks: "critical"}})
	config := h.Repo("config")
	h.roots = []job.Config{{Repo: config.URL}}
	rest := "deploy: {wait_timeout: 300ms}\non_failure: stop\n"
	h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(good, "1") + rest}))
	h.drain()
	h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(bad, "2") + rest}))
	if got := h.drain()["web"].Result.Outcome; got != job.Failed {
		t.Errorf("outcome %s, want failed", got)
	}
	if got := strings.Join(h.env("web", "GREETING"), ""); strings.Count(got, "2") != 1 || strings.Count(got, "1") != 2 {
		t.Errorf("machines run %q, want one of the new release and two of the old", got)
	}
}

// Between two steps the runner is told to stop: the step is finished, the job given back, and the
// next attempt goes on from there.
func TestStoppedRunnerGivesBack(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "1")}))
		h.drain()
		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "2")}))
		l, _ := h.take()
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		l, ok := h.take()
		if !ok || l.Job.App != "web" {
			h.t.Fatalf("no job for web: %+v", l)
		}
		h.FlyRequests.Reset()
		ctx := h.stopWhen(func() bool { return len(h.updates()) > 0 })
		if err := h.runner(l).Run(ctx); err != nil {
			h.t.Fatal(err)
		}
		r := h.record(l.Job.ID)
		if r.Over() || r.FailedAttempts != 0 || r.Lost != 1 {
			h.t.Fatalf("state %s, %d failed, %d lost; want one that waits, 0 and 1", r.State, r.FailedAttempts, r.Lost)
		}
		if n := len(h.updates()); n == 3 {
			h.t.Error("the runner went on after it was told to stop")
		}
		h.expect(h.drain(), map[string]job.Outcome{"web": job.Updated})
		if n := len(h.updates()); n != 3 {
			h.t.Errorf("%d updates, want 3: nothing is done twice", n)
		}
	})
}

func TestSecondRunnerIsRefused(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1")}))
		l, _ := h.take()
		first, second := h.runner(l), h.runner(l)
		if err := first.Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		h.GitRequests.Reset()
		if err := second.Run(h.t.Context()); err != nil {
			h.t.Fatalf("a refused runner ends with %v, want nil", err)
		}
		if n := h.GitRequests.Asks(); n != 0 {
			h.t.Errorf("the second runner asked for %d repositories, want none", n)
		}
	})
}

// Broken when: the wish that follows a cancelled launch waits for a webhook, as its refused runner asks nobody.
func TestRefusedRunnerAsksForTheNext(t *testing.T) {
	onBoth(t, func(h *house) {
		asked := 0
		dispatcher := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		defer dispatcher.Close()
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		first := h.push(config, config.Commit(map[string]string{"web/app.yaml": "a"}))
		l, _ := h.take()
		second := h.push(config, config.Commit(map[string]string{"web/app.yaml": "b"}))
		if _, err := h.queue.Cancel(h.t.Context(), first.Jobs[0].ID); err != nil {
			h.t.Fatal(err)
		}
		r := h.runner(l)
		r.Next = runner.Next{URL: dispatcher.URL}
		if err := r.Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if next := h.record(second.Jobs[0].ID); asked != 1 || next.State != queue.Waiting {
			h.t.Errorf("the dispatcher was asked %d times while the next job is %s, want once and waiting", asked, next.State)
		}
	})
}

// A runner whose claim lapses while it works stops before its next step.
func TestSilentHolderLosesJob(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "1")}))
		h.drain()
		h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "2")}))
		l, _ := h.take()
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		l, _ = h.take()
		stale := h.runner(l)
		claim, err := h.queue.Claim(h.t.Context(), l.Job.ID, l.Attempt, stale.Machine)
		if err != nil {
			h.t.Fatal(err)
		}
		// what the due pass does when the hold has lapsed
		if _, err := h.queue.GiveBack(h.t.Context(), claim, queue.GiveBack{Detail: "lapsed"}); err != nil {
			h.t.Fatal(err)
		}
		h.FlyRequests.Reset()
		if err := stale.Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if n := len(h.FlyRequests.Writes()); n != 0 {
			h.t.Errorf("the stale runner made %d writes, want none", n)
		}
		h.expect(h.drain(), map[string]job.Outcome{"web": job.Updated})
	})
}

// What fails for a passing reason is tried again by the same runner, on the same machine.
func TestPassingFailureIsTriedAgainHere(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1")}))
		l, _ := h.take()
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		l, _ = h.take()
		if err := h.Sim.SetFaults(flysim.Fault{Match: flysim.Match{Method: "GET", Path: "/v1/apps/web"}, Do: flysim.Effect{Status: 500, Repeat: 3}}); err != nil {
			h.t.Fatal(err)
		}
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		r := h.record(l.Job.ID)
		if r.Result.Outcome != job.Created || r.FailedAttempts != 1 || r.Attempt != 1 {
			h.t.Errorf("%s after %d failed attempts in attempt %d, want created, 1 and 1: %s", r.Result.Outcome, r.FailedAttempts, r.Attempt, r.Detail)
		}
	})
}

// What goes on failing ends as failed, with the reason, and stays visible.
func TestSpentAttemptsEndTheJob(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1")}))
		if err := h.Sim.SetFaults(flysim.Fault{Match: flysim.Match{Path: "/v1/apps/web"}, Do: flysim.Effect{Status: 500, Repeat: -1}}); err != nil {
			h.t.Fatal(err)
		}
		done := h.drain()
		h.expect(done, map[string]job.Outcome{tree: job.Updated, "web": job.Failed})
		if r := done["web"]; r.FailedAttempts != h.queue.Times.Failed || !strings.Contains(r.Detail, "500") {
			h.t.Errorf("%d failed attempts: %q", r.FailedAttempts, r.Detail)
		}
	})
}
