package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// TestSweepTellsWhatNobodyWasAwakeFor finishes a job that no dispatcher hears of, and sweeps, twice: once it is told.
func TestSweepTellsWhatNobodyWasAwakeFor(t *testing.T) {
	hub, err := forgesim.New(forgesim.Options{Tokens: map[string]forgesim.Token{"ghp_bot": {Login: "bot"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	base, err := hub.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	repo, err := hub.SetRepo(forgesim.Repo{Repo: "acme/web"})
	if err != nil {
		t.Fatal(err)
	}
	commit, _, err := hub.Commit(t.Context(), forgesim.Commit{Repo: "acme/web", Branch: "main", Message: "one", Files: map[string]string{"a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	sim := flysim.New(flysim.Options{Tokens: []string{"fly-token"}})
	fly := httptest.NewServer(sim)
	t.Cleanup(func() { fly.Close(); _ = sim.Close() })
	send(t, fly.URL, "POST", "/v1/apps", `{"app_name":"runners","name":"runners","org_slug":"personal"}`)
	url := queuetest.Embedded(t)
	ended(t, url, repo, commit.After)
	for range 2 {
		code, _, said := run1([]string{"sweep"}, "FLYCD_WEBHOOK_SECRET=new", "REDIS_URL="+url, "FLY_API_TOKEN=fly-token", "FLYCD_RUNNER_APP=runners", "FLYCD_RUNNER_IMAGE=runner:1",
			"FLY_FLAPS_BASE_URL="+fly.URL, "FLYCD_GITHUB_TOKEN=ghp_bot", "FLYCD_GITHUB_URL="+base+"/api/v3")
		if code != exitOK || strings.Contains(said, "ghp_bot") {
			t.Fatalf("exit %d\n%s", code, said)
		}
		state := hub.State().Repo("acme/web")
		if len(state.Statuses) != 1 || state.Statuses[0].State != "success" || state.Statuses[0].SHA != commit.After || state.Statuses[0].Context != "flycd/web" {
			t.Errorf("told %+v\n%s", state.Statuses, said)
		}
	}
}

// ended is a job of a push that has been done.
func ended(t *testing.T, url, repo, commit string) {
	t.Helper()
	q, err := queue.Open(url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	p := catalog.Push{Repo: repo, Ref: "refs/heads/main", DefaultBranch: "main", Before: strings.Repeat("0", 40), After: commit, Time: 1}
	jobs, _ := catalog.Jobs(p, catalog.Found{Routes: []catalog.Route{{App: "web", Config: job.Config{Repo: repo}}}}, time.Now())
	if _, _, err := q.Push(t.Context(), queue.Delivery{Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	l, ok, err := q.Take(t.Context(), 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	c, err := q.Claim(t.Context(), l.Job.ID, l.Attempt, "m")
	if err == nil {
		err = q.Finish(t.Context(), c, job.Result{Outcome: job.Updated})
	}
	if err != nil {
		t.Fatal(err)
	}
}
