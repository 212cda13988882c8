package source_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/gigurra/flycd/shared/source"
)

func outline(t *testing.T, c *source.Client, url, hash string) *source.Tree {
	t.Helper()
	tree, err := c.Outline(t.Context(), url, source.Commit{Hash: hash})
	return kept(t, tree, err)
}

func fill(t *testing.T, c *source.Client, tree *source.Tree, paths ...string) {
	t.Helper()
	if err := c.Fill(t.Context(), tree, paths...); err != nil {
		t.Fatal(err)
	}
}

// recorded serves a folder by git's own server and lists the requests.
func recorded(t *testing.T, dir string) (at string, requests *[]string) {
	t.Helper()
	requests = &[]string{}
	target, err := url.Parse(serveWithGit(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	backend := httputil.NewSingleHostReverseProxy(target)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.Method+" "+filepath.Base(r.URL.Path))
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/.git", requests
}

func TestFillAsksOnlyForWhatIsMissing(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"app/Dockerfile": "FROM scratch", "app/deep/x": "x", "app/deep/y": "y", "lib/z": "z"})
	url, requests := recorded(t, r.dir)
	c := client(t)
	asked := func(want ...string) {
		t.Helper()
		if !slices.Equal(*requests, want) {
			t.Errorf("requests = %q, want %q", *requests, want)
		}
		*requests = nil
	}
	tree := outline(t, c, url, h)
	asked("GET refs", "POST git-upload-pack")
	if files, err := os.ReadDir(tree.Dir); err != nil || len(files) > 0 {
		t.Errorf("the outline has files: %v %v", files, err)
	}
	digest(t, tree, "app")
	fill(t, c, tree, "app/deep/x")
	asked("POST git-upload-pack")
	if got := filesOf(t, tree.Dir); !slices.Equal(got, []string{"./app/deep/x"}) {
		t.Errorf("files = %v", got)
	}
	fill(t, c, tree, "app/deep/x", "/app/deep/x/")
	asked()
	fill(t, c, tree, "app")
	asked("POST git-upload-pack")
	if got := filesOf(t, tree.Dir); !slices.Equal(got, []string{"./app/Dockerfile", "./app/deep/x", "./app/deep/y"}) {
		t.Errorf("files = %v", got)
	}
	fill(t, c, tree, "app/deep")
	asked()
	fill(t, c, tree)
	asked("POST git-upload-pack")
	if got := read(t, tree, "lib/z"); got != "z" {
		t.Errorf("lib/z = %q", got)
	}
}

func TestFilledTreeIsTheFetchedOneOverEveryTransport(t *testing.T) {
	r := newRepo(t)
	write(t, filepath.Join(r.dir, "app/run"), "#!/bin/sh")
	if err := os.Chmod(filepath.Join(r.dir, "app/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../lib/a", filepath.Join(r.dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	h := r.commit(map[string]string{"app/a": "1", "lib/a": "lib", "lib/same": "1", "top": "t"})
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			at := url(r)
			c := client(t)
			want, got := fetch(t, c, at, h), outline(t, c, at, h)
			for _, paths := range [][]string{{"lib/same"}, {"app"}, {"lib", "app/a"}, {}} {
				fill(t, c, got, paths...)
			}
			if a, b := digest(t, local(t, want.Dir), ""), digest(t, local(t, got.Dir), ""); a != b {
				t.Errorf("fetched %s, filled %s", a, b)
			}
			if got.Committed != want.Committed || got.Committed.IsZero() {
				t.Errorf("committed %v and %v", want.Committed, got.Committed)
			}
		})
	}
}

func TestFillOfWhatIsNotThereIsRejected(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"apps/web/a": "1"})
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			c := client(t)
			wantRejected(t, c.Fill(t.Context(), outline(t, c, url(r), h), "apps/wbe"), `did you mean "apps/web"?`)
		})
	}
}

func TestFillHoldsTheLimitsOfTheWholeTree(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"a/1": strings.Repeat("a", 600), "b/1": strings.Repeat("b", 600)})
	c := client(t)
	c.Limits.Bytes = 1000
	tree := outline(t, c, r.dir, h)
	fill(t, c, tree, "a")
	wantRejected(t, c.Fill(t.Context(), tree, "b"), "larger than the limit")
}

func TestFillOfAClosedTreeIsAnError(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"a": "1"})
	c := client(t)
	for _, url := range []string{r.dir, serveWithGit(t, r.dir) + "/.git"} {
		tree, err := c.Outline(t.Context(), url, source.Commit{Hash: h})
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Close(); err != nil {
			t.Fatal(err)
		}
		wantRetryable(t, c.Fill(t.Context(), tree, "a"))
	}
}

func TestLocalTreeNeedsNoFilling(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "1")
	before := filesOf(t, dir)
	fill(t, client(t), local(t, dir), "a")
	if after := filesOf(t, dir); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestCommitTellsItsTime(t *testing.T) {
	r := newRepo(t)
	write(t, filepath.Join(r.dir, "a"), "1")
	if err := r.tree.AddWithOptions(&git.AddOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		committed time.Time
		want      time.Time
	}{
		{time.Date(2024, 2, 29, 12, 0, 1, 0, time.FixedZone("", 7200)), time.Date(2024, 2, 29, 10, 0, 1, 0, time.UTC)},
		{time.Unix(0, 0), time.Unix(0, 0).UTC()},
		{time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
	} {
		h, err := r.tree.Commit("change", &git.CommitOptions{
			AllowEmptyCommits: true,
			Author:            &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(1_000_000_000, 0)},
			Committer:         &object.Signature{Name: "c > d", Email: "c@example.com", When: tc.committed},
		})
		if err != nil {
			t.Fatal(err)
		}
		tree := fetch(t, client(t), r.dir, h.String())
		if got := tree.Committed; !got.Equal(tc.want) || got.Location() != time.UTC {
			t.Errorf("committed at %v: got %v, want %v", tc.committed, got, tc.want)
		}
	}
	if got := local(t, r.dir).Committed; !got.IsZero() {
		t.Errorf("a folder was committed at %v", got)
	}
}
