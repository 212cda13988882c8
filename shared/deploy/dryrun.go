package deploy

import (
	"context"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// PlanResult is what a deploy would do.
type PlanResult struct {
	Plan plan.Plan
	// Summary is the plan for people, a line per step, old → new by key.
	Summary []string
	// Result has the judged commits and digests; its outcome is created, updated or unchanged, as a
	// deploy's would be.
	Result job.Result
}

// Plan goes the same way as Deploy up to the decision, and changes nothing: an image that would have to
// be built is named by the tag that it would get. A rejection comes back as an error that wraps
// job.ErrRejected.
func (d *Deployer) Plan(ctx context.Context, req Request) (PlanResult, error) {
	d = d.ready()
	started := d.Now()
	p, err := d.plan(ctx, req)
	p.Result.Started, p.Result.Ended = started, d.Now()
	return p, err
}

func (d *Deployer) plan(ctx context.Context, req Request) (PlanResult, error) {
	w := d.work(req)
	w.dry = true
	defer w.close(ctx)
	err := w.walk(ctx, w.resolveConfig, w.readConfig, w.resolveSource, w.explore, w.makeImage, w.decide)
	if err != nil {
		return PlanResult{Result: w.result()}, err
	}
	w.outcome, w.changes = w.success(), linesOf(w.decision)
	w.pending = pendingOf(w.observed, w.intent.Target.Certs)
	w.warnings = append(w.warnings, w.decision.Notes...)
	return PlanResult{Plan: w.decision, Summary: w.changes, Result: w.result()}, nil
}
