package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// Hosted servers bill every command. Counted as the client sends them, on a server that has the
// scripts, with the commands that a fresh process needs for its connection and the schema.

// fresh opens the queue as another process does, and counts its commands.
func fresh(t *testing.T, url, prefix string) (*queue.Queue, *counter) {
	t.Helper()
	q, err := queue.Open(url, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	c := &counter{}
	q.Redis().AddHook(c)
	return q, c
}

// Broken when: a webhook costs more than ten commands, or more when more apps follow.
func TestWebhookIsWithinItsBudget(t *testing.T) {
	url := queuetest.Redis(t)
	for _, apps := range []int{1, 5, 1000} {
		t.Run(fmt.Sprint(apps), func(t *testing.T) {
			q := open(t, url)
			follow(t, q, apps)
			// The first webhook teaches the server its scripts. What it launches ends before the next.
			for i := range 2 {
				hook, count := fresh(t, url, q.Prefix())
				webhook(t, hook, int64(i+1))
				names := count.reset()
				if i == 1 && len(names) > 10 {
					t.Errorf("a webhook costs %d commands: %v", len(names), names)
				}
				t.Logf("%d commands: %v", len(names), names)
			}
		})
	}
}

// Broken when: a freeze, a repository that a tree includes, or sealed launches make a webhook dearer.
func TestFreezeAndIncludesCostNothing(t *testing.T) {
	url := queuetest.Redis(t)
	c, code := job.Config{Repo: "https://github.com/acme/config"}, catalog.Include{Repo: "https://github.com/acme/code"}
	var costs []int
	for _, extra := range []bool{false, true} {
		q := open(t, url)
		if extra {
			gen, err := q.BeginGeneration(t.Context(), c)
			if err == nil {
				_, err = q.WriteEntries(t.Context(), c, gen, []catalog.Entry{{App: "web", Auto: true, Source: catalog.Source{Repo: code.Repo}}})
			}
			if err == nil {
				err = q.WriteIncludes(t.Context(), c, gen, []catalog.Include{code})
			}
			if err == nil {
				_, err = q.SwitchGeneration(t.Context(), queue.Switch{Config: c, Generation: gen, Order: job.Order{Time: 1}})
			}
			if err == nil {
				err = q.Suspend(t.Context(), "web", queue.Suspension{})
			}
			if err != nil {
				t.Fatal(err)
			}
		} else {
			follow(t, q, 1)
		}
		for i := range 2 {
			hook, count := fresh(t, url, q.Prefix())
			hook.Seal = extra
			webhook(t, hook, int64(i+1))
			if i == 1 {
				costs = append(costs, len(count.reset()))
			}
		}
	}
	if costs[0] != costs[1] {
		t.Errorf("a webhook costs %d commands, and %d with a freeze and an include", costs[0], costs[1])
	}
}

// follow makes a catalog of that many apps of one repository.
func follow(tb testing.TB, q *queue.Queue, apps int) {
	tb.Helper()
	var list []catalog.Entry
	for i := range apps {
		list = append(list, catalog.Entry{App: fmt.Sprintf("app-%d", i), Auto: true, Source: catalog.Source{Repo: "https://github.com/acme/code"}})
	}
	keep(tb, q, list)
}

// keep makes a catalog of the entries.
func keep(tb testing.TB, q *queue.Queue, list []catalog.Entry) {
	tb.Helper()
	c := job.Config{Repo: "https://github.com/acme/config"}
	gen, err := q.BeginGeneration(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := q.WriteEntries(tb.Context(), c, gen, list); err != nil {
		tb.Fatal(err)
	}
	if _, err := q.SwitchGeneration(tb.Context(), queue.Switch{Config: c, Generation: gen, Order: job.Order{Time: 1}}); err != nil {
		tb.Fatal(err)
	}
}

// webhook does what a dispatcher does for one push: route, push, due, and a take of what is to be launched.
func webhook(t *testing.T, q *queue.Queue, at int64) {
	t.Helper()
	ctx := t.Context()
	p := catalog.Push{Repo: "https://github.com/acme/code", Ref: "refs/heads/main", DefaultBranch: "main", After: fmt.Sprint("c", at), Time: at}
	routes, more, err := q.Routes(ctx, p, catalog.MaxApps)
	if err != nil {
		t.Fatal(err)
	}
	jobs, _ := catalog.Jobs(p, catalog.Found{Routes: routes, More: more}, time.Now())
	if _, _, err := q.Push(ctx, queue.Delivery{GUID: fmt.Sprint("g", at), Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Due(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := q.TakeMany(ctx, 20, len(jobs)); err != nil {
		t.Fatal(err)
	}
}

// Broken when: a registry's webhook costs more than a push to a repository, or more when more apps name the image.
func TestRegistryWebhookIsWithinItsBudget(t *testing.T) {
	url := queuetest.Redis(t)
	for _, apps := range []int{1, 100} {
		t.Run(fmt.Sprint(apps), func(t *testing.T) {
			q := open(t, url)
			var list []catalog.Entry
			for i := range apps {
				list = append(list, catalog.Entry{App: fmt.Sprintf("app-%d", i), Auto: true, Image: "nginx", Policy: catalog.ImagePolicy{Digest: true}})
			}
			keep(t, q, list)
			for i := range 2 {
				hook, count := fresh(t, url, q.Prefix())
				registryWebhook(t, hook, fmt.Sprintf("nginx:latest@sha256:%064d", i))
				names := count.reset()
				if i == 1 && len(names) > 6 {
					t.Errorf("a registry's webhook costs %d commands: %v", len(names), names)
				}
				t.Logf("%d commands: %v", len(names), names)
			}
		})
	}
}

// registryWebhook does what a dispatcher does for one push to a registry.
func registryWebhook(t *testing.T, q *queue.Queue, ref string) {
	t.Helper()
	ctx := t.Context()
	img, _ := catalog.ParseImage(ref)
	pushes := []catalog.ImagePush{{Image: img}}
	found, err := q.Images(ctx, pushes)
	if err != nil {
		t.Fatal(err)
	}
	jobs, _ := catalog.ImageJobs(pushes, found, time.Now())
	if len(jobs) == 0 {
		t.Fatal("no job")
	}
	if _, _, err := q.Push(ctx, queue.Delivery{GUID: ref, Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Due(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := q.TakeMany(ctx, 20, len(jobs)); err != nil {
		t.Fatal(err)
	}
}

// Broken when: a deploy job costs more than forty commands besides heartbeats and logs.
func TestDeployJobIsWithinItsBudget(t *testing.T) {
	url := queuetest.Redis(t)
	q := open(t, url)
	ctx := t.Context()
	for i := range 2 {
		push(t, q, deployJob("web", "", fmt.Sprint("c", i), int64(i+1)))
		l := take(t, q)
		runner, count := fresh(t, url, q.Prefix())
		c, err := runner.Claim(ctx, l.Job.ID, l.Attempt, "m")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := runner.AppState(ctx, "web"); err != nil {
			t.Fatal(err)
		}
		if _, err := runner.Retry(ctx, c, "flaky"); err != nil {
			t.Fatal(err)
		}
		if err := runner.Finish(ctx, c, job.Result{Outcome: job.Created}); err != nil {
			t.Fatal(err)
		}
		names := count.reset()
		if i == 1 && len(names) > 12 {
			t.Errorf("a deploy job costs its runner %d commands: %v", len(names), names)
		}
		t.Logf("%d commands: %v", len(names), names)
	}
}

// Broken when: a sync of many apps makes one script too long, or loses some.
func TestTenThousandJobsAreChunked(t *testing.T) {
	url := queuetest.Redis(t)
	q := open(t, url)
	var jobs []job.Job
	for i := range 10_000 {
		jobs = append(jobs, deployJob(fmt.Sprintf("app-%d", i), "", "c1", 1000))
	}
	pusher, count := fresh(t, url, q.Prefix())
	answer, replay, err := pusher.Push(t.Context(), queue.Delivery{GUID: "big", Jobs: jobs})
	if err != nil || replay || len(answer.Jobs) != len(jobs) {
		t.Fatalf("push gave %d jobs, %v, %v", len(answer.Jobs), replay, err)
	}
	if n := len(count.reset()); n < 40 || n > 60 {
		t.Errorf("10,000 jobs took %d commands", n)
	}
	s, err := q.Stats(t.Context())
	if err != nil || s.Waiting != 10_000 {
		t.Errorf("%d wait (%v)", s.Waiting, err)
	}
	slow, err := q.Redis().SlowLogGet(t.Context(), 10).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range slow {
		if l.Duration > time.Second {
			t.Errorf("a script held the server for %s", l.Duration)
		}
	}
}
