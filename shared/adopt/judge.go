package adopt

import (
	"fmt"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// judge writes the draft of an attempt and gives what a deploy of it would change: the cost is 0 where
// that is nothing. The error says why the draft is no manifest.
func (a *account) judge(t attempt) (Draft, int, error) {
	c := a.compose(t)
	text, err := c.text()
	if err != nil {
		return Draft{}, 0, err
	}
	d := Draft{App: a.App, YAML: text, Files: c.files, Notes: c.notes}
	if t.release {
		d.Release = a.version
	}
	d.Plan, err = a.diff(d)
	return d, cost(d.Plan), err
}

// diff compares the draft with what was observed, as a deploy does.
func (a *account) diff(d Draft) (plan.Plan, error) {
	tree, err := manifest.Read(folder{"app.yaml": d.YAML}, "app.yaml", manifest.Options{})
	if err != nil {
		return plan.Plan{}, err
	}
	if len(tree.Apps) != 1 {
		return plan.Plan{}, fmt.Errorf("the draft names %d apps", len(tree.Apps))
	}
	target, err := machine.Translate(tree.Apps[0].App, machine.Inputs{Files: d.Files})
	if err != nil {
		return plan.Plan{}, err
	}
	observed, err := a.unsealed()
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Diff(observed, plan.Intent{Target: target, Image: a.image})
}

// cost counts steps, and what each of them changes.
func cost(p plan.Plan) int {
	n := 0
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			n++
			if u, ok := step.(plan.UpdateMachine); ok {
				n += len(u.Changes)
			}
		}
	}
	return n
}
