package deploy

import (
	"context"
	"fmt"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/source"
)

// Sync reads the job's config tree, or sorts out a push that concerns many apps of one repository,
// and pushes the jobs that follow from it. It may be called again at any time: it judges by what was
// deployed or wished and names the same jobs.
//
// The error wraps job.ErrRejected when nothing of the tree could be read; nothing is changed then.
// Mistakes in some apps reject the job too, but only after the others went on: Result.Jobs has them.
func (s *Syncer) Sync(ctx context.Context, req Request) (job.Result, error) {
	if req.Job.Config.Repo == "" {
		return s.fanOut(ctx, req)
	}
	run := &syncRun{Syncer: s, req: req}
	for _, step := range []func(context.Context) error{run.resolve, run.known, run.compare, run.replace, run.pushApps, run.pruneApps, run.remember} {
		if err := step(ctx); err != nil || run.res.Outcome != "" {
			return run.res, err
		}
	}
	return run.finish(), nil
}

// syncRun is one sync of a config tree on its way. Each step fills in what it found; one that sets the result's
// outcome ends it.
type syncRun struct {
	*Syncer
	req Request
	res job.Result
	// resolve
	at source.Commit
	// compare
	reading
	old, gone []catalog.Entry
	// gen is the generation that replace made the current one.
	gen int64
	// open reports that something is left for the next sync to do: apps that are to be pruned.
	open bool
}

// tree is what is synced.
func (r *syncRun) tree() job.Config { return r.req.Job.Config }

// resolve decides at which commit the tree is read, and places that in the order of pushes.
func (r *syncRun) resolve(ctx context.Context) error {
	at, err := r.commit(ctx, r.req)
	if err != nil {
		return err
	}
	r.at, r.res.ConfigCommit = at, at.Hash
	if r.req.ConfigOrder != (job.Order{}) {
		// the half that was read may be newer than the job
		r.req.Job.Order = r.req.ConfigOrder
	}
	r.req.Job.Order = orderOf(r.req.Job.Order, at.Hash)
	return nil
}

// compare reads the tree and finds out what differs from the catalog: apps that are gone, moved, or have another
// name.
func (r *syncRun) compare(ctx context.Context) (err error) {
	if r.reading, err = r.read(ctx, r.req, r.at); err != nil {
		return err
	}
	if r.old, err = r.Index.Entries(ctx, r.tree().ID()); err != nil {
		return err
	}
	if r.unread {
		// what could not be read may point to what it pointed to before: pushes there go on to reach the tree
		before, err := r.Links.Includes(ctx, r.tree().ID())
		if err != nil {
			return err
		}
		r.includes = union(r.includes, before)
	}
	r.gone = r.carryOver(r.old)
	r.res.Warnings = append(r.res.Warnings, r.warnings...)
	r.res.Changes = movesOf(r.old, r.entries, r.gone)
	return nil
}

// replace writes down what is gone, and then makes what was read the current generation of the tree, unless a newer
// sync has been there. Whoever dies between the two has marked apps that the tree still names, which means nothing.
func (r *syncRun) replace(ctx context.Context) error {
	if err := r.markGone(ctx); err != nil {
		return err
	}
	if err := r.Sweeper.DropGenerations(ctx, r.tree()); err != nil {
		return err
	}
	var err error
	if r.gen, err = r.Catalog.BeginGeneration(ctx, r.tree()); err != nil {
		return err
	}
	conflicts, err := r.Catalog.WriteEntries(ctx, r.tree(), r.gen, r.entries)
	if err != nil {
		return err
	}
	if err := r.Links.WriteIncludes(ctx, r.tree(), r.gen, r.includes); err != nil {
		return err
	}
	switched, err := r.Catalog.SwitchGeneration(ctx, r.switchTo(r.gen))
	if err == nil && !switched {
		switched, err = r.overtake(ctx)
	}
	switch {
	case err != nil:
		return err
	case !switched:
		r.res.Outcome, r.res.Detail = job.Superseded, "a newer sync of "+r.tree().ID()+" has been there"
		return nil
	}
	for _, c := range conflicts {
		r.refused = append(r.refused, fmt.Sprintf("app %s belongs to the config tree %s: it stays there until that tree no longer names it", c.App, c.Config))
		delete(r.fresh, c.App)
	}
	return nil
}

// overtake switches all the same where the forge says that what was read is the newest commit. A push is stamped by the
// forge, in whole seconds; a sync that a person or a ping asked for by Redis, in milliseconds. So a push may pass for older
// than a sync that read the tree before it. It then counts as the successor of what that one read.
func (r *syncRun) overtake(ctx context.Context) (bool, error) {
	now, known, err := r.Sights.Config(ctx, r.tree().ID())
	if err != nil || !known || now.Commit == r.at.Hash {
		return false, err
	}
	head, err := resolveTree(ctx, r.Source, r.tree())
	if err != nil || head.Hash != r.at.Hash {
		return false, err
	}
	r.req.Job.Order = job.Order{Time: now.Order.Time, Before: now.Order.After, After: r.at.Hash}
	return r.Catalog.SwitchGeneration(ctx, r.switchTo(r.gen))
}

// orderOf gives the order of what was read at a commit. Where the forge was asked for the head, that is not
// the commit of the push, and a push of the same second must not pass for its successor.
func orderOf(o job.Order, read string) job.Order {
	if o.After != read {
		o.Before, o.After = "", read
	}
	return o
}

// commit decides where the tree is read: the half that is wished, else the job's own, else ls-remote. A
// wished half without a commit says that only the forge knows which of two pushes is the newer one, and one of
// another repository that the tree includes says nothing of the tree's own.
func (s *Syncer) commit(ctx context.Context, req Request) (source.Commit, error) {
	half := wishedHalf(req)
	if half.Commit != "" && half.Side == job.ConfigSide && sameConfig(req.Job.Config, half) {
		return source.Commit{Hash: half.Commit, Ref: half.Ref}, nil
	}
	return resolveTree(ctx, s.Source, req.Job.Config)
}

// wishedHalf is the half that is wished, else the job's own.
func wishedHalf(req Request) job.Half {
	if req.Config != nil {
		return *req.Config
	}
	return req.Job.Half
}
