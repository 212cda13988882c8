package queuetest

import (
	"context"
	"errors"
	"time"
)

func turnLaws() []Law {
	return []Law{
		{"OneHasTheTurn", oneHasTheTurn},
		{"TurnsOfOtherImagesAreFree", turnsOfOtherImagesAreFree},
		{"SilentHolderLosesItsTurn", silentHolderLosesItsTurn},
		{"TurnIsRenewed", turnIsRenewed},
		{"StaleReleaseFreesNobodysTurn", staleReleaseFreesNobodysTurn},
		{"EndOfTheWaitGivesItsCause", endOfTheWaitGivesItsCause},
	}
}

const built = "registry.fly.io/web:t-1"

// builds takes a turn that must be free, and ends it with the law at the latest.
func (w *world) builds(ctx context.Context, image string) (release func()) {
	release, waited, err := w.q.Turn(ctx, image, "m-1")
	w.must(err)
	w.is("waited for "+image, waited, false)
	return release
}

// busy checks that nobody else gets the turn.
func (w *world) busy(image string) {
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	release, waited, err := w.q.Turn(ctx, image, "m-2")
	release()
	w.is("waited", waited, true)
	if !errors.Is(err, context.DeadlineExceeded) {
		w.fail("two have the turn at %s: %v", image, err)
	}
}

func oneHasTheTurn(w *world) {
	w.q.Times.Turn = 3 * time.Second
	release := w.builds(w.ctx, built)
	defer release()
	w.busy(built)
	release()
	again := w.builds(w.ctx, built)
	defer again()
	release()
	w.busy(built)
}

func turnsOfOtherImagesAreFree(w *world) {
	defer w.builds(w.ctx, built)()
	defer w.builds(w.ctx, built+"2")()
}

// Broken when: a runner that died keeps its image from being built.
func silentHolderLosesItsTurn(w *world) {
	w.q.Times.Turn = 60 * time.Millisecond
	ctx, cancel := context.WithCancel(w.ctx)
	w.builds(ctx, built)
	// it is silent from now on, as one that was killed
	cancel()
	ctx, cancel = context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	release, _, err := w.q.Turn(ctx, built, "m-2")
	release()
	w.must(err)
}

// Broken when: a build that takes longer than the turn stands is done by two.
func turnIsRenewed(w *world) {
	w.q.Times.Turn = 1500 * time.Millisecond
	defer w.builds(w.ctx, built)()
	ctx, cancel := context.WithTimeout(w.ctx, 4*time.Second)
	defer cancel()
	release, waited, err := w.q.Turn(ctx, built, "m-2")
	release()
	w.is("waited", waited, true)
	if !errors.Is(err, context.DeadlineExceeded) {
		w.fail("the turn was lost while it was renewed: %v", err)
	}
}

// Broken when: who lost the turn ends that of who has it now.
func staleReleaseFreesNobodysTurn(w *world) {
	w.q.Times.Turn = 60 * time.Millisecond
	ctx, cancel := context.WithCancel(w.ctx)
	stale := w.builds(ctx, built)
	cancel()
	w.q.Times.Turn = 10 * time.Second
	release, _, err := w.q.Turn(w.ctx, built, "m-2")
	w.must(err)
	defer release()
	stale()
	w.busy(built)
}

func endOfTheWaitGivesItsCause(w *world) {
	defer w.builds(w.ctx, built)()
	cause := errors.New("the job was cancelled")
	ctx, cancel := context.WithCancelCause(w.ctx)
	cancel(cause)
	release, _, err := w.q.Turn(ctx, built, "m-2")
	release()
	if !errors.Is(err, cause) {
		w.fail("the wait ended with %v, want %v", err, cause)
	}
}
