package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/job"
)

// ErrBusy comes from Enter: the app has an active job, which the error names.
var ErrBusy = errors.New("the app is being deployed")

// Enter makes and claims a job that the caller does itself: how `flycd deploy` takes an app's place
// among the runners. The job's id must be salted. It returns ErrBusy while the app has an active job.
//
// The job neither waits nor wishes anything: it has one attempt, and a caller that vanishes leaves it
// failed and not queued. Jobs that are pushed meanwhile are parked, and follow when it has ended. Hold
// and Finish are as for a runner; the claim's Wish is empty, as nobody's wish is deployed.
func (q *Queue) Enter(ctx context.Context, j job.Job, process string) (*Claim, error) {
	w, err := newWish(j)
	if err != nil {
		return nil, err
	}
	active, err := q.run(ctx, "enter.lua", w.id, w.kind, w.subject, w.json, q.Times.Start.Milliseconds(),
		q.Times.Run.Milliseconds(), q.Times.Failed-1, q.Times.Lost-1).Text()
	if err != nil {
		return nil, fmt.Errorf("enter job %s: %w", j.ID, err)
	}
	if active != w.id {
		return nil, fmt.Errorf("%s has the active job %s: %w", j.Subject(), active, ErrBusy)
	}
	c, err := q.Claim(ctx, j.ID, 1, process)
	if err != nil {
		return nil, err
	}
	c.Wish, c.config, c.source, c.force = Wish{}, "", "", ""
	c.Most = q.Times.Failed
	return c, nil
}
