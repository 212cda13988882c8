package dispatcher_test

import (
	"slices"
	"testing"

	"github.com/gigurra/flycd/shared/job"
)

func TestRootThatWasNeverReadIsReadByTheSweep(t *testing.T) {
	h := open(t, roots(t, hello), orphanAge)
	r := h.sweep()
	if len(r.Synced) != 1 || h.job(r.Synced[0]).Job.Kind != job.Sync || r.Due.Launched != 1 {
		t.Fatalf("the first sweep: %+v", r)
	}
	if again := h.sweep(); len(again.Synced) != 0 {
		t.Errorf("while it is read: %+v", again)
	}
	h.finish(h.active()[0])
	if done := h.sweep(); len(done.Synced) != 0 || !slices.Equal(done.Ended, []string(nil)) {
		t.Errorf("once it was read: %+v", done)
	}
}
