package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/probe"
)

const (
	// defaultWriteTime is what a write may take where Deployer.WriteTime says nothing.
	defaultWriteTime = 10 * time.Second
	// stepTime bounds a step that was begun when the process was told to stop.
	stepTime = 2 * time.Minute
	// proofTime is what a replacement may need beside, to prove the new machine before the old one goes.
	proofTime = 6 * time.Minute
	trustLook = 100 * time.Millisecond
)

// ErrUntrusted says that the claim on the job is lost, or cannot be known to be held: nothing more was
// changed. Whoever holds the job now observes where things are.
var ErrUntrusted = errors.New("the claim on the job is no longer trusted")

// change makes the decision true under the leases of all the app's machines and proves it. Where
// nothing is to be changed and everything is proven, Fly is not written to at all.
func (w *work) change(ctx context.Context) error {
	if w.decision.Empty() && plan.Proven(w.observed, w.intent) == nil {
		return w.conclude(w.observed, w.success())
	}
	ch, err := w.Fly.Begin(ctx, w.entry.App.Name, w.scope())
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
	done, err := w.makeTrue(ctx, ch)
	w.endRecord(ctx, err)
	if err != nil {
		return w.failed(ctx, ch, done, err)
	}
	o, err := w.settled(ctx)
	if err != nil {
		return err
	}
	return w.conclude(o, outcome)
}

// makeTrue applies the decision and proves it, from inside Fly and from outside. It gives the steps that
// were begun.
func (w *work) makeTrue(ctx context.Context, ch *fly.Change) (done []plan.Step, err error) {
	w.changes = append(w.changes, linesOf(w.decision)...)
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
	if err := ch.Prove(ctx, plan.ProofOf(w.observed, w.intent)); err != nil {
		return done, err
	}
	return done, w.verify(ctx)
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
		w.note(linesOf(w.decision))
	}
	return done, fmt.Errorf("deploy %s: what was done %d times does not show on Fly; try again later", w.target.App, mostRounds)
}

// note adds lines that are new to the list of changes.
func (w *work) note(lines []string) {
	for _, line := range lines {
		if !slices.Contains(w.changes, line) {
			w.changes = append(w.changes, line)
		}
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

// applyAll makes the stages true one after the other, each proven before the next begins. It gives
// the steps that were begun: those that failed may have happened.
func (w *work) applyAll(ctx context.Context, ch *fly.Change, p plan.Plan, prove bool) ([]plan.Step, error) {
	var done []plan.Step
	for i, st := range p.Stages {
		if prove && destroys(st) {
			// what stays as it is was in no stage before
			if err := w.proveKept(ctx, ch, p, func(string) bool { return true }); err != nil {
				return done, err
			}
		}
		begun, err := w.applyStage(ctx, ch, st)
		done = append(done, begun...)
		if err != nil {
			return done, err
		}
		if i < len(p.Stages)-1 && prove {
			if err := w.proveStage(ctx, ch, st); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// applyStage begins the steps of a stage, up to Parallel at once, and waits for those that it began.
func (w *work) applyStage(ctx context.Context, ch *fly.Change, st plan.Stage) ([]plan.Step, error) {
	var mu sync.Mutex
	var begun []plan.Step
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(st.Parallel, 1))
	for _, s := range st.Steps {
		g.Go(func() error {
			if err := w.trusted(gctx); err != nil {
				return err
			}
			mu.Lock()
			begun = append(begun, s)
			mu.Unlock()
			return w.applyStep(ctx, ch, s)
		})
	}
	err := g.Wait()
	return begun, err
}

// applyStep finishes the step although ctx ends meanwhile: a change that was begun is not left in
// the middle.
func (w *work) applyStep(ctx context.Context, ch *fly.Change, s plan.Step) error { //nolint:contextcheck // leased inherits from the context that it holds
	most := stepTime
	if _, ok := s.(plan.ReplaceMachine); ok {
		most += proofTime
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	w.log.InfoContext(ctx, "apply", "step", lineOf(s))
	if w.Lease != nil {
		ctx = leased{ctx, w.Lease}
	}
	return ch.Apply(ctx, s)
}

// leased is a context whose deadline is the claim's trust as it is at the moment, so that a step of
// several writes begins none of them that the claim may not outlast.
type leased struct {
	context.Context //nolint:containedctx // it is a context itself
	lease           Lease
}

// Deadline is the earlier one of the step's and the claim's.
func (l leased) Deadline() (time.Time, bool) {
	until := l.lease.TrustedUntil()
	if d, ok := l.Context.Deadline(); ok && d.Before(until) {
		until = d
	}
	return until, true
}

// trusted waits until the claim is certain for as long as a write takes. It returns the reason
// where the attempt is to end instead.
func (w *work) trusted(ctx context.Context) error {
	for {
		if err := interrupted(ctx); err != nil {
			return err
		}
		if w.Lease == nil {
			return nil
		}
		left := w.Lease.TrustedUntil().Sub(w.Now())
		if left >= w.writeTime() {
			return nil
		}
		if left <= 0 {
			return ErrUntrusted
		}
		select {
		case <-ctx.Done():
		case <-time.After(trustLook):
		}
	}
}

func (d *Deployer) writeTime() time.Duration {
	if d.WriteTime > 0 {
		return d.WriteTime
	}
	return defaultWriteTime
}

// proveStage proves the machines that a stage has touched, before the next stage touches others.
func (w *work) proveStage(ctx context.Context, ch *fly.Change, st plan.Stage) error {
	proof := st.Proof(w.intent)
	if len(proof.Machines) == 0 {
		return nil
	}
	return ch.Prove(ctx, proof)
}

// touched gives the machines that a stage changes, by id, and those that it makes, by name.
func touched(st plan.Stage) (ids, names map[string]bool) {
	ids, names = map[string]bool{}, map[string]bool{}
	for _, s := range st.Steps {
		switch s := s.(type) {
		case plan.UpdateMachine:
			ids[s.Machine.ID] = true
		case plan.CreateMachine:
			names[s.Name] = true
		case plan.ReplaceMachine:
			names[s.Create.Name] = true
		default: // no other step makes or changes a machine
		}
	}
	return ids, names
}

// destroys reports whether the stage takes a machine away.
func destroys(st plan.Stage) bool {
	return slices.ContainsFunc(st.Steps, func(s plan.Step) bool {
		_, ok := s.(plan.DestroyMachine)
		return ok
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
