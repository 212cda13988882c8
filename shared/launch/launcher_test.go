package launch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

const (
	token = "secret-token"
	theID = job.ID("abcdefghijklmnopqrstuvwxyz")
)

// fly is a simulated Fly with an app for runners, and what was asked of it.
type fly struct {
	*httptest.Server
	t       *testing.T
	creates atomic.Int64
	lists   atomic.Int64
}

func newFly(t *testing.T) *fly {
	t.Helper()
	sim := flysim.New(flysim.Options{Tokens: []string{token}})
	f := &fly{t: t}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/machines") {
			if r.Method == http.MethodPost {
				f.creates.Add(1)
			} else {
				f.lists.Add(1)
			}
		}
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		f.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	f.send(http.MethodPost, "/v1/apps", `{"app_name":"runners","name":"runners","org_slug":"personal"}`)
	return f
}

func (f *fly) launcher() *launch.Launcher {
	return &launch.Launcher{App: "runners", Image: "runner:1", Region: "arn", BaseURL: f.URL, Token: token, HTTP: launch.NewHTTP()}
}

func (f *fly) send(method, path, body string) string {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		f.t.Fatal(err)
	}
	if resp.StatusCode > 299 {
		f.t.Fatalf("%s %s: %s %s", method, path, resp.Status, b.String())
	}
	return b.String()
}

// faults sets what goes wrong with the list and the creation of machines: from the nth request on.
func (f *fly) faults(method string, nth int, do string) {
	f.t.Helper()
	f.send(http.MethodPut, "/_sim/faults", fmt.Sprintf(`[{"match":{"method":%q,"path":"/v1/apps/runners/machines","nth":%d},"do":%s}]`, method, nth, do))
}

// names lists the machines that the simulator holds, by a request of its own.
func (f *fly) names() (names []string) {
	f.t.Helper()
	var all []struct{ Name, State string }
	if err := json.Unmarshal([]byte(f.send(http.MethodGet, "/v1/apps/runners/machines", "")), &all); err != nil {
		f.t.Fatal(err)
	}
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names
}

