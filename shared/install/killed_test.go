package install_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/install"
)

// killedAt does something, is killed at its nth call, and gives whether it was.
func (w *world) killedAt(t *testing.T, n int, after bool, do func(context.Context, *install.Installer) error) bool {
	t.Helper()
	ctx, kill := context.WithCancelCause(context.WithoutCancel(t.Context()))
	in := w.mortal(t, &cutter{next: &http.Transport{}, calls: &w.calls, after: after, kill: kill, left: n})
	done := make(chan error, 1)
	zombies.Go(func() {
		defer kill(nil)
		done <- do(ctx, in)
	})
	var killed bool
	select {
	case <-ctx.Done():
		killed = errors.Is(context.Cause(ctx), errKilled)
	case err := <-done:
		if err != nil && !errors.Is(context.Cause(ctx), errKilled) {
			t.Errorf("killed at call %d: %v", n, err)
		}
		killed = err != nil
	}
	w.forge.Wait()
	w.sim.Advance(31 * time.Second) // leases of the dead run out
	return killed
}

func installing(want install.Want) func(context.Context, *install.Installer) error {
	return func(ctx context.Context, in *install.Installer) error {
		p, err := in.Plan(ctx, want)
		if err == nil {
			_, err = in.Apply(ctx, p)
		}
		return err
	}
}

// each runs one case for each call that a run makes, and for each whether the last call takes effect.
func each(t *testing.T, calls int, run func(t *testing.T, n int, after bool)) {
	t.Helper()
	step := 2
	if testing.Short() || sampled {
		step = 13
	}
	slots, all := make(chan struct{}, 8), sync.WaitGroup{}
	for n := 1; n <= calls; n += step {
		for _, after := range []bool{false, true} {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				t.Run(fmt.Sprintf("call %d after=%t", n, after), func(t *testing.T) { run(t, n, after) })
			})
		}
	}
	all.Wait()
}

func TestKilledAtAnyCallTheNextRunEndsInTheSameState(t *testing.T) {
	whole := newWorld(t, options{})
	whole.install(t, whole.want())
	calls, want := int(whole.calls.Load()), whole.holdings(t)
	if calls < 30 {
		t.Fatalf("an installation makes only %d calls", calls)
	}
	each(t, calls, func(t *testing.T, n int, after bool) {
		t.Helper()
		w := newWorld(t, options{})
		if !w.killedAt(t, n, after, installing(w.want())) {
			return // it had ended before
		}
		w.install(t, w.want())
		if got := w.holdings(t); got != want {
			t.Errorf("killed and started again, there is\n%s\nwant\n%s", got, want)
		}
		w.check(t, w.want())
	})
}
