//go:build unix

package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// privateForge is a forge with one private repository, which a token opens.
func privateForge(t *testing.T, files map[string]string) (sim *forgesim.Server, base, clone string) {
	t.Helper()
	sim, err := forgesim.New(forgesim.Options{Tokens: map[string]forgesim.Token{"forge-token": {Login: "alice"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	if base, err = sim.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	private := true
	if clone, err = sim.SetRepo(forgesim.Repo{Repo: "acme/config", Private: &private, Members: map[string]string{"alice": "admin"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sim.Commit(t.Context(), forgesim.Commit{Repo: "acme/config", Branch: "main", Message: "one", Files: files}); err != nil {
		t.Fatal(err)
	}
	return sim, base, clone
}

// statusArrives waits until the forge has a commit status of the context in one of the states.
func statusArrives(t *testing.T, sim *forgesim.Server, context string, states ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, s := range sim.State().Repos[0].Statuses {
			if s.Context == context && slices.Contains(states, s.State) {
				return
			}
		}
	}
	t.Fatalf("no status %s %s came, but %+v", context, states, sim.State().Repos[0].Statuses)
}

// called sends a body with a bearer token.
func called(t *testing.T, url, token, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status + " " + string(text)
}

func TestMonitorFollowsAPrivateRepositoryAndTellsIt(t *testing.T) {
	t.Parallel()
	w := deploytest.New(t, flysim.Options{})
	app := "app: web\nprimary_region: arn\nsource: {type: image, image: \"" + w.Image("web:1") + "\"}\nmachines: {count: 1}\n"
	sim, base, clone := privateForge(t, map[string]string{"web/app.yaml": app})
	host := strings.TrimPrefix(base, "http://")
	redis := queuetest.Embedded(t)
	p := start(t, []string{
		"REDIS_URL=" + redis, "FLYCD_CONFIG_REPOS=" + clone, "FLYCD_WEBHOOK_SECRET_2=s", "FLYCD_DISPATCH_TOKENS=" + callToken,
		"FLY_API_TOKEN=" + deploytest.Token, "FLY_FLAPS_BASE_URL=" + w.FlyURL, "FLY_API_BASE_URL=" + w.FlyURL, "FLY_UIEX_BASE_URL=" + w.FlyURL, "FLYCD_SMOKE=40ms",
		"FLYCD_GITHUB_URL=" + base + "/api/v3/", "FLYCD_GITHUB_TOKEN=forge-token", "FLYCD_GIT_TOKENS=" + host + "/acme=forge-token",
		"WEBHOOK_PATH=hooks/github", "WEBHOOK_INTERFACE=127.0.0.1", "WEBHOOK_PORT=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
	}, "monitor", "-s", "-p", "0")
	monitor := "http://" + p.after("monitoring: POST /webhook on ")
	if !strings.HasPrefix(monitor, "http://127.0.0.1:") {
		t.Errorf("it listens on %s", monitor)
	}
	statusArrives(t, sim, "flycd/web", "success")
	if got := called(t, monitor+"/hooks/github", "", `{}`); !strings.Contains(got, "401") || !strings.Contains(got, "not signed") {
		t.Errorf("an unsigned webhook at WEBHOOK_PATH: %s", got)
	}
	if got := called(t, monitor+"/dispatch", callToken, `{"app":"web"}`); !strings.HasPrefix(got, "202") || !strings.Contains(got, `"app":"web"`) {
		t.Errorf("a call: %s", got)
	}
	if got := called(t, monitor+"/dispatch", "nobodys", `{"app":"web"}`); !strings.HasPrefix(got, "401") {
		t.Errorf("a call of nobody: %s", got)
	}
	// A webhook was lost: who asks for the app alone gets what its repository holds now.
	more := strings.Replace(app, "count: 1", "count: 2", 1)
	if _, _, err := sim.Commit(t.Context(), forgesim.Commit{Repo: "acme/config", Branch: "main", Message: "two", Files: map[string]string{"web/app.yaml": more}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{{"dispatch web --wait", "  unchanged  "}, {"sync web --wait", "  updated  "}} {
		if out, code := said(t, []string{"REDIS_URL=" + redis}, strings.Fields(c.args)...); code != exitOK || !strings.Contains(out, c.want) {
			t.Errorf("flycd %s ended with %d, want %q:\n%s", c.args, code, c.want, out)
		}
	}
	p.interrupt()
}

func TestSweepTellsWhatWasNotTold(t *testing.T) {
	t.Parallel()
	w := deploytest.New(t, flysim.Options{})
	if err := w.Fly().EnsureApp(t.Context(), "runners", "personal"); err != nil {
		t.Fatal(err)
	}
	sim, base, clone := privateForge(t, map[string]string{"README": "hej"})
	redis := queuetest.Embedded(t)
	q, err := queue.Open(redis, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	j := job.Job{
		ID: job.SaltedID(job.Deploy, "web", "push"), Kind: job.Deploy, App: "web", Reason: job.ByPush, Created: time.Now(),
		Half: job.Half{Side: job.SourceSide, Repo: clone, Ref: "refs/heads/main", Commit: sim.State().Repos[0].Refs["refs/heads/main"]},
	}
	if _, _, err := q.Push(t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c, err := q.Claim(t.Context(), j.ID, 1, "m1")
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Finish(t.Context(), c, job.Result{Outcome: job.Rejected, Detail: "no such key", SourceCommit: j.Half.Commit}); err != nil {
		t.Fatal(err)
	}
	out, code := said(t, []string{
		"REDIS_URL=" + redis, "FLY_API_TOKEN=" + deploytest.Token, "FLY_FLAPS_BASE_URL=" + w.FlyURL, "FLY_API_BASE_URL=" + w.FlyURL,
		"FLYCD_RUNNER_APP=runners", "FLYCD_RUNNER_IMAGE=registry.fly.io/runners:1", "FLYCD_GITHUB_URL=" + base + "/api/v3/", "FLYCD_GITHUB_TOKEN=forge-token",
	}, "sweep", "--no-heal", "--no-follow")
	if code != exitOK {
		t.Fatalf("it ended with %d:\n%s", code, out)
	}
	statusArrives(t, sim, "flycd/web", "error", "failure")
}

func TestPrivateProjectOpensWithItsTokenAlone(t *testing.T) {
	t.Parallel()
	w := deploytest.New(t, flysim.Options{})
	app := "app: web\nprimary_region: arn\nsource: {type: image, image: \"" + w.Image("web:1") + "\"}\nmachines: {count: 1}\n"
	_, base, clone := privateForge(t, map[string]string{"app.yaml": app})
	dir := t.TempDir()
	text := "project: shop\nallow: {repos: ['*', '**'], apps: ['*'], orgs: ['*'], regions: ['*'], vm_sizes: ['*']}\nsource: {type: git, repo: \"" + clone + "\", ref: {branch: main}}\n"
	if err := os.WriteFile(filepath.Join(dir, "project.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"FLY_API_TOKEN=" + deploytest.Token, "FLY_FLAPS_BASE_URL=" + w.FlyURL, "FLY_API_BASE_URL=" + w.FlyURL, "FLY_UIEX_BASE_URL=" + w.FlyURL,
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "HOME=" + t.TempDir(), "REDIS_URL=",
	}
	tokens := "FLYCD_GIT_TOKENS=" + strings.TrimPrefix(base, "http://") + "="
	for token, want := range map[string]int{"": exitUsage, "wrong-token": exitUsage, "forge-token": exitOK} {
		more := env
		if token != "" {
			more = append(more[:len(more):len(more)], tokens+token)
		}
		out, code := said(t, more, "plan", dir)
		if code != want || token != "" && strings.Contains(out, token) || (code == exitOK) != strings.Contains(out, "create") {
			t.Errorf("with the token %q it ended with %d:\n%s", token, code, out)
		}
	}
}
