package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// MaxApps is the number of apps of one repository that a push deploys with a job each. A push
// that concerns more is sorted out by one fan-out sync.
const MaxApps = 5

// Jobs says which jobs a push makes, given the routes that it matches: a sync per config tree that
// lives at the ref (routes and roots) or includes it, and a deploy job per app that follows it, or one fan-out
// sync where there are more than MaxApps, or where more says that routes leaves some out. Apps are in the order of their
// names. When no job is made, ignored says why. Pure: now is used only where the forge gave no push time.
func Jobs(p Push, found Found, now time.Time) (jobs []job.Job, ignored string) {
	if p.Deleted {
		return nil, fmt.Sprintf("%s of %s was deleted: what it deployed stays as it is", p.Ref, job.RepoKey(p.Repo))
	}
	if p.Skip {
		return nil, fmt.Sprintf("the head commit %.12s of %s asks FlyCD to skip it: the next push without that deploys it too", p.After, job.RepoKey(p.Repo))
	}
	m := maker{push: p, now: now}
	seen := map[string]bool{}
	var apps []Route
	for _, r := range found.all(p) {
		switch id := r.Config.ID(); {
		case r.App != "" && !seen["app "+r.App]:
			seen["app "+r.App] = true
			apps = append(apps, r)
		case r.App == "" && r.Config.Repo != "" && !seen["config "+id]:
			seen["config "+id] = true
			jobs = append(jobs, m.sync(r.Config))
		}
	}
	slices.SortStableFunc(apps, func(a, b Route) int { return strings.Compare(a.App, b.App) })
	if found.More || len(apps) > MaxApps {
		return append(jobs, m.fanOut()), ""
	}
	for _, r := range apps {
		jobs = append(jobs, m.deploy(r))
	}
	if len(jobs) == 0 {
		ignored = fmt.Sprintf("no app and no config tree follows %s of %s", p.Ref, job.RepoKey(p.Repo))
	}
	return jobs, ignored
}

// Found is what is known to follow a push.
type Found struct {
	// Routes are those of the catalog; More says that they are not all.
	Routes []Route
	More   bool
	// Roots are the config trees that are configured, so that the first push to an empty catalog
	// works.
	Roots []job.Config
}

// all gives the routes, and a route for each root that lives at the ref of the push.
func (f Found) all(p Push) []Route {
	keys := map[string]bool{}
	for _, k := range Keys(p) {
		keys[k] = true
	}
	var routes []Route
	for _, root := range f.Roots {
		for _, k := range ConfigKeys(root) {
			if keys[k] {
				routes = append(routes, Route{Config: root})
			}
		}
	}
	return append(routes, f.Routes...)
}

// maker makes the jobs of one push.
type maker struct {
	push Push
	now  time.Time
}

func (m maker) sync(c job.Config) job.Job {
	j := m.job(job.Sync, c.ID(), job.ConfigSide)
	j.Config = c
	return j
}

func (m maker) deploy(r Route) job.Job {
	j := m.job(job.Deploy, r.App, job.SourceSide)
	j.App, j.Org, j.Config = r.App, r.Org, r.Config
	return j
}

func (m maker) fanOut() job.Job {
	j := m.job(job.Sync, "", job.SourceSide)
	j.Low = true
	return j
}

// job gives what all jobs of the push share.
func (m maker) job(kind job.Kind, subject string, side job.Side) job.Job {
	p := m.push
	order := job.Order{Time: p.Time, Before: p.Before, After: p.After}
	if order.Time == 0 {
		order.Time = m.now.UnixMilli()
	}
	return job.Job{
		ID: job.Push{
			Kind: kind, Subject: subject, Repo: p.Repo, Ref: p.Ref, Before: p.Before, After: p.After, Time: p.Time,
		}.ID(),
		Kind:     kind,
		Half:     job.Half{Side: side, Repo: p.Repo, Ref: p.Ref, Default: p.isDefault(), Commit: p.After},
		Order:    order,
		Reason:   job.ByPush,
		Delivery: p.Delivery,
		Actor:    p.Actor,
		Created:  m.now.UTC(),
	}
}
