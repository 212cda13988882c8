package deploy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/plan"
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

// applyAll makes the stages true one after the other, each proven before the next begins. It gives
// the steps that were begun: those that failed may have happened.
func (w *work) applyAll(ctx context.Context, ch *fly.Change, p plan.Plan, prove bool) ([]plan.Step, error) {
	var done []plan.Step
	sure := false
	for i, st := range p.Stages {
		if !sure && losesForGood(st) {
			if err := w.proveAll(ctx, ch); err != nil {
				return done, err
			}
			sure = true
		}
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mostOf(s))
	defer cancel()
	w.log.InfoContext(ctx, "apply", "step", lineOf(s))
	if w.Lease != nil {
		ctx = leased{ctx, w.Lease}
	}
	return ch.Apply(ctx, s)
}

// mostOf is how long a step may take: its writes, and what it waits for by itself.
func mostOf(s plan.Step) time.Duration {
	switch s := s.(type) {
	case plan.ReplaceMachine:
		return stepTime + proofTime
	case plan.CreateAddon:
		return stepTime + fly.AddonWait
	case plan.RunCommand:
		return stepTime + s.Timeout
	default:
		return stepTime
	}
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
	if err := ch.Prove(ctx, proof); err != nil {
		return err
	}
	if w.proven == nil {
		w.proven = map[string]bool{}
	}
	for _, m := range proof.Machines {
		w.proven[m.Name] = true
	}
	return nil
}

// proveAll proves all that is to run, from inside Fly and from outside: what can never be had again goes only
// when the release needs no way back, whatever the strategy.
func (w *work) proveAll(ctx context.Context, ch *fly.Change) error {
	if err := ch.Prove(ctx, plan.ProofOf(w.observed, w.intent)); err != nil {
		return err
	}
	return w.verify(ctx)
}

// losesForGood reports whether the stage takes away what nobody can bring back.
func losesForGood(st plan.Stage) bool {
	return slices.ContainsFunc(st.Steps, func(s plan.Step) bool {
		switch s.(type) {
		case plan.DestroyVolume, plan.DestroyAddon, plan.RemoveCert, plan.ReleaseIP:
			return true
		default:
			return false
		}
	})
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
