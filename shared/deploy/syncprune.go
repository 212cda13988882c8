package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// markGone writes down the apps that the switch will drop from the catalog, so that nobody forgets them who dies after
// it. A reading that may have missed apps has none.
func (r *syncRun) markGone(ctx context.Context) error {
	var list []queue.Gone
	for _, e := range r.gone {
		g := queue.Gone{Entry: e, Commit: r.at.Hash}
		for _, other := range r.entries {
			known := slices.ContainsFunc(r.old, func(o catalog.Entry) bool { return o.App == other.App })
			if !known && renamedTo(other, []catalog.Entry{e}) != "" {
				g.Renamed = other.App
			}
		}
		list = append(list, g)
	}
	if len(list) == 0 {
		return nil
	}
	return r.Graves.MarkGone(ctx, r.tree(), list)
}

// pruneApps pushes a destroy job for apps that the tree stopped naming and that asked for it, at most as many as their
// rule lets one sync destroy, the longest gone first. Each waits for its grace, and looks again before it destroys
// anything. A tree that could not be read without a mistake prunes none: what is broken may be meant to name them.
func (r *syncRun) pruneApps(ctx context.Context) error {
	all, err := r.Graves.Tombstones(ctx, r.tree().ID())
	if err != nil {
		return err
	}
	var stones, spent []queue.Tombstone
	for _, t := range all {
		switch {
		case t.Gone.IsZero():
			stones = append(stones, t)
		case t.Job == r.destroyOf(t).ID:
			spent = append(spent, t) // by this very sync, when it ran before: its rule goes on to count
		}
	}
	r.open = slices.ContainsFunc(stones, func(t queue.Tombstone) bool { return t.Entry.Prune })
	if r.open && (r.unread || len(r.problems) > 0) {
		r.warn("nothing is pruned while the tree has mistakes: what could not be read may name further apps")
		return nil
	}
	slices.SortFunc(stones, func(a, b queue.Tombstone) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.App, b.App))
	})
	both := slices.Concat(stones, spent)
	jobs := r.destroys(stones, mostPruned(both, len(r.entries)+len(both))-len(spent))
	ids, err := r.push(ctx, jobs)
	r.res.Jobs = append(r.res.Jobs, ids...)
	return err
}

// destroys makes at most left jobs. One that this very sync pushed when it ran before counts as one of its own again,
// however it ended.
func (r *syncRun) destroys(stones []queue.Tombstone, left int) []job.Job {
	var jobs []job.Job
	for _, t := range stones {
		if t.Entry.Prune && t.Job == r.destroyOf(t).ID {
			left--
		}
	}
	over := 0
	for _, t := range stones {
		d := r.destroyOf(t)
		switch {
		case !t.Entry.Prune:
			r.warn("app %s is no longer named by the tree; it was left running (sync.prune is not set)", t.App)
		case t.Job == d.ID:
			jobs = append(jobs, d)
		case t.Underway():
		case t.Outcome == job.Rejected:
			r.warn("app %s is no longer named by the tree, and was not pruned: %s; `flycd prune --confirm %s` destroys it all the same", t.App, cmp.Or(t.Detail, "it was refused"), t.App)
		case left <= 0:
			over++
		default:
			left--
			jobs = append(jobs, d)
		}
	}
	if over > 0 {
		r.warn("%d more apps are no longer named by the tree: one sync prunes no more than sync.prune_max lets it (%d without it); the next sync goes on", over, catalog.DefaultMax)
	}
	return jobs
}

// destroyOf is the job that destroys an app: not before its grace is over. It is the sync's own for this disappearance
// of the app, whatever the sync reads when it runs again.
func (r *syncRun) destroyOf(t queue.Tombstone) job.Job {
	e := t.Entry
	e.App, e.Config = t.App, r.tree()
	d := child(r.req.Job, e, job.Half{})
	d.ID, d.Kind, d.Force = job.ChildID(r.req.Job.ID, job.Destroy, t.App, strconv.FormatInt(t.Since.UnixMilli(), 10)), job.Destroy, false
	d.DelayMS = max(e.Pruning.Grace()-t.Age, 0).Milliseconds()
	return d
}

// mostPruned is how many apps one sync may destroy: the strictest rule of those that are to go counts.
func mostPruned(stones []queue.Tombstone, all int) int {
	most := -1
	for _, t := range stones {
		if !t.Entry.Prune {
			continue
		}
		if n := limitOf(t.Entry.Pruning, all); most < 0 || n < most {
			most = n
		}
	}
	return max(most, 0)
}

// limitOf is how many of all apps of a tree a rule lets one sync destroy; a percentage is never less than one.
func limitOf(p catalog.Pruning, all int) int {
	share := max(all*p.Percent/100, 1)
	switch {
	case p.Percent > 0 && p.Max > 0:
		return min(p.Max, share)
	case p.Percent > 0:
		return share
	default:
		return cmp.Or(p.Max, catalog.DefaultMax)
	}
}

func (r *syncRun) warn(format string, args ...any) {
	r.res.Warnings = append(r.res.Warnings, fmt.Sprintf(format, args...))
}
