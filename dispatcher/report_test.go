package dispatcher_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// telling is a house that tells the forge what becomes of jobs, with an app web of the repository acme/web.
func telling(t *testing.T) (*hub, *house) {
	t.Helper()
	f := newHub(t)
	url := f.make("acme/web", nil)
	h := open(t, granting(t))
	h.d.Feedback = f.post(h.q)
	h.entries(catalog.Entry{App: "web", Org: "personal", Dir: "web", Auto: true, Source: catalog.Source{Repo: url}})
	if _, err := f.client().EnsureHook(t.Context(), url, forge.Hook{URL: h.door.URL + "/webhook", Secret: secret}); err != nil {
		t.Fatal(err)
	}
	f.Wait()
	return f, h
}

func (f *hub) post(q *queue.Queue) *forge.Post {
	return &forge.Post{Events: q, Outbox: q, Jobs: q, Forge: f.client(), Lease: 600 * time.Millisecond}
}

// pushed pushes to acme/web and gives the job that is launching then.
func (f *hub) pushed(h *house) queue.Record {
	f.t.Helper()
	f.write("acme/web", "main", "change")
	d, a := h.one(f.Push(f.t.Context(), forgesim.Pushed{Repo: "acme/web", Sender: "ann"}))
	if d.Code != http.StatusAccepted || len(a.Jobs) != 1 {
		f.t.Fatalf("got %d %s", d.Code, d.Answer)
	}
	return h.job(a.Jobs[0].ID)
}

// told are the states of the app's commit status, oldest first.
func (f *hub) told() (states []string) {
	for _, s := range f.State().Repo("acme/web").Statuses {
		if s.Context == "flycd/web" {
			states = append(states, s.State)
		}
	}
	return states
}

// waitTold waits until the states are these.
func (f *hub) waitTold(want ...string) {
	f.t.Helper()
	for range 200 {
		if slices.Equal(f.told(), want) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.t.Errorf("told %v, want %v", f.told(), want)
}

// TestWhatBecomesOfAJobIsToldWhileARunnerWaits finishes a job as a runner does, and looks when POST /next has answered.
func TestWhatBecomesOfAJobIsToldWhileARunnerWaits(t *testing.T) {
	f, h := telling(t)
	r := f.pushed(h)
	f.waitTold("pending")
	h.finish(r)
	if got := h.next(); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	if got := f.told(); !slices.Equal(got, []string{"pending", "success"}) {
		t.Errorf("told %v when /next has answered", got)
	}
}

// TestGrantIsFollowedByFeedback has nothing told before: the push came while the forge was away.
func TestGrantIsFollowedByFeedback(t *testing.T) {
	f, h := telling(t)
	feedback := h.d.Feedback
	h.d.Feedback = nil
	h.q.Seal = true
	f.pushed(h)
	h.d.Feedback = feedback
	if _, got := h.grant(h.runners()["web"].asking(), ""); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	f.waitTold("pending")
}

// TestSlowForgeDelaysNoAnswer has the forge take its time for everything that it is told.
func TestSlowForgeDelaysNoAnswer(t *testing.T) {
	f, h := telling(t)
	if err := f.SetFaults(forgesim.Fault{Do: forgesim.Effect{DelayMS: 3000}, Match: forgesim.Match{Method: http.MethodPost, Path: "*/repos/acme/web/statuses/*"}}); err != nil {
		t.Fatal(err)
	}
	h.q.Seal = true
	began := time.Now()
	f.pushed(h)
	_, granted := h.grant(h.runners()["web"].asking(), "")
	called := h.post("/dispatch", callToken, `{"app":"web"}`)
	if took := time.Since(began); took > 2*time.Second || granted.status != http.StatusOK || called.status != http.StatusUnauthorized {
		t.Errorf("a push, a grant and a call took %v: %d, %d", took, granted.status, called.status)
	}
	if got := f.told(); len(got) > 0 {
		t.Errorf("the forge was not slow: %v", got)
	}
}

// TestDispatcherEndsAlthoughTheForgeIsSlow stops it while it tells.
func TestDispatcherEndsAlthoughTheForgeIsSlow(t *testing.T) {
	f, h := telling(t)
	stuck := &stuck{began: make(chan struct{}, 10)}
	h.d.Feedback = stuck
	f.pushed(h)
	<-stuck.began
	began := time.Now()
	h.d.Stop()
	h.d.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it ended after %v", took)
	}
}

