package deploy_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
)

// bench is a deployer in a world of its own, with the results of one app.
type bench struct {
	*deploytest.World
	tb       testing.TB
	deployer *deploy.Deployer
	last     map[string]job.Result
	n        int
}

func newBench(tb testing.TB, o flysim.Options) *bench {
	tb.Helper()
	w := deploytest.New(tb, o)
	return &bench{World: w, tb: tb, last: map[string]job.Result{}, deployer: &deploy.Deployer{
		Fly: w.Fly(), Source: w.Source(), Images: w.Images(), Builder: image.Fact{},
		Log: slog.New(slog.NewTextHandler(testWriter{tb}, nil)), Now: time.Now,
	}}
}

type testWriter struct{ tb testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.tb.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

var _ io.Writer = testWriter{}

// deploy deploys the app from the tree and remembers the result as the queue would.
func (b *bench) deploy(app string, tree job.Config, change func(*deploy.Request)) job.Result {
	b.tb.Helper()
	b.n++
	req := deploy.Request{
		Job:  job.Job{ID: job.SaltedID(job.Deploy, app, time.Now().String()), Kind: job.Deploy, App: app, Config: tree, Created: time.Now()},
		Last: b.last[app],
	}
	if change != nil {
		change(&req)
	}
	res, err := b.deployer.Deploy(b.tb.Context(), req)
	if err != nil {
		b.tb.Fatalf("deploy %s: %v\n%s", app, err, strings.Join(b.FlyRequests.Matching(func(string, string) bool { return true }), "\n"))
	}
	if res.Outcome.Done() {
		b.last[app] = res
	}
	return res
}

func (b *bench) expect(res job.Result, want job.Outcome) {
	b.tb.Helper()
	if res.Outcome != want {
		b.tb.Fatalf("outcome %s (%s), want %s", res.Outcome, res.Detail, want)
	}
}

const hello = `app: hello
org: personal
primary_region: ams
source:
  type: image
  image: IMAGE
env:
  GREETING: TEXT
http_service:
  internal_port: 8080
  checks:
    - path: /
      interval: 2s
      timeout: 1s
`

func manifestOf(image, text string) string {
	return strings.NewReplacer("IMAGE", image, "TEXT", text).Replace(hello)
}

func TestCreatedUnchangedUpdated(t *testing.T) {
	b := newBench(t, flysim.Options{})
	img := b.Image("hello:1")
	repo := b.Repo("config")
	repo.Commit(map[string]string{"hello/app.yaml": manifestOf(img, "hi")})
	tree := job.Config{Repo: repo.URL}

	first := b.deploy("hello", tree, nil)
	b.expect(first, job.Created)
	if first.Release != 1 || !strings.Contains(first.Image, "@sha256:") || first.ConfigCommit == "" || first.Fingerprint == "" {
		t.Errorf("result %+v", first)
	}

	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Unchanged)
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("unchanged wrote to Fly: %v", w)
	}

	repo.Commit(map[string]string{"hello/app.yaml": manifestOf(img, "hello again")})
	third := b.deploy("hello", tree, nil)
	b.expect(third, job.Updated)
	if third.Release != 2 || !strings.Contains(strings.Join(third.Changes, "\n"), "env.GREETING: hi → hello again") {
		t.Errorf("release %d, changes %q", third.Release, third.Changes)
	}
}

// order does something to a machine behind FlyCD's back.
func (b *bench) order(id, what string) {
	b.tb.Helper()
	req, err := http.NewRequestWithContext(b.tb.Context(), http.MethodPost, b.FlyURL+"/_sim/machines/"+id+"/"+what, nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+deploytest.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		b.tb.Fatalf("%s %s: %s", what, id, resp.Status)
	}
}
