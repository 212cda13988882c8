package plan_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/plan"
)

func TestPlansSayWhatRestartsAndWhatIsDown(t *testing.T) {
	table := []struct {
		name, yaml, next string
		stopped          bool
		want             plan.Counts
		down             string
	}{
		{"one machine", worker, worker + "env: {A: b}\n", false, plan.Counts{Changed: 1, Restarted: 1, Downtime: 1}, "no other machine that answers"},
		{"two machines", worker + two, worker + two + "env: {A: b}\n", false, plan.Counts{Changed: 2, Restarted: 2}, ""},
		{"two at once", worker + two, worker + two + "env: {A: b}\ndeploy: {strategy: immediate}\n", false, plan.Counts{Changed: 2, Restarted: 2, Downtime: 2}, "all machines of group worker restart at once"},
		{"another is stopped", worker + two, worker + two + "env: {A: b}\n", true, plan.Counts{Changed: 2, Restarted: 1, Downtime: 1}, "no other machine"},
		{"another can be woken", web + two, web + two + "vm_size: shared-cpu-2x\n", true, plan.Counts{Changed: 2, Restarted: 1}, ""},
		{"none is left", worker, worker + "machines: {count: 0}\n", false, plan.Counts{Destroyed: 1, Downtime: 1}, "has no machine any more"},
		{"its group goes", worker, strings.ReplaceAll(worker, "worker", "other"), false, plan.Counts{Created: 1, Destroyed: 1, Downtime: 1}, "group worker is gone"},
		{"one more", worker, worker + two, false, plan.Counts{Created: 1}, ""},
		{"a disk", worker, disk, false, plan.Counts{Created: 1, Replaced: 1}, ""},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			a, _ := deployed(t, row.yaml)
			if row.stopped {
				a.o.Machines[1].State = "stopped"
				a.edit(1, func(c map[string]any) {
					if s := at(c, "services"); len(s) > 0 && s["internal_port"] != nil {
						s["autostart"] = true
					}
				})
			}
			p := mustDiff(t, a.o, intent(t, row.next))
			if got := p.Counts(); got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
			text := lines(p)
			if row.down != "" && !strings.Contains(text, row.down) || row.down == "" && strings.Contains(text, `"downtime": "`) {
				t.Errorf("want %q in %s", row.down, text)
			}
		})
	}
}
