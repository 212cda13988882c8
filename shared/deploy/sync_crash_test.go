package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// faulty is the queue for a syncer that dies at its nth call, before or after the call took effect.
type faulty struct {
	*queue.Queue
	left  int
	after bool
	die   context.CancelFunc
}

var errDied = errors.New("died")

// at runs a call, unless the syncer dies with it.
func at[T any](f *faulty, call func() (T, error)) (T, error) {
	var none T
	f.left--
	if f.left != 0 {
		if f.left < 0 {
			return none, errDied
		}
		return call()
	}
	defer f.die()
	if f.after {
		if _, err := call(); err != nil {
			return none, err
		}
	}
	return none, errDied
}

// do is at for a call that gives nothing.
func do(f *faulty, call func() error) error {
	_, err := at(f, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (f *faulty) BeginGeneration(ctx context.Context, c job.Config) (int64, error) {
	return at(f, func() (int64, error) { return f.Queue.BeginGeneration(ctx, c) })
}

func (f *faulty) WriteEntries(ctx context.Context, c job.Config, gen int64, e []catalog.Entry) ([]queue.Conflict, error) {
	return at(f, func() ([]queue.Conflict, error) { return f.Queue.WriteEntries(ctx, c, gen, e) })
}

func (f *faulty) SwitchGeneration(ctx context.Context, s queue.Switch) (bool, error) {
	return at(f, func() (bool, error) { return f.Queue.SwitchGeneration(ctx, s) })
}

func (f *faulty) DropGenerations(ctx context.Context, c job.Config) error {
	return do(f, func() error { return f.Queue.DropGenerations(ctx, c) })
}

func (f *faulty) Entries(ctx context.Context, id string) ([]catalog.Entry, error) {
	return at(f, func() ([]catalog.Entry, error) { return f.Queue.Entries(ctx, id) })
}

func (f *faulty) AppStates(ctx context.Context, apps []string) (map[string]queue.AppState, error) {
	return at(f, func() (map[string]queue.AppState, error) { return f.Queue.AppStates(ctx, apps) })
}

func (f *faulty) Push(ctx context.Context, del queue.Delivery) (queue.Answer, bool, error) {
	a, err := at(f, func() (queue.Answer, error) { a, _, err := f.Queue.Push(ctx, del); return a, err })
	return a, false, err
}

func (f *faulty) WriteIncludes(ctx context.Context, c job.Config, gen int64, list []catalog.Include) error {
	return do(f, func() error { return f.Queue.WriteIncludes(ctx, c, gen, list) })
}

func (f *faulty) Includes(ctx context.Context, id string) ([]catalog.Include, error) {
	return at(f, func() ([]catalog.Include, error) { return f.Queue.Includes(ctx, id) })
}

func (f *faulty) MarkGone(ctx context.Context, c job.Config, list []queue.Gone) error {
	return do(f, func() error { return f.Queue.MarkGone(ctx, c, list) })
}

func (f *faulty) Tombstones(ctx context.Context, id string) ([]queue.Tombstone, error) {
	return at(f, func() ([]queue.Tombstone, error) { return f.Queue.Tombstones(ctx, id) })
}

func (f *faulty) Saw(ctx context.Context, s queue.Switch, sight string) (bool, error) {
	return at(f, func() (bool, error) { return f.Queue.Saw(ctx, s, sight) })
}

func (f *faulty) Seen(ctx context.Context, id string) (string, int64, error) {
	var gen int64
	sight, err := at(f, func() (sight string, err error) { sight, gen, err = f.Queue.Seen(ctx, id); return sight, err })
	return sight, gen, err
}

// At every call that a sync makes, before it took effect or after: whoever runs the sync again ends with one job for the
// app that came, one for the app that is to go, and pushes of what is included reaching the tree.
func TestSyncThatCrashedIsRepairedByRunningAgain(t *testing.T) {
	onBoth(t, func(d *desk) {
		config, lib := d.Repo("config"), d.Repo("lib")
		lib.Commit(map[string]string{"l/app.yaml": app("l0")})
		project := "project: lib\nsource: {type: git, repo: " + lib.URL + "}\n"
		d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a0"), "lib/project.yaml": project})))
		died, last := true, ""
		for n := 1; died; n++ {
			for _, after := range []bool{false, true} {
				name := fmt.Sprintf("x%d-%t", n, after)
				files := map[string]string{"x/" + name + "/app.yaml": app(name) + "sync: {prune: true}\n"}
				if last != "" {
					files["x/"+last+"/app.yaml"] = ""
				}
				req := d.wish(config, config.Commit(files))
				died = d.crash(req, n, after)
				d.sync(req)
				d.sync(req)
				if got := d.catalog(config); !slices.Equal(got, []string{"a0", "l0", name}) {
					d.t.Errorf("died at call %d (after: %t): the catalog has %v", n, after, got)
				}
				if got := strings.Count(strings.Join(d.waiting(), " ")+" ", name+" "); got != 1 {
					d.t.Errorf("died at call %d (after: %t): %d jobs for %s, want 1", n, after, got, name)
				}
				d.leads(lib, 1)
				if last != "" {
					d.goes(last)
				}
				last = name
			}
		}
	})
}

// A sync of a tree in which nothing is left to do notes what it looks like, wherever an earlier run of it died.
func TestSightIsNotedByWhoeverEndsTheSync(t *testing.T) {
	onBoth(t, func(d *desk) {
		config, died := d.Repo("config"), true
		for n := 1; died; n++ {
			for _, after := range []bool{false, true} {
				req := d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a0") + fmt.Sprintf("env: {N: %d-%t}\n", n, after)}))
				died = d.crash(req, n, after)
				d.sync(req)
				sight, _, err := d.queue.Seen(d.t.Context(), req.Job.Config.ID())
				if err != nil || !strings.Contains(sight, "folders") {
					d.t.Errorf("died at call %d (after: %t): the tree is known as %q (%v)", n, after, sight, err)
				}
				if e, _, err := d.queue.Entry(d.t.Context(), "a0"); err != nil || e.Commit != req.Job.Half.Commit {
					d.t.Errorf("died at call %d (after: %t): the catalog is of %s (%v)", n, after, e.Commit, err)
				}
			}
		}
	})
}

// crash runs a sync that dies at its nth call, and reports whether it came that far.
func (d *desk) crash(req deploy.Request, n int, after bool) (died bool) {
	d.t.Helper()
	ctx, die := context.WithCancel(d.t.Context())
	defer die()
	_, err := d.syncer(&faulty{Queue: d.queue, left: n, after: after, die: die}).Sync(ctx, req)
	if err != nil && !errors.Is(err, job.ErrRejected) && !errors.Is(err, errDied) {
		d.t.Fatalf("died at call %d: %v", n, err)
	}
	return errors.Is(err, errDied)
}

// leads checks how many trees a push to a repository reaches.
func (d *desk) leads(r *deploytest.Repo, want int) {
	d.t.Helper()
	routes, _, err := d.queue.Routes(d.t.Context(), catalog.Push{Repo: r.URL, Ref: "refs/heads/main", DefaultBranch: "main"}, 0)
	if err != nil || len(routes) != want {
		d.t.Errorf("a push to %s leads to %v (%v), want %d trees", r.URL, routes, err, want)
	}
}

// goes checks that one job is to destroy an app, after its grace.
func (d *desk) goes(app string) {
	d.t.Helper()
	list, err := d.queue.Jobs(d.t.Context(), queue.Filter{App: app})
	if err != nil {
		d.t.Fatal(err)
	}
	n := 0
	for _, r := range list {
		if r.Job.Kind == job.Destroy && r.State == queue.Delayed {
			n++
		}
	}
	t, found, err := d.queue.Tombstone(d.t.Context(), app)
	if n != 1 || err != nil || !found || !t.Underway() {
		d.t.Errorf("%d jobs are to destroy %s, want 1; its tombstone is %+v (%v)", n, app, t, err)
	}
}
