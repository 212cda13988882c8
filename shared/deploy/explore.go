package deploy

import (
	"cmp"
	"context"
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// explore finds out what is wanted and what Fly holds. What to look at follows from the translated
// manifest. A manifest that names files is translated after the source was fetched; any other before, since
// the look at Fly may save the fetch.
func (w *work) explore(ctx context.Context) error {
	if len(machine.FilesOf(w.entry.App)) > 0 {
		return w.walk(ctx, w.readSource, w.translate, w.observe, w.awaitWindow)
	}
	return w.walk(ctx, w.translate, w.observe, w.awaitWindow, w.readSource)
}

// translate says what Fly should hold.
func (w *work) translate(context.Context) error {
	t, err := machine.Translate(w.entry.App, machine.Inputs{Files: w.files})
	if err != nil {
		return job.Reject(fmt.Errorf("%s: %w", w.entry.File, err))
	}
	w.target = t
	w.warnings = append(w.warnings, t.Warnings...)
	return nil
}

// observe looks at what Fly holds and what it says of the deploy before.
func (w *work) observe(ctx context.Context) error {
	o, err := w.Fly.Observe(ctx, w.entry.App.Name, w.scope())
	w.observed, w.observedAt, w.seal = o, w.Now(), sealOf(o)
	if w.target.Org == "" && !o.Exists {
		w.target.Org = cmp.Or(w.Org, personal)
	}
	return err
}

// scope is what there is to know of the app.
func (w *work) scope() plan.Scope { return plan.ScopeOf(w.target) }
