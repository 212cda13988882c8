package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/source"
)

// write writes the entries as a new generation and switches the tree to it. It reports false when
// a newer sync has been there.
func (s *Syncer) write(ctx context.Context, req Request, at source.Commit, entries []catalog.Entry) (bool, []queue.Conflict, error) {
	j := req.Job
	if err := s.Sweeper.DropGenerations(ctx, j.Config); err != nil {
		return false, nil, err
	}
	gen, err := s.Catalog.BeginGeneration(ctx, j.Config)
	if err != nil {
		return false, nil, err
	}
	conflicts, err := s.Catalog.WriteEntries(ctx, j.Config, gen, entries)
	if err != nil {
		return false, nil, err
	}
	switched, err := s.Catalog.SwitchGeneration(ctx, queue.Switch{Config: j.Config, Generation: gen, Commit: at.Hash, Order: j.Order, Fence: req.Fence})
	return switched, conflicts, err
}

// pushChanged pushes a deploy job for every app whose config is neither the deployed nor the wished
// one.
func (s *Syncer) pushChanged(ctx context.Context, j job.Job, at source.Commit, r reading) ([]job.ID, error) {
	states, err := s.statesOf(ctx, r.entries)
	if err != nil {
		return nil, err
	}
	var jobs []job.Job
	for _, e := range r.entries {
		if !r.fresh[e.App] || r.held[e.App] || !e.Auto && !j.Force {
			continue
		}
		half := job.Half{
			Side: job.ConfigSide, Repo: j.Config.Repo, Ref: at.Ref, Default: j.Config.Ref == "", Commit: at.Hash, Digest: e.Digest,
		}
		if changed(states, e.App, half) || j.Force {
			jobs = append(jobs, child(j, e, half))
		}
	}
	return s.push(ctx, inOrder(jobs, r.entries))
}

// inOrder puts the jobs of apps behind those of the apps that they depend on: pushed in several chunks, a
// dependency's job is there before it is looked for.
func inOrder(jobs []job.Job, entries []catalog.Entry) []job.Job {
	needs, place := catalog.Needs{}, map[string]int{}
	for _, e := range entries {
		needs[e.App] = e.DependsOn
	}
	for i, app := range needs.Order() {
		place[app] = i
	}
	slices.SortStableFunc(jobs, func(a, b job.Job) int { return cmp.Compare(place[a.App], place[b.App]) })
	return jobs
}

func (s *Syncer) statesOf(ctx context.Context, entries []catalog.Entry) (map[string]queue.AppState, error) {
	apps := make([]string, len(entries))
	for i, e := range entries {
		apps[i] = e.App
	}
	return s.Jobs.AppStates(ctx, apps)
}

// changed reports whether the app is neither deployed with the half's digest nor wished to be. One
// that is about to be destroyed is always deployed again, and so is one that is about to be deployed with
// nobody knows what.
func changed(states map[string]queue.AppState, app string, half job.Half) bool {
	st := states[app]
	if st.PendingKind == job.Destroy || st.ActiveKind == job.Destroy {
		return true
	}
	deployed, wished, open := st.ConfigDigest, st.WantConfigDigest, st.ConfigOpen
	if half.Side == job.SourceSide {
		deployed, wished, open = st.SourceDigest, st.WantSourceDigest, st.SourceOpen
	}
	if wished == "" {
		wished = deployed
	}
	return open || half.Digest == "" || half.Digest != wished
}

// child makes the job that a sync wants done for an app. The same sync of the same commit makes the same
// job. What a person's sync wants, the person wants.
func child(parent job.Job, e catalog.Entry, half job.Half) job.Job {
	reason := job.BySync
	if parent.ByHand() {
		reason = parent.Reason
	}
	return job.Job{
		ID: job.ChildID(parent.ID, job.Deploy, e.App, half.Commit), Kind: job.Deploy, App: e.App, Config: e.Config, Org: e.Org,
		Half: half, Order: parent.Order, Reason: reason, Delivery: parent.Delivery, Actor: parent.Actor,
		Created: parent.Created, Force: parent.Force, Low: true,
	}
}

// push pushes the jobs. A crash in the middle is repaired by the next run, which names the same jobs.
func (s *Syncer) push(ctx context.Context, jobs []job.Job) ([]job.ID, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	answer, _, err := s.Jobs.Push(ctx, queue.Delivery{Jobs: jobs})
	if err != nil {
		return nil, fmt.Errorf("push %d jobs: %w", len(jobs), err)
	}
	ids := make([]job.ID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	for _, p := range answer.Jobs {
		if s.Log == nil {
			break
		}
		s.Log.InfoContext(ctx, "pushed", "kind", string(p.Kind), "app", p.App, "job", string(p.ID), "state", p.State)
	}
	return ids, nil
}

// prune pushes a destroy job for the apps that asked for it and that a complete reading no longer
// found. The job itself looks again.
func (s *Syncer) prune(ctx context.Context, j job.Job, at source.Commit, gone []catalog.Entry) ([]job.ID, error) {
	var jobs []job.Job
	for _, e := range gone {
		if e.Prune {
			d := child(j, e, job.Half{})
			d.ID, d.Kind, d.Force = job.ChildID(j.ID, job.Destroy, e.App, at.Hash), job.Destroy, false
			jobs = append(jobs, d)
		}
	}
	return s.push(ctx, jobs)
}

// finish words the result.
func (r reading) finish(res job.Result, gone []catalog.Entry) job.Result {
	for _, e := range gone {
		if !e.Prune {
			res.Warnings = append(res.Warnings, "app "+e.App+" is no longer named by the tree; it was left running (sync.prune is not set)")
		}
	}
	res.Outcome = job.Unchanged
	if len(res.Jobs) > 0 {
		res.Outcome = job.Updated
	}
	lines := append([]string(nil), r.refused...)
	for _, p := range r.problems {
		lines = append(lines, p.String())
	}
	if len(lines) > 0 {
		res.Outcome = job.Rejected
		res.Detail = fmt.Sprintf("%d apps were read and go on; the rest is refused:\n%s", len(r.fresh), strings.Join(lines, "\n"))
	}
	return res
}
