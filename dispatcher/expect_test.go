package dispatcher_test

import (
	"net/http"

	"github.com/gigurra/flycd/shared/queue"
)

// What tests expect of a house.

// nothingHappened wants no job in the queue, and nothing to have been asked of Fly.
func (h *house) nothingHappened() {
	h.t.Helper()
	stats, err := h.q.Stats(h.t.Context())
	if jobs, jerr := h.q.Jobs(h.t.Context(), queue.Filter{}); err != nil || jerr != nil || len(jobs) > 0 || stats.Waiting+stats.Active > 0 {
		h.t.Errorf("the queue holds %v, %+v, %v, %v", jobs, stats, err, jerr)
	}
	if n := h.calls.Load(); n != 0 {
		h.t.Errorf("%d calls to Fly", n)
	}
}

// oneJob wants two answers to tell of one job, and one machine to run it.
func (h *house) oneJob(first, second reply) {
	h.t.Helper()
	if second.status != http.StatusAccepted || len(second.Jobs) != 1 || second.Jobs[0].ID != first.Jobs[0].ID {
		h.t.Errorf("got %d %s after %s", second.status, second.text, first.text)
	}
	if n := len(h.machines()); n != 1 {
		h.t.Errorf("%d machines, want one", n)
	}
}
