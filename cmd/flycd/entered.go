package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// Why a deploy by hand ends before its app is done.
var (
	errCalledOff   = errors.New("the job was called off")
	errInterrupted = errors.New("interrupted between two steps: deploy again to go on from there")
	errLapsed      = errors.New("the queue gave the app away: this process was silent for too long")
)

// deployOne runs one app through the corridor. With a queue, the app's place among the runners is taken
// first, and the result is recorded; without one, Fly's machine leases are the only lock.
func (c *cli) deployOne(ctx context.Context, q *queue.Queue, d deploy.Deployer, req deploy.Request) (job.Result, error) {
	if q == nil {
		res, err := d.Deploy(ctx, req)
		return res, interrupted(ctx, err)
	}
	host, _ := os.Hostname() // only to tell people where
	claim, err := q.Enter(ctx, req.Job, fmt.Sprintf("%s/%d", host, os.Getpid()))
	if errors.Is(err, queue.ErrBusy) {
		return job.Result{Outcome: job.Rejected, Refused: true, Detail: err.Error() + ": wait for it (`flycd status` shows it), or cancel it"}, nil
	}
	if err != nil {
		return job.Result{}, err
	}
	attempt, end := context.WithCancelCause(ctx)
	defer end(nil)
	grip := newGrip(ctx, q, claim, end)
	d.Lease, d.Turns, req.Last = grip, q, claim.App.Result
	res, err := d.Deploy(attempt, req)
	grip.close()
	err = interrupted(ctx, err)
	return res, errors.Join(err, record(ctx, q, claim, ending{res, err}))
}

// interrupted gives the error for people when it was Ctrl-C that ended a deploy.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// ending is how a deploy came out.
type ending struct {
	result job.Result
	err    error
}

// record writes down how the deploy ended, also after Ctrl-C: the app is free again.
func record(ctx context.Context, q *queue.Queue, claim *queue.Claim, e ending) error {
	res, failure := e.result, e.err
	const enough = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enough)
	defer cancel()
	switch {
	case errors.Is(failure, errLapsed):
		return nil
	case errors.Is(failure, errCalledOff), errors.Is(failure, errInterrupted):
		res.Outcome, res.Detail = job.Cancelled, failure.Error()
	case failure != nil:
		res.Outcome, res.Detail = job.Failed, failure.Error()
	}
	return q.Finish(ctx, claim, res)
}

// grip renews a claim until it is closed, and ends the attempt when the claim is gone.
type grip struct {
	queue *queue.Queue
	claim *queue.Claim
	end   context.CancelCauseFunc

	mu    sync.Mutex
	until time.Time
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func newGrip(ctx context.Context, q *queue.Queue, claim *queue.Claim, end context.CancelCauseFunc) *grip {
	g := &grip{queue: q, claim: claim, end: end, until: claim.TrustedUntil}
	// Ctrl-C ends the deploy between two steps; until then the claim is held.
	ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	g.done.Go(func() {
		const beats = 6
		for pause(ctx, q.Times.Hold/beats) == nil {
			g.renew(ctx)
		}
	})
	return g
}

// TrustedUntil is the moment up to which the claim certainly stands.
func (g *grip) TrustedUntil() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until
}

func (g *grip) renew(ctx context.Context) {
	held, err := g.queue.Hold(ctx, g.claim)
	if err != nil {
		if ctx.Err() == nil && !time.Now().Before(g.TrustedUntil()) {
			g.end(errLapsed)
		}
		return // the last answer's trust runs on, and ends by itself
	}
	g.mu.Lock()
	g.until = held.TrustedUntil
	g.mu.Unlock()
	switch {
	case !held.Stands:
		g.end(errLapsed)
	case held.Cancelled:
		g.end(errCalledOff)
	}
}

func (g *grip) close() {
	g.stop()
	g.done.Wait()
}
