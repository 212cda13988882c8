package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/probe"
)

// change makes the decision true under the leases of all the app's machines and proves it. Where
// nothing is to be changed and everything is proven, Fly is not written to at all.
func (w *work) change(ctx context.Context) error {
	if w.decision.Empty() && plan.Proven(w.observed, w.intent) == nil {
		return w.unchanged(ctx)
	}
	ch, err := w.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin to change %s: %w", w.entry.App.Name, err)
	}
	defer func() { w.discard(ctx, ch.Close()) }()
	ch.Output = w.buildLog()
	w.observed = ch.Observed()
	if err := w.diff(); err != nil {
		return err
	}
	outcome := w.success()
	w.log.InfoContext(ctx, "changing", "release", w.marks.release, "stages", len(w.decision.Stages))
	var o plan.Observed
	done, err := w.makeTrue(ctx, ch)
	if err == nil {
		o, err = w.settled(ctx, ch, done)
	}
	for _, s := range done {
		w.note(lineOf(s))
	}
	if err == nil {
		err = w.verify(ctx)
	}
	w.endRecord(ctx, err)
	if err != nil {
		return w.failed(ctx, ch, done, err)
	}
	return w.conclude(o, outcome)
}

// unchanged concludes where there is nothing to do. An earlier deploy of the same may have failed for what the
// world sees of it, so that is asked for again.
func (w *work) unchanged(ctx context.Context) error {
	if err := w.verify(ctx); err != nil {
		if interrupted(ctx) != nil {
			return err
		}
		w.outcome, w.detail = job.Failed, err.Error()+"; there was nothing to change"
		return nil
	}
	return w.conclude(w.observed, w.success())
}

// fresh is how long a look at Fly may be ago for a change to begin with it.
const fresh = 10 * time.Second

func (w *work) begin(ctx context.Context) (*fly.Change, error) {
	if w.Now().Sub(w.observedAt) < fresh {
		return w.Fly.BeginFrom(ctx, w.observed, w.scope())
	}
	return w.Fly.Begin(ctx, w.entry.App.Name, w.scope())
}

// makeTrue applies the decision and proves it. It gives the steps that were begun.
func (w *work) makeTrue(ctx context.Context, ch *fly.Change) (done []plan.Step, err error) {
	if done, err = w.makeApp(ctx, ch); err != nil {
		return done, err
	}
	careful := w.intent.Target.Strategy != "immediate"
	if careful {
		if err := w.proveEarlier(ctx, ch, w.decision); err != nil {
			return done, err
		}
	}
	begun, err := w.applyDecision(ctx, ch, careful)
	done = append(done, begun...)
	if err != nil {
		return done, err
	}
	proof := plan.ProofOf(w.observed, w.intent)
	proof.Machines = slices.DeleteFunc(proof.Machines, func(m plan.ProofMachine) bool { return w.proven[m.Name] })
	return done, ch.Prove(ctx, proof)
}

// makeApp makes the app before all else: its releases are recorded under its name.
func (w *work) makeApp(ctx context.Context, ch *fly.Change) ([]plan.Step, error) {
	if w.observed.Exists {
		return nil, nil
	}
	create := plan.CreateApp{App: w.target.App, Org: w.target.Org, Network: w.target.Network}
	begun, err := w.applyStage(ctx, ch, plan.Stage{Name: "app", Steps: []plan.Step{create}})
	if err != nil {
		return begun, err
	}
	w.observed.Exists, w.observed.Org = true, create.Org
	return begun, w.diff()
}

// mostRounds bounds how often a decision is made anew while it is applied.
const mostRounds = 8

// applyDecision applies the decision; where a stage brings about what the rest depends on, it looks and
// decides again.
func (w *work) applyDecision(ctx context.Context, ch *fly.Change, prove bool) (done []plan.Step, err error) {
	for range mostRounds {
		ch.Provide(w.values)
		now, again := w.decision.Cut()
		if w.marks.record.ID == "" && touchesMachines(now) {
			if err := w.startRecord(ctx); err != nil {
				return done, err
			}
			now, again = w.decision.Cut()
		}
		begun, err := w.applyAll(ctx, ch, now, prove)
		done, w.intent = append(done, begun...), w.intent.After(begun)
		if err != nil || !again {
			return done, err
		}
		if w.observed, err = ch.Look(ctx); err != nil {
			return done, err
		}
		if err := w.diff(); err != nil {
			return done, err
		}
	}
	return done, fmt.Errorf("deploy %s: what was done %d times does not show on Fly; try again later", w.target.App, mostRounds)
}

// note tells what was done, once.
func (w *work) note(line string) {
	if !slices.Contains(w.changes, line) {
		w.changes = append(w.changes, line)
	}
}

// verify asks the manifest's addresses from outside. What does not answer as it should is a release that
// failed.
func (w *work) verify(ctx context.Context) error {
	if err := probe.All(ctx, w.HTTP, w.entry.App.Verify); err != nil {
		return fmt.Errorf("%w: verify: %w", fly.ErrUnproven, err)
	}
	return nil
}

// success tells a first release from a later one, and both from a proof that only had to be waited
// for. What an earlier attempt at the job did is the job's.
func (w *work) success() job.Outcome {
	if w.decision.Empty() && len(w.earlier()) == 0 {
		return job.Unchanged
	}
	if w.marks.release == 1 && !w.seal.foreign && !w.mends() && !w.done() {
		return job.Created
	}
	return job.Updated
}

// done reports whether an earlier job had deployed the app: what is made then makes up for what was lost.
func (w *work) done() bool { return w.req.Last.Outcome.Done() && !w.intent.First }

// mends reports whether the job changes, or takes away, machines that were there before it.
func (w *work) mends() bool {
	if slices.ContainsFunc(w.earlier(), func(m plan.Machine) bool { return metaOf(m, plan.MetaPrevious) != "" }) {
		return true
	}
	return slices.ContainsFunc(w.decision.Stages, func(st plan.Stage) bool {
		return slices.ContainsFunc(st.Steps, func(s plan.Step) bool {
			switch s.(type) {
			case plan.UpdateMachine, plan.DestroyMachine:
				return true
			default:
				return false
			}
		})
	})
}

// failed decides what becomes of a release that did not come true. An attempt that was interrupted,
// or that lost its trust, changes nothing more.
func (w *work) failed(ctx context.Context, ch *fly.Change, done []plan.Step, cause error) error {
	final := w.req.Final || errors.Is(cause, fly.ErrUnproven) || errors.Is(cause, job.ErrRejected)
	if interrupted(ctx) != nil || errors.Is(cause, ErrUntrusted) || errors.Is(cause, fly.ErrUntrusted) || !final {
		return cause
	}
	w.outcome, w.detail = job.Failed, cause.Error()
	if errors.Is(cause, job.ErrRejected) {
		w.outcome = job.Rejected
	}
	switch w.onFailure() {
	case "rollback":
		return w.rollBack(ctx, ch, done)
	default:
		w.detail += "; the app was left as it is (on_failure)"
		return w.tidy(ctx, ch, done)
	}
}
