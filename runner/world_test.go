package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/runner"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
	"github.com/gigurra/flycd/shared/source"
)

// house is the whole of FlyCD but for the dispatcher, whose part the tests play: pushes become jobs as
// the catalog says, and each job that Take gives is done by a Runner.
type house struct {
	*deploytest.World
	t     *testing.T
	redis string
	queue *queue.Queue
	roots []job.Config

	mu    sync.Mutex
	clock int64
	runs  int
	log   strings.Builder
}

// onBoth runs a law on the embedded Redis and on redis-server.
func onBoth(t *testing.T, law func(h *house)) {
	t.Helper()
	for name, server := range map[string]func(testing.TB) string{"embedded": queuetest.Embedded, "redis": queuetest.Redis} {
		t.Run(name, func(t *testing.T) { law(newHouse(t, server(t))) })
	}
}

func newHouse(t *testing.T, redis string) *house {
	t.Helper()
	q, err := queue.Open(redis, "")
	if err != nil {
		t.Fatal(err)
	}
	q.Times.Backoff, q.Times.Unlaunch = 50*time.Millisecond, 10*time.Millisecond
	t.Cleanup(func() { _ = q.Close() })
	h := &house{World: deploytest.New(t, flysim.Options{}), t: t, redis: redis, queue: q, clock: time.Now().UnixMilli()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(h.log.String())
		}
	})
	return h
}

// Write keeps what the runners say, for a test that fails.
func (h *house) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

// push plays the dispatcher: a push to main of a repository, later than every push before it.
func (h *house) push(r *deploytest.Repo, c source.Change) queue.Answer {
	h.t.Helper()
	h.mu.Lock()
	h.clock++
	at := h.clock
	h.mu.Unlock()
	return h.pushAt(r, c, at)
}

func (h *house) pushAt(r *deploytest.Repo, c source.Change, at int64) queue.Answer {
	h.t.Helper()
	p := catalog.Push{Repo: r.URL, Ref: "refs/heads/main", DefaultBranch: "main", Before: c.Before, After: c.After, Time: at}
	routes, more, err := h.queue.Routes(h.t.Context(), p, catalog.MaxApps)
	if err != nil {
		h.t.Fatal(err)
	}
	jobs, ignored := catalog.Jobs(p, catalog.Found{Routes: routes, More: more, Roots: h.roots}, time.Now())
	answer, _, err := h.queue.Push(h.t.Context(), queue.Delivery{Jobs: jobs, Ignored: ignored})
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

// runner makes the runner of a launch.
func (h *house) runner(l queue.Launch) *runner.Runner {
	h.mu.Lock()
	h.runs++
	machine := fmt.Sprintf("machine-%d", h.runs)
	h.mu.Unlock()
	git := h.Source()
	return &runner.Runner{
		Queue: h.queue, Job: l.Job.ID, Attempt: l.Attempt, Machine: machine, Out: h,
		Secrets: []string{deploytest.Token},
		Deployer: deploy.Deployer{
			Fly: h.Fly(), Source: git, Images: h.Images(), Builder: image.Fact{}, Index: h.queue, Tombs: h.queue,
			Sync: &deploy.Syncer{Source: git, Catalog: h.queue, Links: h.queue, Sights: h.queue, Graves: h.queue, Sweeper: h.queue, Index: h.queue, Jobs: h.queue},
			Now:  time.Now,
		},
	}
}

// take gives the next launch.
func (h *house) take() (queue.Launch, bool) {
	h.t.Helper()
	if _, err := h.queue.Due(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	l, ok, err := h.queue.Take(h.t.Context(), 20)
	if err != nil {
		h.t.Fatal(err)
	}
	return l, ok
}

// drain does one job after the other until none waits, and gives what became of them.
func (h *house) drain() map[string]queue.Record {
	h.t.Helper()
	var ids []job.ID
	for {
		l, ok := h.take()
		if !ok {
			break
		}
		ids = append(ids, l.Job.ID)
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
	out := map[string]queue.Record{}
	for _, id := range ids {
		r := h.record(id)
		out[r.Job.Subject()] = r
	}
	return out
}

func (h *house) record(id job.ID) queue.Record {
	h.t.Helper()
	r, err := h.queue.Job(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// outcomes gives each subject's outcome.
func outcomes(records map[string]queue.Record) map[string]job.Outcome {
	out := map[string]job.Outcome{}
	for s, r := range records {
		out[s] = r.Result.Outcome
	}
	return out
}

func (h *house) expect(records map[string]queue.Record, want map[string]job.Outcome) {
	h.t.Helper()
	got := outcomes(records)
	for s, o := range want {
		if got[s] != o {
			h.t.Errorf("%s: %s (%s), want %s", s, got[s], records[s].Result.Detail, o)
		}
	}
	for s, o := range got {
		if _, ok := want[s]; !ok {
			h.t.Errorf("%s: %s, want no job", s, o)
		}
	}
}

// app looks at an app on Fly.
func (h *house) env(app, key string) []string {
	h.t.Helper()
	o, err := h.Fly().Observe(h.t.Context(), app, plan.Scope{})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, m := range o.Machines {
		out = append(out, m.Config.Env[key])
	}
	return out
}

// yaml is the manifest of an app that runs an image.
func yaml(app, image, text string) string {
	return strings.NewReplacer("APP", app, "IMAGE", image, "TEXT", text).Replace(`app: APP
org: personal
primary_region: ams
source: {type: image, image: IMAGE}
env: {GREETING: "TEXT"}
http_service:
  internal_port: 8080
  checks: [{path: /, interval: 2s, timeout: 1s}]
`)
}

// gitYAML is the manifest of an app that is built from a folder of a repository.
func gitYAML(app, repo, folder string) string {
	return strings.NewReplacer("APP", app, "REPO", repo, "FOLDER", folder).Replace(`app: APP
org: personal
primary_region: ams
source: {type: git, repo: REPO, path: FOLDER}
http_service: {internal_port: 8080}
`)
}

var errStop = errors.New("told to stop")

// stopAfter gives a context that ends when the condition is met.
func (h *house) stopWhen(met func() bool) context.Context {
	ctx, stop := context.WithCancelCause(h.t.Context())
	go func() {
		for ctx.Err() == nil && !met() {
			time.Sleep(2 * time.Millisecond)
		}
		stop(errStop)
	}()
	h.t.Cleanup(func() { stop(nil) })
	return ctx
}

func (h *house) pushJobs(jobs ...job.Job) {
	h.t.Helper()
	if _, _, err := h.queue.Push(h.t.Context(), queue.Delivery{Jobs: jobs}); err != nil {
		h.t.Fatal(err)
	}
}
