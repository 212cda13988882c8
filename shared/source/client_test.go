package source_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// counting serves a repository and counts the requests for its refs. It asks for a password when there is one.
type counting struct {
	http.Handler
	refs     atomic.Int64
	password string
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, got, _ := r.BasicAuth(); c.password != "" && got != c.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/info/refs") {
		c.refs.Add(1)
	}
	c.Handler.ServeHTTP(w, r)
}

func serveCounting(t *testing.T, r *repo, password string) (*counting, string) {
	t.Helper()
	h := &counting{Handler: &source.Server{Dir: r.dir}, password: password}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return h, srv.URL
}

func TestOneListingPerRepositoryIsShared(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"a": "1"})
	served, url := serveCounting(t, r, "")
	now := time.Unix(1_700_000_000, 0)
	c := &source.Client{Dir: t.TempDir(), Memory: 10 * time.Second, Now: func() time.Time { return now }}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			got, err := c.Resolve(t.Context(), url+"/.git", manifest.Ref{Branch: "main"})
			if err != nil || got.Hash != h {
				t.Errorf("got %v %v", got, err)
			}
		})
	}
	all.Wait()
	if n := served.refs.Load(); n != 1 {
		t.Errorf("%d listings for 50 questions at once, want 1", n)
	}
	h2 := r.commit(map[string]string{"a": "2"})
	now = now.Add(11 * time.Second)
	got, err := c.Resolve(t.Context(), url+"/.git", manifest.Ref{})
	if err != nil || got.Hash != h2 {
		t.Errorf("got %v %v, want the new commit after the memory has gone", got, err)
	}
}

func TestPinnedCommitAsksNobody(t *testing.T) {
	served, url := serveCounting(t, newRepo(t), "")
	hash := strings.Repeat("0a", 20)
	got, err := client(t).Resolve(t.Context(), url+"/.git", manifest.Ref{Commit: hash})
	if err != nil || got.Hash != hash || served.refs.Load() != 0 {
		t.Errorf("got %v %v with %d listings", got, err, served.refs.Load())
	}
}

