package deploy

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// recordTime bounds the record of a release: it is for other tools and never worth a deploy.
const recordTime = 15 * time.Second

// startRecord writes down the release as flyctl does, so that `fly releases`, `fly config show` and
// `fly secrets set` find it. Its number goes into the machines, as flyctl's does. Where it cannot be
// written the deploy goes on without. It is written after the secrets are set: to flyctl, secrets that are newer than
// the release are staged ones.
func (w *work) startRecord(ctx context.Context) error {
	definition, err := machine.Definition(w.entry.App, w.target)
	if err != nil {
		w.warnings = append(w.warnings, "the release is not recorded for flyctl: "+err.Error())
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	rec, err := w.Fly.StartRelease(ctx, fly.Release{App: w.target.App, Image: w.image, Strategy: cmp.Or(w.target.Strategy, "rolling"), Definition: definition})
	if err != nil {
		w.warnings = append(w.warnings, "the release is not recorded for flyctl as it should be: "+err.Error())
	}
	w.marks.record = rec // known also where Fly did not take that it runs
	return w.diff()
}

// endRecord says how the release ended. It is said although the process was told to stop.
func (w *work) endRecord(ctx context.Context, problem error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	status, text := "complete", ""
	switch {
	case problem != nil && interrupted(ctx) != nil:
		status, text = "interrupted", problem.Error()
	case problem != nil:
		status, text = "failed", problem.Error()
	}
	if err := w.Fly.EndRelease(ctx, w.marks.record, status, text); err != nil {
		w.warnings = append(w.warnings, "the end of the release is not recorded for flyctl: "+err.Error())
	}
}

// touchesMachines reports whether the plan makes or changes machines.
func touchesMachines(p plan.Plan) bool {
	return slices.ContainsFunc(p.Stages, func(st plan.Stage) bool {
		ids, names := touched(st)
		return len(ids)+len(names) > 0
	})
}
