package deploy

import (
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// TestStepMayTakeWhatItWaitsFor: a command that the manifest gives an hour, and a database that takes minutes, are
// not cut off by the time that a write may take.
func TestStepMayTakeWhatItWaitsFor(t *testing.T) {
	steps := map[string]struct {
		step plan.Step
		wait time.Duration
	}{
		"command": {plan.RunCommand{Timeout: time.Hour}, time.Hour},
		"add-on":  {plan.CreateAddon{Addon: machine.Addon{Type: "postgres"}}, fly.AddonWait},
		"update":  {plan.UpdateMachine{}, 0},
	}
	for name, c := range steps {
		if got := mostOf(c.step); got < c.wait+defaultWriteTime {
			t.Errorf("%s: %s, and it may wait for %s", name, got, c.wait)
		}
	}
}
