package deploy

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// fanOut sorts out a push that concerns many apps of one repository: the repository is fetched once, the
// subtree hash of each app compared, and a job pushed for those whose subtree changed.
func (s *Syncer) fanOut(ctx context.Context, req Request) (job.Result, error) {
	half := req.Job.Half
	if req.Source != nil && job.RepoKey(req.Source.Repo) == job.RepoKey(half.Repo) && req.Source.Ref == half.Ref {
		half = *req.Source
		if req.SourceOrder != (job.Order{}) {
			req.Job.Order = req.SourceOrder
		}
	}
	if half.Commit == "" {
		at, err := s.Source.Resolve(ctx, half.Repo, manifest.Ref{Name: half.Ref})
		if err != nil {
			return job.Result{}, fmt.Errorf("resolve source %s: %w", half.Repo, err)
		}
		half.Commit, half.Ref = at.Hash, cmp.Or(half.Ref, at.Ref)
	}
	req.Job.Order = orderOf(req.Job.Order, half.Commit)
	res := job.Result{SourceCommit: half.Commit}
	push := catalog.Push{Repo: half.Repo, Ref: half.Ref, After: half.Commit}
	if half.Default {
		push.DefaultBranch = strings.TrimPrefix(half.Ref, "refs/heads/")
	}
	routes, _, err := s.Index.Routes(ctx, push, 0)
	if err != nil {
		return res, fmt.Errorf("look up apps of %s: %w", half.Repo, err)
	}
	jobs, err := s.concerned(ctx, req.Job, half, routes)
	if err != nil {
		return res, err
	}
	res.Jobs, err = s.push(ctx, jobs)
	res.Outcome = job.Unchanged
	if len(res.Jobs) > 0 {
		res.Outcome = job.Updated
	}
	return res, err
}

// concerned makes the jobs of those routes whose source changed.
func (s *Syncer) concerned(ctx context.Context, parent job.Job, half job.Half, routes []catalog.Route) ([]job.Job, error) {
	entries, err := s.entriesOf(ctx, routes)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	code, err := s.Source.Outline(ctx, half.Repo, source.Commit{Hash: half.Commit, Ref: half.Ref})
	if err != nil {
		return nil, fmt.Errorf("fetch source %s: %w", half.Repo, err)
	}
	defer func() { _ = code.Close() }()
	states, err := s.statesOf(ctx, entries)
	if err != nil {
		return nil, err
	}
	var jobs []job.Job
	for _, e := range entries {
		h := half
		// a range is resolved when the app is deployed: whether this tag is its newest is not known here
		if e.Source.Semver == "" {
			// the app's own job says what is wrong with its folder
			if h.Digest, err = code.Digest(e.Source.Path, e.Source.Watch...); err != nil { //nolint:contextcheck // it takes none: it reads and ends
				h.Digest = ""
			}
			if !changed(states, e, h) && !parent.Force {
				continue
			}
		}
		jobs = append(jobs, child(parent, e, h))
	}
	return inOrder(jobs, entries), nil
}

// entriesOf gives the entries of the routes' apps that follow pushes.
func (s *Syncer) entriesOf(ctx context.Context, routes []catalog.Route) ([]catalog.Entry, error) {
	var out []catalog.Entry
	for _, r := range routes {
		if r.App == "" {
			continue
		}
		e, found, err := s.Index.Entry(ctx, r.App)
		if err != nil {
			return nil, fmt.Errorf("look up app %s: %w", r.App, err)
		}
		if found && e.Auto {
			out = append(out, e)
		}
	}
	return out, nil
}
