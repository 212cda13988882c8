package dispatcher_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

// orphanAge lets two sweeps follow each other in a test.
func orphanAge(h *house) { h.d.OrphanAge = time.Millisecond }

func (h *house) sweep() dispatcher.SweepReport {
	h.t.Helper()
	// Sightings must be older than OrphanAge, by the clock of Redis, which counts milliseconds.
	time.Sleep(5 * time.Millisecond)
	r, err := h.d.Sweep(within(h.t, 20*time.Second))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func TestMachineWithoutAJobIsEndedOnTheSecondSighting(t *testing.T) {
	h := open(t, roots(t, hello), orphanAge)
	got := h.push("guid", payload(t, "push.branch.json"))
	h.finish(h.active()[0])
	name := launch.Name(got.Jobs[0].ID, 1)
	if r := h.sweep(); len(r.Ended) != 0 || !slices.Equal(r.Suspects, []string{name}) {
		t.Errorf("the first sweep: %+v", r)
	}
	if n := len(h.machines()); n != 1 {
		t.Fatalf("%d machines after one sighting, want the one", n)
	}
	if r := h.sweep(); !slices.Equal(r.Ended, []string{name}) {
		t.Errorf("the second sweep: %+v", r)
	}
	if left := h.machines(); len(left) != 0 {
		t.Errorf("machines %v are left", left)
	}
}

func TestMachineOfAnEarlierAttemptIsEnded(t *testing.T) {
	h := open(t, roots(t, hello), orphanAge)
	h.q.Times.Start, h.q.Times.Backoff = 50*time.Millisecond, time.Millisecond
	got := h.push("guid", payload(t, "push.branch.json"))
	id := got.Jobs[0].ID
	time.Sleep(60 * time.Millisecond)
	h.q.Times.Start = time.Hour
	for h.job(id).Attempt < 2 || h.job(id).State != queue.Launching {
		h.next()
	}
	h.sweep()
	if r := h.sweep(); !slices.Equal(r.Ended, []string{launch.Name(id, 1)}) {
		t.Errorf("swept %+v", r)
	}
	if left := h.machines(); !slices.Equal(left, []string{launch.Name(id, 2)}) {
		t.Errorf("machines %v, want that of the second attempt", left)
	}
}

// TestWorkingMachinesAreLeftAlone holds the sweep off everything that is needed, asked for or not ours.
func TestWorkingMachinesAreLeftAlone(t *testing.T) {
	h := open(t, orphanAge)
	h.apps("launching", "claimed")
	h.push("guid", payload(t, "push.branch.json"))
	for _, r := range h.active() {
		if r.Job.App == "claimed" {
			if _, err := h.q.Claim(t.Context(), r.Job.ID, r.Attempt, h.machineOf(r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	stranger := job.ID("zzzzzzzzzzzzzzzzzzzzzzzzzz")
	h.sim(http.MethodPost, listOf, fmt.Sprintf(`{"name":%q,"config":{"image":"runner:1","metadata":{"flycd_job":%q,"flycd_attempt":"1","flycd_keep":"1"}}}`, launch.Name(stranger, 1), stranger))
	h.sim(http.MethodPost, listOf, `{"name":"dispatcher","config":{"image":"dispatcher:1"}}`)
	for range 3 {
		if r := h.sweep(); len(r.Ended)+len(r.Lapsed) > 0 {
			t.Errorf("swept %+v", r)
		}
	}
	if n := len(h.machines()); n != 4 {
		t.Errorf("%d machines, want all four", n)
	}
}

func TestLaunchWithoutAMachineIsGivenUpOnTheSecondSighting(t *testing.T) {
	h := open(t, roots(t, hello), orphanAge)
	got := h.push("guid", payload(t, "push.branch.json"))
	id := got.Jobs[0].ID
	h.sim(http.MethodDelete, listOf+"/"+h.machineOf(h.job(id))+"?force=true", "")
	if r := h.sweep(); len(r.Lapsed) != 0 || len(r.Suspects) != 1 {
		t.Errorf("the first sweep: %+v", r)
	}
	if r := h.sweep(); !slices.Equal(r.Lapsed, []job.ID{id}) {
		t.Errorf("the second sweep: %+v", r)
	}
	if r := h.job(id); r.Active() || r.Over() {
		t.Errorf("job %+v, want it to be tried again", r)
	}
}

// TestUnreadableListEndsNothing holds that a list that cannot be had is not an empty one.
func TestUnreadableListEndsNothing(t *testing.T) {
	h := open(t, roots(t, hello), orphanAge)
	got := h.push("guid", payload(t, "push.branch.json"))
	h.faults(http.MethodGet, `{"status":200,"body":{"machines":[]},"repeat":-1}`)
	for range 3 {
		if r, err := h.d.Sweep(within(t, 20*time.Second)); err == nil || len(r.Lapsed)+len(r.Ended) > 0 {
			t.Errorf("swept %+v, %v", r, err)
		}
	}
	if r := h.job(got.Jobs[0].ID); r.State != queue.Launching {
		t.Errorf("job %+v", r)
	}
}

// machineOf is Fly's id of the machine that a job is launching on.
func (h *house) machineOf(r queue.Record) string {
	h.t.Helper()
	list, err := h.d.Runners.List(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range list {
		if m.Job == r.Job.ID && m.Attempt == r.Attempt && !m.Gone() {
			return m.ID
		}
	}
	h.t.Fatalf("no machine for job %s", r.Job.ID)
	return ""
}
