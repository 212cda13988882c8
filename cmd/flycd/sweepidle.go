package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// idle are the apps of the catalog that have no job and are not held, by name, and what is known of every app.
type idle struct {
	apps   []catalog.Entry
	states map[string]queue.AppState
}

// without leaves out the apps that have a job by now.
func (i idle) without(f following) idle {
	busy := map[string]bool{}
	for _, j := range f.Followed {
		busy[j.App] = true
	}
	i.apps = slices.DeleteFunc(slices.Clone(i.apps), func(e catalog.Entry) bool { return busy[e.App] })
	return i
}

func (c *cli) idle(ctx context.Context, q *queue.Queue) (idle, error) {
	apps, err := q.Apps(ctx)
	if err != nil {
		return idle{}, err
	}
	states, err := q.AppStates(ctx, apps)
	if err != nil {
		return idle{}, err
	}
	trees := map[string]bool{}
	for _, s := range states {
		trees[s.Config] = s.Config != ""
	}
	var list []catalog.Entry
	for tree, known := range trees {
		if !known {
			continue
		}
		entries, err := q.Entries(ctx, tree)
		if err != nil {
			return idle{}, err
		}
		list = append(list, entries...)
	}
	list = slices.DeleteFunc(list, func(e catalog.Entry) bool {
		s := states[e.App]
		return s.Active != "" || s.Pending != "" || s.Hold
	})
	slices.SortFunc(list, func(a, b catalog.Entry) int { return cmp.Compare(a.App, b.App) })
	return idle{list, states}, nil
}

// sweepJob asks for what was deployed last, or whatever is newest by then.
func sweepJob(e catalog.Entry) job.Job {
	j := byHand(job.Job{Kind: job.Deploy, App: e.App, Org: e.Org, Config: e.Config, Low: true}, time.Now())
	j.Reason = job.BySweep
	return j
}
