package dispatcher

import (
	"context"
	"errors"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// syncRoots pushes a sync for each root tree that has never been read and that no job is about to read: its first push, or
// the ping of its webhook, may have been lost, or its webhook may still be missing. A root that was added to the settings
// is read likewise. One whose last sync was refused waits for the push that mends it.
func (s *Server) syncRoots(ctx context.Context) ([]job.ID, error) {
	var jobs []job.Job
	var errs []error
	now := s.now().UTC()
	for _, root := range s.Roots {
		c, _, err := s.Queue.Config(ctx, root.ID())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if c.Generation != 0 || c.State.Active != "" || c.State.Pending != "" || c.State.LastOutcome.Done() || c.State.LastOutcome == job.Rejected {
			continue
		}
		jobs = append(jobs, job.Job{
			// the same until it is over, and another one after that
			ID:   job.Push{Kind: job.Sync, Subject: root.ID(), Repo: root.Repo, Ref: "sweep", Before: string(c.State.Last)}.ID(),
			Kind: job.Sync, Config: root, Reason: job.BySweep, Created: now, Low: true,
		})
	}
	if len(jobs) == 0 {
		return nil, errors.Join(errs...)
	}
	said, _, err := s.Queue.Push(ctx, queue.Delivery{Jobs: jobs})
	var ids []job.ID
	for _, p := range said.Jobs {
		ids = append(ids, p.ID)
	}
	return ids, errors.Join(append(errs, err)...)
}
