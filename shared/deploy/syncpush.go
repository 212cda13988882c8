package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

// pushApps pushes a deploy job for every app whose config is neither the deployed nor the wished
// one.
func (r *syncRun) pushApps(ctx context.Context) error {
	states, err := r.statesOf(ctx, r.entries)
	if err != nil {
		return err
	}
	j, at := r.req.Job, r.at
	var jobs []job.Job
	for _, e := range r.entries {
		if !r.fresh[e.App] || r.held[e.App] || !e.Auto && !j.Force {
			continue
		}
		half := job.Half{
			Side: job.ConfigSide, Repo: j.Config.Repo, Ref: at.Ref, Default: j.Config.Ref == "", Commit: at.Hash, Digest: halfDigest(e),
		}
		if changed(states, e, half) || j.Force {
			jobs = append(jobs, child(j, e, half))
		}
	}
	r.res.Jobs, err = r.push(ctx, inOrder(jobs, r.entries))
	return err
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
func changed(states map[string]queue.AppState, e catalog.Entry, half job.Half) bool {
	st := states[e.App]
	if st.PendingKind == job.Destroy || st.ActiveKind == job.Destroy {
		return true
	}
	deployed, wished, open := st.ConfigDigest, st.WantConfigDigest, st.ConfigOpen
	if e.SourceDigest != "" {
		deployed = treeDigest(st.ConfigDigest, st.SourceDigest)
	}
	if half.Side == job.SourceSide {
		deployed, wished, open = st.SourceDigest, st.WantSourceDigest, st.SourceOpen
	}
	if wished == "" {
		wished = deployed
	}
	return open || half.Digest == "" || half.Digest != wished
}

// halfDigest is the digest that the config half has for an app: of its manifest, and of its source where that lies
// in the tree as well.
func halfDigest(e catalog.Entry) string {
	if e.SourceDigest == "" {
		return e.Digest
	}
	return treeDigest(e.Digest, e.SourceDigest)
}

// treeDigest is the digest of a manifest and of the source beside it.
func treeDigest(config, source string) string { return digest("tree", config, source) }

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

// finish words the result.
func (r *syncRun) finish() job.Result {
	res := r.res
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
		res.Refused = slices.ContainsFunc(r.problems, func(p manifest.Problem) bool { return p.Refused })
		res.Detail = fmt.Sprintf("%d apps were read and go on; the rest is refused:\n%s", len(r.fresh), strings.Join(lines, "\n"))
	}
	return res
}
