package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// healing is what a sweep found of apps whose machines somebody changed.
type healing struct {
	// Healed are the jobs that were pushed: for apps with sync.self_heal that drifted, or of which that
	// cannot be told from here.
	Healed []queue.Pushed `json:"healed,omitempty"`
	// Drifted are the other apps that drifted. They are left as they are until their next deploy.
	Drifted []string `json:"drifted,omitempty"`
}

const healParallel = 8

// heal looks at every app that was deployed well and has nothing to do, and pushes a job of low priority for
// those that are to heal themselves. It asks Fly for each app, Git never.
func (c *cli) heal(ctx context.Context, q *queue.Queue, known idle) (h healing, err error) {
	states := known.states
	resting := slices.DeleteFunc(slices.Clone(known.apps), func(e catalog.Entry) bool { return !states[e.App].Result.Outcome.Done() })
	if len(resting) == 0 {
		return h, nil
	}
	git := c.sources()
	defer func() { err = errors.Join(err, git.Close()) }()
	d, err := c.deployer(ctx, git)
	if err != nil {
		return h, err
	}
	found, errs := make([]deploy.Drift, len(resting)), make([]error, len(resting))
	group := errgroup.Group{}
	group.SetLimit(healParallel)
	for i, e := range resting {
		group.Go(func() error {
			found[i], errs[i] = d.DriftOf(ctx, e, states[e.App].Result)
			return nil
		})
	}
	_ = group.Wait() // each app's error is in errs
	var jobs []job.Job
	for i, e := range resting {
		switch heals := e.Auto && e.SelfHeal; {
		case heals && found[i] != deploy.DriftNone:
			jobs = append(jobs, sweepJob(e))
		case found[i] == deploy.DriftFound:
			h.Drifted = append(h.Drifted, e.App)
		case errs[i] != nil:
			fmt.Fprintf(c.err, "warning: whether %s drifted is not known: %v\n", e.App, errs[i])
		}
	}
	if len(jobs) == 0 || ctx.Err() != nil {
		return h, ctx.Err()
	}
	answer, _, err := q.Push(ctx, queue.Delivery{Jobs: jobs})
	h.Healed = answer.Jobs
	return h, err
}
