package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

const grantedToken = "fm2_granted"

// granter answers askings as the dispatcher does, and keeps the last one.
type granter struct {
	*httptest.Server
	status int
	asked  launch.Asking
	who    string
}

func newGranter(t *testing.T) *granter {
	t.Helper()
	g := &granter{status: http.StatusOK}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&g.asked); err != nil {
			t.Error(err)
		}
		g.who = r.Header.Get("Authorization")
		w.WriteHeader(g.status)
		if g.status != http.StatusOK {
			_, _ = w.Write([]byte(`{"error":"a sentence"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(launch.Grant{FlyToken: grantedToken})
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *granter) config(t *testing.T) config {
	t.Helper()
	return config{
		Job: "j", Attempt: 2, Machine: "m", Ticket: "the-ticket", GrantURL: g.URL + "/grant", Audience: "flycd", APIToken: "own",
		FlySocket: filepath.Join(t.TempDir(), "none"),
	}
}

// TestGrantTakesThePlaceOfTheRunnersOwnToken asks by ticket, where this is no Fly machine.
func TestGrantTakesThePlaceOfTheRunnersOwnToken(t *testing.T) {
	g := newGranter(t)
	c, _, err := g.config(t).granted(t.Context())
	if err != nil || c.APIToken != grantedToken || g.who != "" || g.asked != (launch.Asking{Job: "j", Attempt: 2, Machine: "m", Ticket: "the-ticket"}) {
		t.Errorf("token %q, asked %+v as %q, %v", c.APIToken, g.asked, g.who, err)
	}
	alone := g.config(t)
	alone.GrantURL = ""
	if c, _, err := alone.granted(t.Context()); err != nil || c.APIToken != "own" {
		t.Errorf("where nobody grants: token %q, %v", c.APIToken, err)
	}
}

// TestMachineSaysWhoItIs has Fly's API stumble once: an attempt is worth more than one try.
func TestMachineSaysWhoItIs(t *testing.T) {
	g := newGranter(t)
	cfg := g.config(t)
	l, err := net.Listen("unix", cfg.FlySocket)
	if err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int64
	fly := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("a.b.c"))
	})}
	go func() { _ = fly.Serve(l) }()
	t.Cleanup(func() { _ = fly.Close() })
	if _, _, err := cfg.granted(t.Context()); err != nil || g.who != "Bearer a.b.c" || tries.Load() != 2 {
		t.Errorf("asked as %q after %d tries, %v", g.who, tries.Load(), err)
	}
}

// TestRefusedRunnerHasNoToken holds that a machine which is granted nothing does not go on with what it had before.
func TestRefusedRunnerHasNoToken(t *testing.T) {
	for status, want := range map[int]error{401: launch.ErrRefused, 409: launch.ErrRefused, 422: job.ErrRejected} {
		g := newGranter(t)
		g.status = status
		c, grant, err := g.config(t).granted(t.Context())
		if !errors.Is(err, want) || c.APIToken != "" || grant.FlyToken != "" {
			t.Errorf("%d: token %q, %v", status, c.APIToken, err)
		}
		if strings.Contains(err.Error(), "the-ticket") {
			t.Errorf("%d: the error tells the ticket: %v", status, err)
		}
	}
}

// TestRunnerOfSomebodyElsesJobEndsQuietly runs the whole program: it is no failure, and Redis is not asked.
func TestRunnerOfSomebodyElsesJobEndsQuietly(t *testing.T) {
	g := newGranter(t)
	g.status = http.StatusConflict
	var said bytes.Buffer
	code := run(t.Context(), nil, environment{out: &said, err: &said, vars: []string{
		"FLYCD_JOB=" + strings.Repeat("a", 26), "FLYCD_ATTEMPT=1", "FLY_MACHINE_ID=m", "REDIS_URL=redis://127.0.0.1:1", "FLYCD_TICKET=the-ticket",
		"FLYCD_GRANT_URL=" + g.URL, "FLYCD_FLY_SOCKET=" + filepath.Join(t.TempDir(), "none"),
	}})
	if code != exitOK || !strings.Contains(said.String(), "a sentence") || strings.Contains(said.String(), "the-ticket") {
		t.Errorf("exit %d: %s", code, said.String())
	}
}
