package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// personal is the slug under which Fly knows everybody's own organisation.
const personal = "personal"

// target translates the manifest.
func (w *work) target() (machine.Target, error) {
	t, err := machine.Translate(w.entry.App, machine.Inputs{Files: w.files})
	if err != nil {
		return t, job.Reject(fmt.Errorf("%s: %w", w.entry.File, err))
	}
	if t.Org == "" && !w.observed.Exists {
		t.Org = or(w.Org, personal)
	}
	return t, nil
}

// decide makes the intent, and the plan from what was observed.
func (w *work) decide(context.Context) error {
	t, err := w.target()
	if err != nil {
		return err
	}
	w.warnings = append(w.warnings, t.Warnings...)
	w.intent = plan.Intent{Target: t, Image: w.image}
	return w.diff()
}

// diff writes the marks into the intent and compares it with what was observed last.
func (w *work) diff() error {
	w.seal = sealOf(w.observed)
	w.marks = markOf(w.seal, w.marks, w.force(), w.req.Job.ID)
	w.intent.Metadata = w.marks.metadata()
	w.intent.Env = w.marks.env(w.entry.App.Source)
	p, err := plan.Diff(w.observed, w.intent)
	if refused := (*plan.Refused)(nil); errors.As(err, &refused) {
		return job.Rejectf("%s: %w", w.entry.File, err)
	}
	if err != nil {
		return fmt.Errorf("compare %s with Fly: %w", w.entry.App.Name, err)
	}
	w.decision = p
	return nil
}
