package launch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
