package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// destroy removes the machines of an app that its tree no longer names, and then the app. It looks
// again, before and after the app is leased, whether the tree still lacks it. An app that FlyCD did not make or adopt, as
// its machines and the catalog's tombstone say, is refused, and so is one that holds data which nobody confirmed to lose.
func (d *Deployer) destroy(ctx context.Context, req Request) (job.Result, error) {
	w := d.work(req)
	if named, err := w.named(ctx); named || err != nil {
		return w.result(), err
	}
	ch, err := d.Fly.Begin(ctx, req.Job.App, plan.Scope{Certs: true, Egress: true, Recorded: true})
	if err != nil {
		return w.result(), fmt.Errorf("begin to destroy %s: %w", req.Job.App, err)
	}
	defer func() { w.discard(ctx, ch.Close()) }()
	o := ch.Observed()
	if !o.Exists {
		w.outcome, w.detail = job.Unchanged, "the app does not exist"
		return w.result(), nil
	}
	if named, err := w.named(ctx); named || err != nil {
		return w.result(), err
	}
	if err := w.destroyable(ctx, o); err != nil {
		return w.result(), err
	}
	if err := w.destroyAll(ctx, ch, o); err != nil {
		return w.result(), err
	}
	w.outcome = job.Updated
	return w.result(), nil
}

// named ends a destroy whose app the tree names again.
func (w *work) named(ctx context.Context) (bool, error) {
	if w.Index == nil {
		return false, job.Rejectf("app %s: whether its config tree still names it is known to Redis only: set REDIS_URL", w.req.Job.App)
	}
	e, found, err := w.Index.Entry(ctx, w.req.Job.App)
	if err != nil {
		return false, fmt.Errorf("look up app %s: %w", w.req.Job.App, err)
	}
	if found {
		w.outcome, w.detail = job.Cancelled, "the config tree "+e.Config.ID()+" names the app"
	}
	return found, nil
}

// destroyable refuses what is not ours. What is lost for good with the app, or is left behind without an owner, needs a
// confirmation.
func (w *work) destroyable(ctx context.Context, o plan.Observed) error {
	ours, err := w.ours(ctx, o)
	if err != nil {
		return err
	}
	var errs []error
	if !ours {
		errs = append(errs, fmt.Errorf("app %s: nothing says that FlyCD made it or adopted it: run `fly apps destroy %s` yourself", o.App, o.App))
	}
	for _, m := range o.Machines {
		if m.Config == nil || m.Config.Metadata[metaApp] != o.App {
			errs = append(errs, fmt.Errorf("app %s has the machine %s, which FlyCD did not make: run `fly apps destroy %s` yourself", o.App, m.ID, o.App))
		}
	}
	if !w.req.Job.Confirm {
		for _, what := range losses(o) {
			errs = append(errs, fmt.Errorf("app %s has %s, which would be lost: run `flycd prune --confirm %s` if it is no longer needed", o.App, what, o.App))
		}
	}
	return job.Reject(errors.Join(errs...))
}

// ours reports whether the app is one that a tree named until it stopped to, and that FlyCD has deployed. Where machines
// are, they bear its marks; where none are, its last result counts.
func (w *work) ours(ctx context.Context, o plan.Observed) (bool, error) {
	if w.Tombs == nil {
		return false, nil
	}
	_, found, err := w.Tombs.Tombstone(ctx, o.App)
	if err != nil {
		return false, fmt.Errorf("look up what became of app %s: %w", o.App, err)
	}
	return found && (len(o.Machines) > 0 || w.req.Last.Outcome.Done()), nil
}

// losses are what goes with the app and cannot be had again, and the services that only it knows of. A v6 address
// is everybody's for nothing.
func losses(o plan.Observed) []string {
	var all []string
	for _, v := range o.Volumes {
		all = append(all, fmt.Sprintf("the volume %s (%s, %d GB)", v.Name, v.ID, v.SizeGb))
	}
	for _, ip := range o.IPs {
		if ip.Egress || !ip.Shared && !ip.Private && !strings.Contains(ip.Address, ":") {
			all = append(all, "the address "+ip.Address)
		}
	}
	for _, c := range o.Certs {
		all = append(all, "the certificate of "+c.Hostname)
	}
	for _, a := range o.Addons {
		all = append(all, "the "+a.Type+" "+a.Name)
	}
	return all
}

func (w *work) destroyAll(ctx context.Context, ch *fly.Change, o plan.Observed) error {
	steps := make([]plan.Step, 0, len(o.Machines)+1)
	for _, m := range o.Machines {
		steps = append(steps, plan.DestroyMachine{App: o.App, Machine: m, Why: "its tree no longer names the app"})
	}
	p := plan.Plan{Stages: []plan.Stage{
		{Name: "machines", Parallel: 1, Steps: steps},
		{Name: "app", Parallel: 1, Steps: []plan.Step{plan.DestroyApp{App: o.App}}},
	}}
	for _, st := range p.Stages {
		if _, err := w.applyStage(ctx, ch, st); err != nil {
			return err
		}
	}
	w.changes = linesOf(p)
	return nil
}
