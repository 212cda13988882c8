package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// personal is the slug under which Fly knows everybody's own organisation.
const personal = "personal"

// decide makes the intent, and the plan from what was observed.
func (w *work) decide(ctx context.Context) error {
	w.intent = plan.Intent{Target: w.target, Image: w.image, Confirm: w.req.Job.Confirm}
	if w.DigestKey.IsZero() && len(w.target.Secrets) > 0 {
		w.intent.Renew = w.force()
		w.warnings = append(w.warnings, "secrets cannot be compared without FLYCD_DIGEST_KEY: a value that changed is set when something else of the app changes, or with --force")
	}
	if !w.dry {
		w.intent.Job = string(w.req.Job.ID)
	}
	if err := w.resolveSecrets(ctx); err != nil {
		return err
	}
	return w.diff()
}

// diff writes the marks and the secrets into the intent and compares it with what was observed last.
func (w *work) diff() error {
	w.seal = sealOf(w.observed)
	w.marks = markOf(w.seal, w.marks, w.force(), w.req.Job.ID)
	w.intent.Metadata = w.marks.metadata()
	w.intent.Env = w.marks.env(w.entry.App.Source)
	w.intent.First = plan.FirstOf(w.observed, string(w.req.Job.ID))
	w.intent.Secrets = w.wantedSecrets()
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
