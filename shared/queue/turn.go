package queue

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// Turn waits until nobody else builds the image, so that two jobs that want the same one build it once: the second
// finds it when its turn comes. image names what is built, holder who builds it, for people who look. waited
// says that another one had the turn meanwhile.
//
// The turn is renewed in the background until release or the end of ctx. Who dies or falls silent loses it
// after Times.Turn. It saves work and proves nothing: without Redis, or with a renewal that came late, two may build.
//
// release is never nil, may be called twice, and never ends another one's turn. The error is the cause of ctx's
// end, or Redis'; there is no turn then, and building without one is safe.
func (q *Queue) Turn(ctx context.Context, image, holder string) (release func(), waited bool, err error) {
	t := turn{q: q, image: image, holder: holder + " " + rand.Text(), stands: q.Times.Turn}
	for wait := t.stands / 30; ; wait = min(wait*5/4, t.stands/6) {
		mine, err := t.take(ctx)
		if err == nil && mine {
			return t.keep(ctx), waited, nil
		}
		if ctx.Err() != nil {
			t.end(ctx)
			return func() {}, waited, fmt.Errorf("wait for the build of %s: %w", image, context.Cause(ctx))
		}
		if err != nil {
			return func() {}, waited, fmt.Errorf("take a turn at building %s: %w", image, err)
		}
		waited = true
		// builds take seconds or many minutes, and hosted servers bill by command
		pause(ctx, wait)
	}
}

// turn is one caller's turn at building an image, or its wish for one.
type turn struct {
	q *Queue
	// holder is a name that nobody else has.
	image, holder string
	stands        time.Duration
}

// take takes or renews the turn, and says whether the caller has it.
func (t turn) take(ctx context.Context) (mine bool, err error) {
	has, err := t.q.run(ctx, "turn.lua", t.image, t.holder, max(t.stands.Milliseconds(), 1)).Text()
	return has == t.holder, err
}

// keep renews the turn until the function that it gives is called, or ctx ends.
func (t turn) keep(ctx context.Context) (release func()) {
	renewing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(max(t.stands/3, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-ticker.C:
			}
			// A renewal that fails may be followed by one that does not; one that is refused is not.
			if mine, err := t.take(renewing); err == nil && !mine {
				return
			}
		}
	}()
	return func() {
		stop()
		<-done
		t.end(ctx)
	}
}

// end lets others in at once. Where that fails, they wait until the turn lapses.
func (t turn) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = t.q.run(ctx, "unturn.lua", t.image, t.holder).Err()
}

// pause waits for d and up to half of it more, so that waiters do not ask in step, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	d = max(d, time.Millisecond)
	timer := time.NewTimer(d + mathrand.N(d/2)) //nolint:gosec // it spreads waiters
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
