package fly

import (
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/plan"
)

// TestReplacedMachineMayEndWhereItsConfigSaysSo: the machine of a schedule, or of a process that ends, takes the place of
// another one although it does not go on running.
func TestReplacedMachineMayEndWhereItsConfigSaysSo(t *testing.T) {
	for name, change := range map[string]func(*flygo.MachineConfig){
		"ends":      func(c *flygo.MachineConfig) { c.Restart = &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo} },
		"scheduled": func(c *flygo.MachineConfig) { c.Schedule = "daily" },
	} {
		w := deployed(t, flysim.Options{Images: ends(0)})
		ch := begin(t, w.client(t, hurried))
		step := plan.ReplaceMachine{Old: ch.Observed().Machines[0], Create: create("shop-app-ams-1", commandImage)}
		change(step.Create.Config)
		step.Create.Config.Checks, step.Create.Config.Services = nil, nil
		if err := ch.Apply(t.Context(), step); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := w.machines(t); len(got) != 1 || got[0].Name != "shop-app-ams-1" {
			t.Errorf("%s: %d machines", name, len(got))
		}
	}
}