func TestCancelledCallerDoesNotWait(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := client(t).Resolve(ctx, srv.URL+"/acme/web", manifest.Ref{})
		done <- err
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

// logins is an Authenticator that knows one password.
type logins struct{ password string }

func (l logins) Credential(context.Context, string) (source.Credential, error) {
	return source.Credential{Password: manifest.NewSecret(l.password)}, nil
}

func TestCredentialOpensAndIsNeverTold(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"a": "1"})
	const secret = "ghp_0123456789abcdefghij"
	_, url := serveCounting(t, r, secret)
	host := strings.TrimPrefix(url, "http://")
	for name, c := range map[string]struct {
		url  string
		auth source.Authenticator
	}{
		"given":            {url + "/.git", logins{secret}},
		"user and token":   {"http://me:" + secret + "@" + host + "/.git", nil},
		"token in the URL": {"http://" + secret + "@" + host + "/.git", nil},
	} {
		cl := client(t)
		cl.Auth = c.auth
		tree, err := cl.Fetch(t.Context(), c.url, source.Commit{Hash: h})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}
	wrong := "http://me:wr0ng-" + secret + "@" + host
	for _, bad := range []string{
		wrong + "/.git", wrong + "/nothing", "http://me:wr0ng-" + secret + "@127.0.0.1:1/x", "https://me:wr0ng-" + secret + "@127.0.0.1:1/x",
		"https://me:wr0ng-" + secret + "@exa mple.com/x", "https://me:wr0ng-" + secret + "@example.com:99999/x", "gopher://me:wr0ng-" + secret + "@example.com/x",
		"https://me:wr0ng-" + secret + "@example.com/x?token=wr0ng", "http://me:wr0ng-" + secret + "@example.com/x", "https://me:wr0ng-" + secret + "@example.com/",
		"ssh://me:wr0ng-" + secret + "@127.0.0.1:1/x", "https://me:wr0ng-" + secret + "@[::1/x", "https://me:wr0ng%zz-" + secret + "@example.com/x",
	} {
		_, err := client(t).Resolve(t.Context(), bad, manifest.Ref{})
		if err == nil {
			t.Errorf("%s: no error", bad)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	_, err := client(t).Resolve(t.Context(), url+"/.git", manifest.Ref{})
	wantRejected(t, err, "needs a credential")
	open := client(t)
	open.Auth = logins{secret}
	_, err = open.Resolve(t.Context(), "http://example.com/acme/web", manifest.Ref{})
	wantRejected(t, err, "not sent over plain http")
}

func TestGitsHelpersAreAskedOnAPersonsMachine(t *testing.T) {
	program := needGit(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	out, err := exec.Command(program, "config", "--global", "credential.helper", `!f() { test "$1" = get && echo username=me && echo password=fromhelper; }; f`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	r := newRepo(t)
	h := r.commit(map[string]string{"a": "1"})
	served := &counting{Handler: &source.Server{Dir: r.dir}, password: "fromhelper"}
	srv := httptest.NewTLSServer(served)
	defer srv.Close()
	for _, git := range []bool{true, false} {
		c := client(t)
		c.Git, c.HTTP = git, srv.Client().Transport
		got, err := c.Resolve(t.Context(), srv.URL+"/.git", manifest.Ref{})
		if git && (err != nil || got.Hash != h) {
			t.Errorf("with git: %v %v", got, err)
		}
		if !git {
			wantRejected(t, err, "needs a credential")
		}
	}
}

func TestFoldersCanBeRefused(t *testing.T) {
	r := newRepo(t)
	r.commit(map[string]string{"a": "1"})
	c := client(t)
	c.NoFolders = true
	for _, url := range []string{r.dir, "file://" + r.dir} {
		_, err := c.Resolve(t.Context(), url, manifest.Ref{})
		wantRejected(t, err, "only https and ssh")
	}
	_, err := client(t).Resolve(t.Context(), t.TempDir(), manifest.Ref{})
	wantRejected(t, err, "is no git repository")
}

func TestWhatADeadProcessLeftIsSwept(t *testing.T) {
	dir := t.TempDir()
	leave := func(name string, age time.Duration) string {
		write(t, filepath.Join(dir, name, "tree", "file"), "x")
		lock := filepath.Join(dir, name+".lock")
		write(t, lock, "")
		if err := os.Chtimes(lock, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	old, young := leave("flycd-tree-1-old", time.Hour), leave("flycd-tree-1-young", time.Second)
	other := leave("somebody-elses", time.Hour)
	r := newRepo(t)
	h := r.commit(map[string]string{"a": "1"})
	// a living client's tree stays, however old
	living := &source.Client{Dir: dir}
	tree, err := living.Fetch(t.Context(), r.dir, source.Commit{Hash: h})
	if err != nil {
		t.Fatal(err)
	}
	locks, _ := filepath.Glob(filepath.Join(dir, "*.lock"))
	for _, l := range locks {
		if strings.HasSuffix(l, "young.lock") {
			continue
		}
		if err := os.Chtimes(l, time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	next := &source.Client{Dir: dir}
	second, err := next.Fetch(t.Context(), r.dir, source.Commit{Hash: h})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{old: false, young: true, other: true, tree.Dir: true, second.Dir: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	for _, c := range []*source.Client{living, next} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{tree.Dir, second.Dir} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s outlived Client.Close", path)
		}
	}
}

func TestTreeIsReadByManyAtOnce(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"app/.flycdignore": "x", "app/a": "1", "lib/b": "2"})
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			tree := fetch(t, client(t), url(r), h)
			want := digest(t, tree, "app", "lib/**")
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					got, err := tree.Digest("app", "lib/**")
					if err != nil || got != want {
						t.Errorf("got %s %v, want %s", got, err, want)
					}
					if _, err := tree.FS(); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
}
