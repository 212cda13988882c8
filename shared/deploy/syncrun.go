package deploy

import (
	"context"
	"fmt"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
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
	at, err := s.commit(ctx, req)
	if err != nil {
		return job.Result{}, err
	}
	res := job.Result{ConfigCommit: at.Hash}
	r, err := s.read(ctx, req.Job.Config, at)
	if err != nil {
		return res, err
	}
	old, err := s.Index.Entries(ctx, req.Job.Config.ID())
	if err != nil {
		return res, err
	}
	gone := r.carryOver(old)
	res.Warnings = append(res.Warnings, r.warnings...)
	j := req.Job
	if req.ConfigOrder != (job.Order{}) {
		// the half that was read may be newer than the job
		j.Order = req.ConfigOrder
	}
	j.Order = orderOf(j.Order, at.Hash)
	req.Job = j
	switched, conflicts, err := s.write(ctx, req, at, r.entries)
	if err != nil {
		return res, err
	}
	if !switched {
		res.Outcome, res.Detail = job.Superseded, "a newer sync of "+req.Job.Config.ID()+" has been there"
		return res, nil
	}
	for _, c := range conflicts {
		r.refused = append(r.refused, fmt.Sprintf("app %s belongs to the config tree %s: it stays there until that tree no longer names it", c.App, c.Config))
		delete(r.fresh, c.App)
	}
	res.Jobs, err = s.pushChanged(ctx, j, at, r)
	if err != nil {
		return res, err
	}
	pruned, err := s.prune(ctx, j, at, gone)
	if err != nil {
		return res, err
	}
	res.Jobs = append(res.Jobs, pruned...)
	return r.finish(res, gone), nil
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
// wished half without a commit says that only the forge knows which of two pushes is the newer one.
func (s *Syncer) commit(ctx context.Context, req Request) (source.Commit, error) {
	half := req.Config
	if half == nil {
		half = &req.Job.Half
	}
	if half.Commit != "" && half.Side == job.ConfigSide && sameConfig(req.Job.Config, *half) {
		return source.Commit{Hash: half.Commit, Ref: half.Ref}, nil
	}
	return resolveTree(ctx, s.Source, req.Job.Config)
}

// reading is what a sync found in a tree.
type reading struct {
	entries []catalog.Entry
	// fresh are the apps that were read, held those of them that must not be deployed now.
	fresh, held map[string]bool
	// needs are the dependencies of the apps that were read.
	needs    catalog.Needs
	problems manifest.Problems
	refused  []string
	warnings []string
	unread   bool
}

// read fetches the tree and makes entries of its apps.
func (s *Syncer) read(ctx context.Context, tree job.Config, at source.Commit) (reading, error) {
	ts := &trees{client: s.Source}
	defer func() { _ = ts.Close() }()
	read, problems, err := ts.read(ctx, tree, at, s.Manifest)
	if err != nil {
		return reading{}, err
	}
	if len(read.Apps) == 0 && len(problems) > 0 {
		return reading{}, job.Reject(problems)
	}
	r := reading{
		fresh: map[string]bool{}, held: map[string]bool{}, needs: needsOf(read.Apps),
		problems: problems, unread: problems.HideApps() || len(read.Unread) > 0,
	}
	for _, p := range read.Warnings {
		r.warnings = append(r.warnings, p.String())
	}
	for _, e := range read.Apps {
		sum, err := ConfigDigest(e)
		if err == nil {
			_, err = parseWindows(e.App.Sync.Windows)
		}
		if err != nil {
			r.problems = append(r.problems, manifest.Problem{Repo: e.Repo, File: e.File, App: e.App.Name, Text: err.Error()})
			continue
		}
		r.entries = append(r.entries, entryOf(e, tree, at, sum))
		r.fresh[e.App.Name] = true
	}
	r.holdBack()
	return r, nil
}