// stuck is a world that does not listen.
type stuck struct{ began chan struct{} }

// Deliver is for dispatcher.Feedback.
func (s *stuck) Deliver(ctx context.Context, _ time.Duration) (forge.Report, error) {
	s.began <- struct{}{}
	<-ctx.Done()
	return forge.Report{}, ctx.Err()
}

// TestFeedbackThatPanicsEndsNothing holds that a letter which nobody can read stops no deploy.
func TestFeedbackThatPanicsEndsNothing(t *testing.T) {
	f, h := telling(t)
	h.d.Feedback = panics{}
	r := f.pushed(h)
	h.finish(r)
	if got := h.next(); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.text)
	}
	h.d.Feedback = f.post(h.q)
	h.d.Tell(t.Context())
	f.waitTold("success") // that it was pending is no news any more
}

type panics struct{}

// Deliver is for dispatcher.Feedback.
func (panics) Deliver(context.Context, time.Duration) (forge.Report, error) { panic("a letter") }

// TestWhatAKilledDispatcherLeftIsToldOnce has one die after the forge took the status and before it heard so.
func TestWhatAKilledDispatcherLeftIsToldOnce(t *testing.T) {
	f, h := telling(t)
	dying, err := queue.Open(h.redis, "")
	if err != nil {
		t.Fatal(err)
	}
	dead := f.post(dying)
	deaf := &deaf{sent: make(chan struct{}, 1)}
	dead.Forge = &forge.Client{BaseURL: f.base, Token: botToken, Transport: deaf}
	h.d.Feedback = dead
	r := f.pushed(h)
	<-deaf.sent
	if err := dying.Close(); err != nil { // whatever it finds out now, it tells nobody
		t.Fatal(err)
	}
	h.finish(r)
	next := &dispatcher.Server{Queue: h.q, Runners: h.maker, Feedback: f.post(h.q), Log: h.d.Log}
	for range 100 {
		next.Tell(t.Context())
		if got := f.told(); len(got) > 1 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.waitTold("pending", "success")
}

// deaf sends and never hears an answer.
type deaf struct{ sent chan struct{} }

// RoundTrip is for http.RoundTripper.
func (d *deaf) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if r.Method != http.MethodPost || err != nil {
		return resp, err
	}
	_ = resp.Body.Close()
	select {
	case d.sent <- struct{}{}:
	default:
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestRunnersGetTokensForTheirRepositoriesAlone asks for a grant where a GitHub App is installed.
func TestRunnersGetTokensForTheirRepositoriesAlone(t *testing.T) {
	f, h := telling(t)
	f.make("acme/secret", nil)
	f.write("acme/secret", "main", "hush")
	h.d.Grants.Git = f.app()
	h.q.Seal = true
	f.pushed(h)
	g, got := h.grant(h.runners()["web"].asking(), "")
	if got.status != http.StatusOK || len(g.Git) != 1 || job.RepoKey(g.Git[0].Repo) != job.RepoKey(f.base+"/acme/web") || g.Git[0].Username != "x-access-token" {
		t.Fatalf("got %d, %d credentials", got.status, len(g.Git))
	}
	if strings.Contains(h.logs.String(), g.Git[0].Password) {
		t.Error("the log holds the token")
	}
	if left := time.Until(g.Expires); left > time.Hour {
		t.Errorf("the grant ends in %v, its token for Git in an hour", left)
	}
	for path, want := range map[string]int{"/acme/web.git/info/refs?service=git-upload-pack": 200, "/acme/secret.git/info/refs?service=git-upload-pack": 404} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(g.Git[0].Username, g.Git[0].Password)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
