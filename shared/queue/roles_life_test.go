package queue_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// must ends the test at the first of the errors.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Broken when: the three parts of FlyCD cannot live a job's life, each with its own rights.
func TestRolesLiveTheLivesOfJobs(t *testing.T) {
	server, ctx := queuetest.Redis(t), t.Context()
	dispatcher, runner, person := as(t, server, queue.DispatcherRole), as(t, server, queue.RunnerRole), as(t, server, queue.PersonRole)
	must(t, person.Ping(ctx), dispatcher.Ping(ctx))
	if _, err := runner.Claim(ctx, "job", 1, "m"); err == nil || !strings.Contains(err.Error(), "the dispatcher loads the scripts") {
		t.Errorf("a runner at a server without scripts gets %v", err)
	}
	must(t, dispatcher.LoadScripts(ctx), dispatcher.LoadScripts(ctx), runner.Ping(ctx))

	c := job.Config{Repo: "https://github.com/acme/config", Ref: "refs/heads/main"}
	syncJob := job.Job{ID: job.SaltedID(job.Sync, c.ID(), "1"), Kind: job.Sync, Config: c, Order: job.Order{Time: 1}}
	_, _, err := dispatcher.Push(ctx, queue.Delivery{GUID: "g", Jobs: []job.Job{syncJob}})
	must(t, err)
	syncs(t, runner, claimed(t, dispatcher, runner), c)

	p := catalog.Push{Repo: "https://github.com/acme/code", Ref: "refs/heads/main", DefaultBranch: "main", After: "c1", Time: 5}
	routes, more, err := dispatcher.Routes(ctx, p, catalog.MaxApps)
	must(t, err)
	jobs, _ := catalog.Jobs(p, catalog.Found{Routes: routes, More: more}, time.Now())
	_, _, err = dispatcher.Push(ctx, queue.Delivery{GUID: "g2", Jobs: jobs})
	must(t, err)
	// a server that restarts forgets the scripts, and a grant brings them back
	must(t, client(t, server).ScriptFlush(ctx).Err())
	deploys(t, runner, claimed(t, dispatcher, runner))
	looks(t, dispatcher, person)
	feedback(t, dispatcher)
	works(t, person)
	audit(t, person)
}

// claimed gives the runner the job that the dispatcher launches, by a grant.
func claimed(t *testing.T, dispatcher, runner *queue.Queue) *queue.Claim {
	t.Helper()
	ctx := t.Context()
	_, err := dispatcher.Due(ctx)
	must(t, err)
	dispatcher.Seal = true
	l := take(t, dispatcher)
	_, err = dispatcher.Grant(ctx, l.Job.ID, l.Attempt, "m-1")
	must(t, err)
	_, err = runner.Claim(ctx, l.Job.ID, l.Attempt, "m-2")
	if !errors.Is(err, queue.ErrRefused) {
		t.Errorf("another machine's claim gave %v", err)
	}
	c, err := runner.Claim(ctx, l.Job.ID, l.Attempt, "m-1")
	must(t, err, runner.Append(ctx, l.Job.ID, []string{"begun"}))
	_, err = runner.Hold(ctx, c)
	must(t, err)
	return c
}

// syncs does what a runner does for a sync.
func syncs(t *testing.T, runner *queue.Queue, claim *queue.Claim, c job.Config) {
	t.Helper()
	ctx := t.Context()
	gen, err := runner.BeginGeneration(ctx, c)
	must(t, err)
	_, err = runner.WriteEntries(ctx, c, gen, []catalog.Entry{
		{App: "web", Auto: true, Source: catalog.Source{Repo: "https://github.com/acme/code"}},
		{App: "img", Auto: true, Image: "nginx", Policy: catalog.ImagePolicy{Digest: true}},
	})
	must(t, err, runner.WriteIncludes(ctx, c, gen, []catalog.Include{{Repo: "https://github.com/acme/other"}}))
	ok, err := runner.SwitchGeneration(ctx, queue.Switch{Config: c, Generation: gen, Order: job.Order{Time: 1}})
	if !ok {
		t.Error("the tree was not switched")
	}
	must(t, err, runner.MarkGone(ctx, c, []queue.Gone{{Entry: catalog.Entry{App: "old"}}}), runner.MarkDestroyed(ctx, "old"))
	_, err = runner.Tombstones(ctx, c.ID())
	must(t, err)
	_, err = runner.Entries(ctx, c.ID())
	must(t, err)
	_, _, err = runner.Entry(ctx, "web")
	must(t, err)
	_, err = runner.AppStates(ctx, []string{"web", "img"})
	must(t, err)
	_, _, err = runner.Config(ctx, c.ID())
	must(t, err, runner.DropGenerations(ctx, c), runner.Finish(ctx, claim, job.Result{Outcome: job.Updated}))
}

// deploys does what a runner does for a deploy that fails once, and builds.
func deploys(t *testing.T, runner *queue.Queue, claim *queue.Claim) {
	t.Helper()
	ctx := t.Context()
	release, _, err := runner.Turn(ctx, "registry.fly.io/web:1", "m-1")
	release()
	must(t, err)
	again, err := runner.Retry(ctx, claim, "flaky")
	if !again {
		t.Error("it may not try again")
	}
	must(t, err, runner.Finish(ctx, claim, job.Result{Outcome: job.Created, SourceCommit: "c1"}))
}

// looks reads what a dispatcher and a person read.
func looks(t *testing.T, dispatcher, person *queue.Queue) {
	t.Helper()
	ctx := t.Context()
	for _, q := range []*queue.Queue{dispatcher, person} {
		list, err := q.Jobs(ctx, queue.Filter{})
		must(t, err)
		if len(list) != 2 {
			t.Errorf("%d jobs, want 2", len(list))
		}
		_, err = q.Active(ctx)
		must(t, err)
		_, err = q.Dead(ctx, 10)
		must(t, err)
		_, err = q.Suspensions(ctx)
		must(t, err)
		_, _, err = q.Answer(ctx, "g")
		must(t, err)
		_, err = q.Suspect(ctx, "machines", []string{"m"}, time.Minute)
		must(t, err)
		s, err := q.Stats(ctx)
		must(t, err)
		if s.Policy != "noeviction" {
			t.Errorf("policy is %q, want noeviction", s.Policy)
		}
		_, err = q.Tail(ctx, list[0].Job.ID, "", 10)
		must(t, err)
	}
}

// feedback does what a dispatcher does to tell what happened.
func feedback(t *testing.T, dispatcher *queue.Queue) {
	t.Helper()
	box := &postbox{}
	drain(t, dispatcher, time.Minute, box)
	if len(box.came) != 2 {
		t.Errorf("letters came to %d channels, want 2", len(box.came))
	}
	_, _, err := dispatcher.Undelivered(t.Context(), 10)
	must(t, err)
}

// works does what only a person does.
func works(t *testing.T, person *queue.Queue) {
	t.Helper()
	ctx := t.Context()
	must(t, person.HoldApp(ctx, "web", "why"), person.HoldApp(ctx, "web", ""), person.Suspend(ctx, "web", queue.Suspension{By: "me"}))
	_, err := person.Resume(ctx, "web")
	must(t, err)
	apps, err := person.Apps(ctx)
	must(t, err)
	if !slices.Contains(apps, "web") {
		t.Errorf("apps are %v", apps)
	}
	j := deployJob("web", "c1", "c2", 9)
	push(t, person, j)
	_, err = person.Cancel(ctx, j.ID)
	must(t, err)
}
