package forgesim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

const admin = "ghp_admin"

func serve(t *testing.T, o forgesim.Options) (*forgesim.Server, string) {
	t.Helper()
	if o.Tokens == nil {
		o.Tokens = map[string]forgesim.Token{admin: {Login: "acme"}}
	}
	s, err := forgesim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	base, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return s, base
}

// clientOf is go-github as users of GitHub Enterprise make it.
func clientOf(t *testing.T, base, token string) *github.Client {
	t.Helper()
	c := github.NewClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	if token != "" {
		c = c.WithAuthToken(token)
	}
	c, err := c.WithEnterpriseURLs(base, base)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// repoWith makes a repository with one commit and gives that.
func repoWith(t *testing.T, s *forgesim.Server, full string, files map[string]string) string {
	t.Helper()
	if _, err := s.SetRepo(forgesim.Repo{Repo: full}); err != nil {
		t.Fatal(err)
	}
	change, _, err := s.Commit(t.Context(), forgesim.Commit{Repo: full, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return change.After
}

// listener is what hooks are sent to.
type listener struct {
	URL string

	mu     sync.Mutex
	status int
	got    []received
}

type received struct {
	event, guid, signature, kind string
	body                         []byte
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{status: http.StatusAccepted}
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	l.URL = srv.URL
	return l
}

// ServeHTTP notes what comes.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, received{r.Header.Get("X-GitHub-Event"), r.Header.Get("X-GitHub-Delivery"), r.Header.Get("X-Hub-Signature-256"), r.Header.Get("Content-Type"), body})
	w.WriteHeader(l.status)
	_, _ = io.WriteString(w, "thanks")
}

func (l *listener) answers(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

func (l *listener) all(event string) []received {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []received
	for _, r := range l.got {
		if r.event == event {
			out = append(out, r)
		}
	}
	return out
}

func hookAt(url, secret string, events ...string) *github.Hook {
	return &github.Hook{
		Events: events, Active: github.Bool(true),
		Config: &github.HookConfig{URL: &url, ContentType: github.String("json"), Secret: &secret, InsecureSSL: github.String("0")},
	}
}

// refused wants the status of GitHub's error.
func refused(t *testing.T, err error, status int, says string) {
	t.Helper()
	var e *github.ErrorResponse
	if !errors.As(err, &e) || e.Response.StatusCode != status {
		t.Fatalf("error = %v, want status %d", err, status)
	}
	if !strings.Contains(e.Error(), says) {
		t.Errorf("error = %v, want it to say %q", err, says)
	}
}

// control asks one of the simulator's own endpoints.
func control(t *testing.T, method, url string, in, out any) int {
	t.Helper()
	body := ""
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode
}
