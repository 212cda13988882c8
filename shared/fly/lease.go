package fly

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// abreast is how many requests for different machines go out at once.
const abreast = 8

// leases are the leases that a change holds. They are safe to share.
type leases struct {
	mu   sync.Mutex
	held map[string]*lease
	// lost tells why no lease is trusted any more; nil while all are.
	lost error
}

type lease struct {
	nonce string
	// until is how long it is trusted: the start of the last refresh that succeeded + TTL − margin.
	until time.Time
	// ending marks a machine that is being destroyed: that its lease goes is no loss.
	ending bool
}

// put notes a lease that was asked for at start.
func (l *leases) put(id, nonce string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*lease{}
	}
	l.held[id] = &lease{nonce: nonce, until: until}
}

func (l *leases) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// end marks the machine as one that is being destroyed, or no longer so.
func (l *leases) end(id string, ending bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[id]; h != nil {
		h.ending = ending
	}
}

// refreshed notes a refresh; an older one changes nothing.
func (l *leases) refreshed(id string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[id]; h != nil && until.After(h.until) {
		h.until = until
	}
}

// lose notes that the lease of id is not ours any more, unless its machine is going anyway.
func (l *leases) lose(id string, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[id]; h != nil && !h.ending && l.lost == nil {
		l.lost = why
	}
}

func (l *leases) nonce(id string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[id]
	if h == nil {
		return "", false
	}
	return h.nonce, true
}

// all gives the nonces by machine id.
func (l *leases) all() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]string, len(l.held))
	for id, h := range l.held {
		out[id] = h.nonce
	}
	return out
}

// until gives how long all leases are trusted, at most unbound, and why not where they are lost.
func (l *leases) until(unbound time.Time) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return time.Time{}, l.lost
	}
	for _, h := range l.held {
		if !h.ending && h.until.Before(unbound) {
			unbound = h.until
		}
	}
	return unbound, nil
}

// trust is how long a lease is trusted that was asked for at start.
func (c *Client) trust(start time.Time) time.Time {
	return start.Add(c.options.LeaseTTL - c.options.margin())
}

// errGone says that a machine that was to be leased is no more.
var errGone = errors.New("machine is gone")

// lease takes the lease of a machine and waits while somebody else has it, up to LeaseWait. It does
// nothing where the lease is held already. No answer is given up when that time, or ctx, ends: a lease
// that is granted later would be nobody's until it runs out.
func (ch *Change) lease(ctx context.Context, id string) error {
	if _, held := ch.leases.nonce(id); held {
		return nil
	}
	c, op, asked := ch.client, fmt.Sprintf("lease machine %s of %s", id, ch.app), context.WithoutCancel(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	wait, cancel := atMost(ctx, c.options.LeaseWait, context.DeadlineExceeded)
	defer cancel()
	var holder string
	for pause := c.options.Poll / 2; ; pause = min(2*pause, 2*c.options.Poll) {
		err := ch.leaseOnce(asked, id)
		if err == nil {
			return nil
		}
		switch fateOf(asked, err) {
		case missing:
			return errGone
		case forbidden, invalid:
			return c.explain(ctx, op, err)
		case leased, taken:
			holder = c.sentence(err)
		case unknown, again, stale, full, over:
		}
		if sleep(wait, pause) == nil {
			continue
		}
		if holder != "" && ctx.Err() == nil {
			return &problem{fmt.Sprintf("%s: somebody else is changing the app: %s; try again when they are done",
				op, holder), []error{ErrLeased}}
		}
		return c.explain(ctx, op, err)
	}
}

// leaseOnce asks once. fly-go's AcquireLease would ask for a minute whatever the answer; a refresh
// without a nonce is the same request.
func (ch *Change) leaseOnce(ctx context.Context, id string) error {
	c := ch.client
	ctx, cancel := context.WithTimeout(ctx, c.options.writeTime())
	defer cancel()
	start, ttl := c.options.Now(), c.options.leaseSeconds()
	l, err := c.flaps.RefreshLease(ctx, ch.app, id, &ttl, "")
	if err != nil {
		return err
	}
	if l.Data == nil || l.Data.Nonce == "" {
		return errors.New("the lease has no nonce")
	}
	ch.leases.put(id, l.Data.Nonce, c.trust(start))
	return nil
}

// keep refreshes the leases until the change is closed, and then gives them back. It is the one
// goroutine that a change owns; Close waits for it.
func (ch *Change) keep(ctx context.Context) {
	defer close(ch.done)
	tick := time.NewTicker(ch.client.options.refreshEvery())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ch.refresh(ctx)
		case <-ch.stop:
			ch.closed = ch.release(ctx)
			return
		}
	}
}

// refresh refreshes every lease once. What fails is tried again at the next tick: trust runs on
// from the last success.
func (ch *Change) refresh(ctx context.Context) {
	c, ttl := ch.client, ch.client.options.leaseSeconds()
	ctx, cancel := context.WithTimeout(ctx, 2*c.options.refreshEvery())
	defer cancel()
	var g errgroup.Group
	g.SetLimit(abreast)
	for id, nonce := range ch.leases.all() {
		g.Go(func() error {
			start := c.options.Now()
			l, err := c.flaps.RefreshLease(ctx, ch.app, id, &ttl, nonce)
			switch {
			case err == nil && l.Data != nil && l.Data.Nonce != "" && l.Data.Nonce != nonce:
				ch.leases.lose(id, fmt.Errorf("the lease of machine %s ran out, and is another one now", id))
			case err == nil:
				ch.leases.refreshed(id, c.trust(start))
			case fateOf(ctx, err) == missing:
				ch.missed(ctx, id, err)
			case fateOf(ctx, err) == leased, fateOf(ctx, err) == taken:
				ch.leases.lose(id, fmt.Errorf("the lease of machine %s is lost: %s", id, c.sentence(err)))
			}
			return nil
		})
	}
	_ = g.Wait() // each outcome was noted above
}

// missed tells a machine that is gone, which takes its lease along, from a lease that is lost.
func (ch *Change) missed(ctx context.Context, id string, err error) {
	if m, merr := ch.client.machine(ctx, ch.app, id); merr == nil && m == nil {
		ch.leases.drop(id)
		return
	}
	ch.leases.lose(id, fmt.Errorf("the lease of machine %s is lost: %s", id, ch.client.sentence(err)))
}

// release gives every lease back, within a bound of its own. A lease that is no longer ours, or
// whose machine is gone, needs nothing.
func (ch *Change) release(ctx context.Context) error {
	c := ch.client
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(abreast)
	for id, nonce := range ch.leases.all() {
		g.Go(func() error {
			err := c.look(ctx, func(ctx context.Context) error {
				return c.flaps.ReleaseLease(ctx, ch.app, id, nonce)
			})
			ch.leases.drop(id)
			if err == nil {
				return nil
			}
			if f := fateOf(ctx, err); f == missing || f == leased || f == taken {
				return nil
			}
			return c.explain(ctx, fmt.Sprintf("give back the lease of machine %s of %s", id, ch.app), err)
		})
	}
	return g.Wait()
}
