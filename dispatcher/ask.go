package dispatcher

import (
	"context"
	"crypto/rand"
	"path"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// Ask is what somebody wants deployed: the body of POST /dispatch, and what flycd dispatch and flycd sync send.
type Ask struct {
	// App is an app of the catalog. Repo is a repository instead: its config trees are synced, and the apps that follow
	// it deployed.
	App  string `json:"app,omitempty"`
	Repo string `json:"repo,omitempty"`
	// Ref is a branch, a tag or a full ref of Repo; empty means the default branch. Path names a config tree in it that
	// nothing in the catalog names yet.
	Ref  string `json:"ref,omitempty"`
	Path string `json:"path,omitempty"`
	// Trees syncs the config trees of Repo alone. With App, its manifest is read at the newest commit of its config
	// tree, whatever a sync has read; nothing else of the tree is.
	Trees bool `json:"trees,omitempty"`
	// Force deploys although nothing changed; Confirm lets the app's deploy destroy what is lost for good.
	Force   bool `json:"force,omitempty"`
	Confirm bool `json:"confirm,omitempty"`
}

// Wished makes the jobs of an ask. They name no commit and no time: the runner asks for the newest commit, and the
// queue's clock says when they came. Of a repository that nothing in the catalog follows there, one is made that reads
// it as a config tree. The error wraps job.ErrRejected where nothing is there that could be deployed.
func Wished(ctx context.Context, q *queue.Queue, a Ask, roots []job.Config) ([]job.Job, error) {
	jobs, err := a.jobs(ctx, q, roots)
	if err == nil && len(jobs) == 0 {
		jobs = []job.Job{{Kind: job.Sync, Config: a.tree()}}
	}
	return a.wishes(jobs), err
}

// wishes are the jobs without what pins them to a push.
func (a Ask) wishes(jobs []job.Job) []job.Job {
	now := time.Now().UTC()
	for i := range jobs {
		j := &jobs[i]
		j.Half, j.Order, j.Force, j.Created = unpinned(*j), job.Order{}, a.Force, now
		j.ID = job.SaltedID(j.Kind, j.Subject(), rand.Text())
	}
	return jobs
}

// tree is the config tree that is named.
func (a Ask) tree() job.Config {
	return job.Config{Repo: a.Repo, Ref: a.Ref, Path: strings.Trim(path.Clean("/"+a.Path), "/")}
}

// unpinned is the half of a job that names no commit: a fan-out needs one, to say which repository it is over, and an app
// whose manifest is to be read anew.
func unpinned(j job.Job) job.Half {
	if j.App != "" && j.Half.Side == job.ConfigSide && j.Half.Commit == "" {
		return j.Half
	}
	if j.App != "" || j.Config.Repo != "" {
		return job.Half{}
	}
	h := job.Half{Side: job.SourceSide, Repo: j.Half.Repo, Ref: j.Half.Ref, Default: j.Half.Default}
	if h.Default {
		h.Ref = ""
	}
	return h
}

// jobs are those that the catalog and the roots know of.
func (a Ask) jobs(ctx context.Context, q *queue.Queue, roots []job.Config) ([]job.Job, error) {
	switch {
	case (a.App == "") == (a.Repo == ""):
		return nil, job.Rejectf("expected either an app or a repo")
	case a.App != "" && (a.Ref != "" || a.Path != ""):
		return nil, job.Rejectf("ref and path are for a repo: an app follows what its manifest says")
	case a.App != "":
		return a.forApp(ctx, q)
	case a.Confirm:
		return nil, job.Rejectf("confirm is for one app: name the app that may lose what is gone for good")
	}
	if c, err := job.ParseConfig(a.Repo); err != nil || c.Repo != a.Repo {
		return nil, job.Rejectf("repo: expected a repository's URL without a login; ref and path have names of their own")
	}
	tree := a.tree()
	push := catalog.Push{Repo: tree.Repo, Ref: fullRef(tree.Ref)}
	if push.Ref == "" {
		// No ref was named: whatever follows the default branch, under whichever name.
		push.Ref, push.DefaultBranch = "refs/heads/HEAD", "HEAD"
	}
	routes, more, err := q.Routes(ctx, push, catalog.MaxApps)
	if err != nil {
		return nil, err
	}
	found, _ := catalog.Jobs(push, catalog.Found{Routes: routes, More: more, Roots: roots}, time.Now())
	var jobs []job.Job
	for _, j := range found {
		syncsTree := j.Kind == job.Sync && j.Config.Repo != ""
		if a.Trees && !syncsTree || a.Path != "" && j.Config.Path != tree.Path {
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func (a Ask) forApp(ctx context.Context, q *queue.Queue) ([]job.Job, error) {
	entry, ok, err := q.Entry(ctx, a.App)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, job.Rejectf("no app %s is in the catalog: sync the config repo that names it", inert(a.App))
	}
	j := job.Job{Kind: job.Deploy, App: a.App, Org: entry.Org, Config: entry.Config, Confirm: a.Confirm}
	if a.Trees {
		// a half without a commit has the runner ask the forge
		j.Half = job.Half{Side: job.ConfigSide, Repo: entry.Config.Repo, Ref: entry.Config.Ref, Default: entry.Config.Ref == ""}
	}
	return []job.Job{j}, nil
}

func fullRef(ref string) string {
	if ref == "" || strings.HasPrefix(ref, "refs/") {
		return ref
	}
	return "refs/heads/" + ref
}