func runner() launch.Runner {
	return launch.Runner{Job: job.Job{ID: theID, Kind: job.Deploy, App: "hello"}, Attempt: 1, Deadline: time.Now().Add(time.Hour)}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestLaunchMakesTheRunnersMachine(t *testing.T) {
	f := newFly(t)
	m, err := f.launcher().Launch(within(t, 5*time.Second), runner())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Name, Region string
		Config       struct {
			Env, Metadata map[string]string
			AutoDestroy   bool `json:"auto_destroy"`
			Restart       struct{ Policy string }
			DNS           struct {
				SkipRegistration bool `json:"skip_registration"`
			} `json:"dns"`
			Guest struct {
				CPUKind  string `json:"cpu_kind"`
				MemoryMB int    `json:"memory_mb"`
			}
			Services []any
		}
	}
	if err := json.Unmarshal([]byte(f.send(http.MethodGet, "/v1/apps/runners/machines/"+m.ID, "")), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Config
	if got.Name != "r-"+string(theID)+"-1" || got.Region != "arn" || !c.AutoDestroy || c.Restart.Policy != "no" || !c.DNS.SkipRegistration ||
		c.Guest.CPUKind != "shared" || c.Guest.MemoryMB != 512 || len(c.Services) != 0 {
		t.Errorf("made %+v", got)
	}
	if c.Env["FLYCD_JOB"] != string(theID) || c.Env["FLYCD_ATTEMPT"] != "1" || c.Env["FLYCD_DEADLINE"] == "" || c.Metadata["flycd_job"] != string(theID) || c.Metadata["flycd_attempt"] != "1" {
		t.Errorf("made it with env %v, metadata %v", c.Env, c.Metadata)
	}
	if m.Job != theID || m.Attempt != 1 || m.ID == "" {
		t.Errorf("launched %+v", m)
	}
}

func TestLaunchIsSafeToRepeat(t *testing.T) {
	f := newFly(t)
	first, err := f.launcher().Launch(within(t, 5*time.Second), runner())
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.launcher().Launch(within(t, 5*time.Second), runner())
	if err != nil || second.ID != first.ID {
		t.Fatalf("got %+v, %v, want machine %s again", second, err, first.ID)
	}
	if got := f.names(); len(got) != 1 {
		t.Errorf("machines %v, want one", got)
	}
}

// TestNoFaultMakesASecondMachine breaks every call of a launch in every way, once and again, before
// and after its effect.
func TestNoFaultMakesASecondMachine(t *testing.T) {
	for _, do := range []string{
		`{"status":408}`, `{"status":429,"body":{"error":"rate limited"}}`, `{"status":500}`, `{"status":502}`, `{"status":503}`, `{"status":504}`,
		`{"status":408,"after":true}`, `{"status":429,"after":true}`, `{"status":503,"after":true}`,
		`{"drop":"before"}`, `{"drop":"after"}`,
	} {
		for _, call := range []struct {
			method string
			nth    int
		}{{http.MethodGet, 1}, {http.MethodPost, 1}, {http.MethodGet, 2}} {
			t.Run(fmt.Sprintf("%s %d %s", call.method, call.nth, do), func(t *testing.T) {
				t.Parallel()
				f := newFly(t)
				f.faults(call.method, call.nth, do)
				l := f.launcher()
				m, err := l.Launch(within(t, 10*time.Second), runner())
				if err != nil {
					t.Fatal(err)
				}
				f.send(http.MethodPut, "/_sim/faults", `[]`)
				again, err := l.Launch(within(t, 10*time.Second), runner())
				if err != nil || again.ID != m.ID {
					t.Errorf("launching again gave %+v, %v, want %s", again, err, m.ID)
				}
				if got := f.names(); len(got) != 1 {
					t.Errorf("machines %v, want one", got)
				}
			})
		}
	}
}

func TestConflictIsAdopted(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	first, err := l.Launch(within(t, 5*time.Second), runner())
	if err != nil {
		t.Fatal(err)
	}
	// The first look finds nothing, as when the list lags.
	f.faults(http.MethodGet, 1, `{"status":200,"body":[]}`)
	again, err := l.Launch(within(t, 5*time.Second), runner())
	if err != nil || again.ID != first.ID {
		t.Errorf("got %+v, %v, want %s", again, err, first.ID)
	}
	if got := f.creates.Load(); got != 2 {
		t.Errorf("%d creations, want a second one that was refused", got)
	}
	if got := f.names(); len(got) != 1 {
		t.Errorf("machines %v, want one", got)
	}
}

func TestManyLaunchesMakeOneMachine(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	ctx := within(t, 10*time.Second)
	var wg sync.WaitGroup
	ids := make([]string, 10)
	for i := range ids {
		wg.Go(func() {
			m, err := l.Launch(ctx, runner())
			if err != nil {
				t.Error(err)
			}
			ids[i] = m.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("machines %v, want one", ids)
			break
		}
	}
}

// TestCertaintyIsTold holds ErrNothingMade to what is certain: a caller gives an attempt back on it.
func TestCertaintyIsTold(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + refusing.Addr().String()
	_ = refusing.Close()
	for name, c := range map[string]struct {
		method, do  string
		repeat      bool
		change      func(*launch.Launcher)
		nothingMade bool
	}{
		"create is refused":               {method: "POST", do: `{"status":422,"body":{"error":"invalid config"}}`, nothingMade: true},
		"token is refused":                {change: func(l *launch.Launcher) { l.Token = "other" }, nothingMade: true},
		"app is missing":                  {change: func(l *launch.Launcher) { l.App = "missing" }, nothingMade: true},
		"size is wrong":                   {change: func(l *launch.Launcher) { l.Size = "huge" }, nothingMade: true},
		"nobody listens":                  {change: func(l *launch.Launcher) { l.BaseURL = nobody }, nothingMade: true},
		"always over the rate":            {method: "POST", do: `{"status":429,"repeat":1000}`, nothingMade: true},
		"no capacity":                     {method: "POST", do: `{"status":412,"body":{"error":"insufficient resources"},"repeat":1000}`, nothingMade: true},
		"looking never works":             {method: "GET", do: `{"status":500,"repeat":1000}`, nothingMade: true},
		"create always times out":         {method: "POST", do: `{"status":408,"repeat":1000}`},
		"create always breaks":            {method: "POST", do: `{"drop":"before","repeat":1000}`},
		"create always fails with a 503":  {method: "POST", do: `{"status":503,"repeat":1000}`},
		"create says something strange":   {method: "POST", do: `{"status":200,"body":"hello","repeat":1000}`},
		"create answers without a name":   {method: "POST", do: `{"status":200,"body":{"id":"1"},"repeat":1000}`},
		"create conflicts with a phantom": {method: "POST", do: `{"status":409,"body":{"error":"already exists"},"repeat":1000}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFly(t)
			if c.method != "" {
				f.faults(c.method, 0, c.do)
			}
			l := f.launcher()
			if c.change != nil {
				c.change(l)
			}
			_, err := l.Launch(within(t, 700*time.Millisecond), runner())
			if err == nil {
				t.Fatal("launched")
			}
			if got := errors.Is(err, launch.ErrNothingMade); got != c.nothingMade {
				t.Errorf("nothing made: got %t, want %t: %v", got, c.nothingMade, err)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	var posts, early atomic.Int64
	var allowed atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `[]`)
		case posts.Add(1) == 1:
			allowed.Store(time.Now().Add(time.Second).UnixNano())
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			if time.Now().UnixNano() < allowed.Load() {
				early.Add(1)
			}
			fmt.Fprintf(w, `{"id":"148e123456789a","name":%q,"state":"created"}`, launch.Name(theID, 1))
		}
	}))
	defer server.Close()
	l := &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: server.URL, Token: token}
	if _, err := l.Launch(within(t, 10*time.Second), runner()); err != nil {
		t.Fatal(err)
	}
	if posts.Load() != 2 || early.Load() != 0 {
		t.Errorf("%d creations, %d of them too early", posts.Load(), early.Load())
	}
}

func TestLongRetryAfterEndsTheLaunchAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `[]`)
			return
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	l := &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: server.URL, Token: token}
	ctx := within(t, time.Minute)
	if _, err := l.Launch(ctx, runner()); !errors.Is(err, launch.ErrNothingMade) {
		t.Errorf("got %v", err)
	}
	if ctx.Err() != nil {
		t.Error("it waited for nothing")
	}
}

func TestHangingCreateIsLookedAfter(t *testing.T) {
	f := newFly(t)
	// The machine is made and the answer is cut off after a while that outlasts the first round.
	f.faults(http.MethodPost, 1, `{"delay_ms":20000,"after":true}`)
	ctx := within(t, 3*time.Second)
	m, err := f.launcher().Launch(ctx, runner())
	if err != nil {
		t.Fatal(err)
	}
	if got := f.names(); len(got) != 1 || m.Name != got[0] {
		t.Errorf("machines %v, want %s alone", got, m.Name)
	}
}

func TestListHoldsRunnersOnly(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	if _, err := l.Launch(within(t, 5*time.Second), runner()); err != nil {
		t.Fatal(err)
	}
	f.send(http.MethodPost, "/v1/apps/runners/machines", `{"name":"dispatcher","config":{"image":"dispatcher:1"}}`)
	list, err := l.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Job != theID {
		t.Errorf("got %+v, %v, want the runner alone", list, err)
	}
}

func TestPartialListIsAnError(t *testing.T) {
	for _, body := range []string{``, `null`, `{}`, `{"machines":[]}`, `[{"id":"1"`, `"[]"`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		l := &launch.Launcher{App: "runners", BaseURL: server.URL}
		if list, err := l.List(t.Context()); err == nil {
			t.Errorf("%q passes for the list %v", body, list)
		}
		server.Close()
	}
}

func TestEndDestroysAndIsSafeToRepeat(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	m, err := l.Launch(within(t, 5*time.Second), runner())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.End(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := l.List(t.Context()); err != nil || len(list) > 0 && !list[0].Gone() {
		t.Errorf("still there: %+v, %v", list, err)
	}
	if err := l.End(t.Context(), launch.Machine{ID: "none"}); err != nil {
		t.Error(err)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	f := newFly(t)
	if err := f.launcher().Check(t.Context()); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*launch.Launcher){
		"FLY_API_TOKEN": func(l *launch.Launcher) { l.Token = "other" },
		"missing":       func(l *launch.Launcher) { l.App = "missing" },
		"image":         func(l *launch.Launcher) { l.Image = "" },
		"shared-cpu-1x": func(l *launch.Launcher) { l.Size = "big" },
	} {
		l := f.launcher()
		change(l)
		if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a word about %s", err, want)
		}
	}
	if got := f.creates.Load(); got != 0 {
		t.Errorf("checking made %d machines", got)
	}
}

func TestTokenFollowsNoRedirect(t *testing.T) {
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("Authorization") != "")
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	l := &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: server.URL, Token: token, HTTP: launch.NewHTTP()}
	if err := l.Check(t.Context()); err == nil {
		t.Error("a redirect passes for an answer")
	}
	if leaked.Load() {
		t.Error("the token went to another host")
	}
}
