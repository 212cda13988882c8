package source_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

func TestMirrorFollowsAFolderAndIsServed(t *testing.T) {
	dir, served := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "app/app.yaml"), "app: x")
	write(t, filepath.Join(dir, ".gitignore"), "tmp\n")
	write(t, filepath.Join(dir, "tmp/junk"), "junk")
	if err := os.Chmod(filepath.Join(dir, "app/app.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app.yaml", filepath.Join(dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	m, err := source.NewMirror(dir, filepath.Join(served, "config.git"))
	if err != nil {
		t.Fatal(err)
	}
	commit := func() source.Change {
		t.Helper()
		ch, err := m.Commit(t.Context(), "save")
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	first := commit()
	if !first.Changed || first.Before != strings.Repeat("0", 40) {
		t.Errorf("first = %+v", first)
	}
	if again := commit(); again.Changed || again.Before != first.After || again.After != first.After {
		t.Errorf("unchanged folder gives %+v", again)
	}
	if diff := cmp.Diff(before, filesOf(t, dir)); diff != "" {
		t.Errorf("the folder was touched: %s", diff)
	}
	srv := httptest.NewServer(&source.Server{Dir: served})
	defer srv.Close()
	c := client(t)
	url := srv.URL + "/config.git"
	tree := fetch(t, c, url, first.After)
	if got, want := digest(t, tree, ""), digest(t, local(t, dir), ""); got != want {
		t.Errorf("the mirror's digest is %s, the folder's %s", got, want)
	}
	if files := filesOf(t, tree.Dir); slices.Contains(files, "./tmp/junk") {
		t.Error("ignored files are mirrored")
	}
	write(t, filepath.Join(dir, "app/app.yaml"), "app: y")
	second := commit()
	if !second.Changed || second.Before != first.After {
		t.Errorf("second = %+v", second)
	}
	got, err := c.Resolve(t.Context(), srv.URL+"/config", manifest.Ref{})
	if err != nil || got != (source.Commit{Hash: second.After, Ref: "refs/heads/main"}) {
		t.Errorf("got %+v %v", got, err)
	}
	// another process goes on where this one ended
	m2, err := source.NewMirror(dir, filepath.Join(served, "config.git"))
	if err != nil {
		t.Fatal(err)
	}
	if ch, err := m2.Commit(t.Context(), "save"); err != nil || ch.Changed || ch.After != second.After {
		t.Errorf("a new mirror gives %+v %v", ch, err)
	}
	if text := read(t, fetch(t, c, url, first.After), "app/link"); text != "app: x" {
		t.Errorf("the old commit holds %q", text)
	}
}

func TestServerIsUnderstoodByGit(t *testing.T) {
	program := needGit(t)
	r := newRepo(t)
	r.commit(map[string]string{"a/b": "1"})
	r.tag("v1", "annotated")
	h := r.commit(map[string]string{"a/b": "2"})
	srv := httptest.NewServer(&source.Server{Dir: r.dir})
	defer srv.Close()
	dir := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command(program, "clone", "-q", srv.URL+"/.git", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program, "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil || strings.TrimSpace(string(out)) != h {
		t.Errorf("HEAD = %s %v, want %s", out, err, h)
	}
	out, err = exec.Command(program, "ls-remote", srv.URL+"/.git").Output()
	if err != nil || !strings.Contains(string(out), "refs/tags/v1^{}") {
		t.Errorf("ls-remote = %s %v", out, err)
	}
	if err := exec.Command(program, "-C", dir, "push", srv.URL+"/.git", "HEAD:refs/heads/x").Run(); err == nil {
		t.Error("the server took a push")
	}
}

func TestServerNeverLeavesItsFolder(t *testing.T) {
	outer := newRepo(t)
	outer.commit(map[string]string{"secret": "x"})
	dir := filepath.Join(outer.dir, "served")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	srv := &source.Server{Dir: dir}
	for _, path := range []string{"/../.git", "/..%2f.git", "//../.git", "/", "/x/../../.git", "/.git"} {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.URL.Path = path + "/info/refs"
		req.URL.RawQuery = "service=git-upload-pack"
		srv.ServeHTTP(w, req)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
