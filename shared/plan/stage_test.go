package plan_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestRollingTakesTheFirstAloneAndThenBatches(t *testing.T) {
	table := []struct {
		machines int
		max      string
		want     string
	}{
		{5, "0.4", "1 2 2"},
		{5, "0.33", "1 2 2"},
		{5, "1", "1 1 1 1 1"},
		{5, "3", "1 3 1"},
		{1, "0.33", "1"},
		{4, "100", "1 3"},
	}
	for _, row := range table {
		yaml := fmt.Sprintf("%smachines: {count: %d}\ndeploy: {max_unavailable: %s}\n", worker, row.machines, row.max)
		a, _ := deployed(t, yaml)
		p := mustDiff(t, a.o, intent(t, yaml+"env: {A: b}\n"))
		var sizes []string
		for _, s := range p.Stages {
			sizes = append(sizes, fmt.Sprint(len(s.Steps)))
			if s.Parallel != len(s.Steps) {
				t.Errorf("stage %s does %d of %d at once", s.Name, s.Parallel, len(s.Steps))
			}
		}
		if got := strings.Join(sizes, " "); got != row.want {
			t.Errorf("%d machines, max_unavailable %s: got %s, want %s", row.machines, row.max, got, row.want)
		}
	}
}

func TestImmediateIsOneStage(t *testing.T) {
	yaml := worker + "machines: {count: 12}\ndeploy: {strategy: immediate}\n"
	a, _ := deployed(t, yaml)
	p := mustDiff(t, a.o, intent(t, yaml+"env: {A: b}\n"))
	if len(p.Stages) != 1 || len(p.Stages[0].Steps) != 12 || p.Stages[0].Parallel != 8 {
		t.Errorf("got %+v", p.Stages)
	}
}
