package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// rollbackTime bounds a rollback that is finished although the process was told to stop.
const rollbackTime = 5 * time.Minute

// onFailure gives the manifest's policy: rollback where there is a release to go back to.
func (w *work) onFailure() string {
	if p := w.entry.App.OnFailure; p != "" {
		return p
	}
	if w.preceded() {
		return "rollback"
	}
	return "none"
}

// tidy takes away what must not stay behind a deploy that failed, whatever the policy: canaries, and the
// greens of a cut that never came.
func (w *work) tidy(ctx context.Context, ch *fly.Change, done []plan.Step) error {
	now, err := ch.Look(ctx)
	if err != nil {
		return err
	}
	away := plan.Tidy(now, append(plan.Begun(w.observed), done...))
	if away.Empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	_, err = w.applyAll(ctx, ch, away, false)
	w.changes = append(w.changes, linesOf(away)...)
	return err
}

// rollBack puts the observed configs back under the leases that are held, and proves them as a
// deploy would.
func (w *work) rollBack(ctx context.Context, ch *fly.Change, done []plan.Step) error {
	now, err := ch.Look(ctx)
	if err != nil {
		return err
	}
	done = w.fromStart(ctx, done)
	undo := plan.Undo(now, done)
	if undo.Empty() {
		w.detail += "; nothing had been changed"
		return nil
	}
	w.log.InfoContext(ctx, "rolling back", "stages", len(undo.Stages))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	err = w.putBack(ctx, ch, undo, plan.ProofOfUndo(w.entry.App.Name, done))
	w.changes = append(w.changes, linesOf(undo)...)
	if err == nil && !w.preceded() {
		w.detail += "; there was nothing before to go back to, and what was made was taken away"
		return nil
	}
	if err == nil {
		w.detail += "; the machines were put back to what they were before, and that was proven"
		return nil
	}
	if errors.Is(err, fly.ErrUntrusted) || errors.Is(err, ErrUntrusted) {
		return err
	}
	w.outcome = job.Failed
	w.detail += fmt.Sprintf("; putting them back did not work: %v", err)
	return nil
}

// putBack takes the undo's stages. What the release made goes only when what was put back is proven: it may be all
// that serves.
func (w *work) putBack(ctx context.Context, ch *fly.Change, undo plan.Plan, proof plan.Proof) error {
	for _, st := range undo.Stages {
		if destroys(st) {
			if err := ch.Prove(ctx, proof); err != nil {
				return err
			}
		}
		if _, err := w.applyStage(ctx, ch, st); err != nil {
			return err
		}
	}
	return ch.Prove(ctx, proof)
}
