package source_test

import (
	"errors"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/source"
)

// repo is a real repository made by go-git, with a work tree.
type repo struct {
	t    *testing.T
	dir  string
	git  *git.Repository
	tree *git.Worktree
	n    int
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	r, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	return &repo{t: t, dir: dir, git: r, tree: w}
}

// commit writes the files and commits them; an empty text removes the file.
func (r *repo) commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		full := filepath.Join(r.dir, name)
		if text == "" {
			if err := os.RemoveAll(full); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		write(r.t, full, text)
	}
	if err := r.tree.AddWithOptions(&git.AddOptions{All: true}); err != nil {
		r.t.Fatal(err)
	}
	r.n++
	h, err := r.tree.Commit("change", &git.CommitOptions{
		Author:            &object.Signature{Name: "t", Email: "t@example.com", When: time.Unix(1_700_000_000+int64(r.n), 0)},
		AllowEmptyCommits: true,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return h.String()
}

func (r *repo) tag(name, message string) {
	r.t.Helper()
	head, err := r.git.Head()
	if err != nil {
		r.t.Fatal(err)
	}
	var opts *git.CreateTagOptions
	if message != "" {
		opts = &git.CreateTagOptions{Message: message, Tagger: &object.Signature{Name: "t", When: time.Unix(1_700_000_000, 0)}}
	}
	if _, err := r.git.CreateTag(name, head.Hash(), opts); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) ref(name, commit string) {
	r.t.Helper()
	if err := r.git.Storer.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(commit))); err != nil {
		r.t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// transports are the ways in which the same repository is reached. Each gives the URL for a folder.
func transports(t *testing.T) map[string]func(*repo) string {
	t.Helper()
	return map[string]func(*repo) string{
		"folder":   func(r *repo) string { return r.dir },
		"file URL": func(r *repo) string { return "file://" + r.dir },
		"our own server": func(r *repo) string {
			// the server serves bare repositories: .git of a work tree is one
			srv := httptest.NewServer(&source.Server{Dir: r.dir})
			r.t.Cleanup(srv.Close)
			return srv.URL + "/.git"
		},
		"git http-backend": func(r *repo) string { return serveWithGit(r.t, r.dir) + "/.git" },
	}
}

// serveWithGit serves a folder's repositories by git's own server.
func serveWithGit(t *testing.T, dir string) string {
	t.Helper()
	return serveForBench(t, needGit(t), dir)
}

func serveForBench(tb testing.TB, program, dir string) string {
	tb.Helper()
	backend := &cgi.Handler{
		Path: program, Args: []string{"http-backend"},
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=3",
			"GIT_CONFIG_KEY_0=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_0=true",
			"GIT_CONFIG_KEY_1=uploadpack.allowFilter", "GIT_CONFIG_VALUE_1=true",
			"GIT_CONFIG_KEY_2=safe.directory", "GIT_CONFIG_VALUE_2=*",
		},
		InheritEnv: []string{"HOME"},
	}
	srv := httptest.NewServer(backend)
	tb.Cleanup(srv.Close)
	return srv.URL
}

// needGit gives the git program; a test that needs it is skipped by name where it is missing.
func needGit(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			tb.Fatal("git is not installed")
		}
		tb.Skip("git is not installed")
	}
	return program
}

func client(t *testing.T) *source.Client {
	t.Helper()
	dir := t.TempDir()
	c := &source.Client{Dir: dir, Memory: -1}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return c
}

func fetch(t *testing.T, c *source.Client, url, hash string, paths ...string) *source.Tree {
	t.Helper()
	tree, err := c.Fetch(t.Context(), url, source.Commit{Hash: hash}, paths...)
	return kept(t, tree, err)
}

// kept wants a tree, and closes it at the end of the test.
func kept(t *testing.T, tree *source.Tree, err error) *source.Tree {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

func read(t *testing.T, tree *source.Tree, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(tree.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantRejected checks that the error is one that no attempt can cure and says what it should.
func wantRejected(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, job.ErrRejected) {
		t.Fatalf("error = %v, want one that wraps job.ErrRejected", err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error = %q, want it to say %q", err, says)
	}
}

func wantRetryable(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, job.ErrRejected) {
		t.Fatalf("error = %v, want one that may be tried again", err)
	}
}

var _ http.Handler = (*source.Server)(nil)
