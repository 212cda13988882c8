package source_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/source"
)

func digest(t *testing.T, tree *source.Tree, p string, watch ...string) string {
	t.Helper()
	d, err := tree.Digest(p, watch...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func local(t *testing.T, dir string) *source.Tree {
	t.Helper()
	tree, err := client(t).Local(t.Context(), dir)
	return kept(t, tree, err)
}

func TestDigestIsGitsOwnHashOfTheFolder(t *testing.T) {
	program := needGit(t)
	r := newRepo(t)
	h := r.commit(map[string]string{"apps/web/main.go": "x", "apps/web/sub/y": "y", "apps/api/z": "z", "README": "r"})
	tree := fetch(t, client(t), r.dir, h)
	for _, p := range []string{"apps/web", "apps", "README", ""} {
		out, err := exec.Command(program, "-C", r.dir, "rev-parse", "HEAD:"+p).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := digest(t, tree, p), strings.TrimSpace(string(out)); got != want {
			t.Errorf("%q: got %s, want %s", p, got, want)
		}
	}
}

func TestCommitElsewhereChangesNoDigest(t *testing.T) {
	r := newRepo(t)
	first := r.commit(map[string]string{"apps/web/main.go": "x", "apps/api/z": "z"})
	second := r.commit(map[string]string{"apps/api/z": "changed"})
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			c := client(t)
			at := url(r)
			one, two := fetch(t, c, at, first, "apps/web"), fetch(t, c, at, second, "apps/web")
			if digest(t, one, "apps/web") != digest(t, two, "apps/web") {
				t.Error("apps/web has another digest")
			}
			if digest(t, one, "apps/api") == digest(t, two, "apps/api") {
				t.Error("apps/api has the same digest")
			}
			outline, err := c.Outline(t.Context(), at, source.Commit{Hash: second})
			if err != nil {
				t.Fatal(err)
			}
			defer outline.Close() //nolint:errcheck // looked at elsewhere
			if digest(t, outline, "apps/api") != digest(t, two, "apps/api") {
				t.Error("the outline has another digest")
			}
			if files, err := os.ReadDir(outline.Dir); err != nil || len(files) > 0 {
				t.Errorf("the outline has files: %v %v", files, err)
			}
		})
	}
}

func TestCleanWorkTreeAndItsCommitHaveOneDigest(t *testing.T) {
	r := newRepo(t)
	r.commit(map[string]string{
		".gitignore": "tmp\n*.log\n/only-here\n!keep.log\n", "app/main.go": "x", "app/run": "#!", "app/.gitignore": "gen/\n",
		"app/keep.log": "kept", "app/only-here": "not at the root", "app-2/x": "x", "app.txt": "sorts between",
	})
	if err := os.Chmod(filepath.Join(r.dir, "app/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("main.go", filepath.Join(r.dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	h := r.commit(nil)
	for _, junk := range []string{"app/tmp/a", "app/x.log", "app/gen/code.go", "only-here"} {
		write(t, filepath.Join(r.dir, junk), "junk")
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "app/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	commit, here := fetch(t, client(t), r.dir, h), local(t, filepath.Join(r.dir, "app"))
	if here.Path != "app" || here.Dir != mustEval(t, r.dir) {
		t.Errorf("local tree = %s in %s", here.Path, here.Dir)
	}
	for _, p := range []string{"app", "", "app/main.go"} {
		if got, want := digest(t, here, p), digest(t, commit, p); got != want {
			t.Errorf("%q: on disk %s, in the commit %s", p, got, want)
		}
	}
}

func mustEval(t *testing.T, dir string) string {
	t.Helper()
	out, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLocalDigestFollowsContentModeAndName(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "1")
	seen := map[string]string{digest(t, local(t, dir), ""): "at first"}
	step := func(what string, do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		d := digest(t, local(t, dir), "")
		if before, ok := seen[d]; ok {
			t.Errorf("%s: the digest is the one %s", what, before)
		}
		seen[d] = "after " + what
	}
	a := filepath.Join(dir, "a")
	step("new content", func() error { return os.WriteFile(a, []byte("2"), 0o600) })
	step("another mode", func() error { return os.Chmod(a, 0o700) })
	step("another name", func() error { return os.Rename(a, filepath.Join(dir, "b")) })
	step("a symlink", func() error { return os.Symlink("b", filepath.Join(dir, "c")) })
	step("a folder", func() error {
		write(t, filepath.Join(dir, "d/e"), "e")
		return nil
	})
}

func TestIgnoredFilesDoNotCount(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".gitignore"), "built\n*.tmp\n")
	write(t, filepath.Join(dir, ".dockerignore"), "docs\n**/*.md\nDockerfile\n")
	write(t, filepath.Join(dir, ".flycdignore"), "notes/\n!built/needed\n")
	for _, name := range []string{"main.go", "built/x", "x.tmp", "docs/a", "a/b.md", "notes/n", "Dockerfile"} {
		write(t, filepath.Join(dir, name), "1")
	}
	before := digest(t, local(t, dir), "")
	for name, counts := range map[string]bool{
		"built/x": false, "x.tmp": false, "docs/a": false, "a/b.md": false, "notes/n": false, "new/y.tmp": false, ".git/HEAD": false,
		"main.go": true, "Dockerfile": true, ".dockerignore": true, "a/new": true,
	} {
		full := filepath.Join(dir, name)
		old, err := os.ReadFile(full)
		existed := err == nil
		write(t, full, string(old)+"\nchanged")
		if got := digest(t, local(t, dir), "") != before; got != counts {
			t.Errorf("a change of %s counts: %v, want %v", name, got, counts)
		}
		if existed {
			write(t, full, string(old))
		} else if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFlycdIgnoreHoldsForCommitsToo(t *testing.T) {
	r := newRepo(t)
	first := r.commit(map[string]string{"app/.flycdignore": "docs/\n*.md\n", "app/main.go": "1", "app/docs/a": "1", "app/x/README.md": "1"})
	second := r.commit(map[string]string{"app/docs/a": "2", "app/x/README.md": "2"})
	third := r.commit(map[string]string{"app/main.go": "2"})
	c := client(t)
	one, two, three := fetch(t, c, r.dir, first), fetch(t, c, r.dir, second), fetch(t, c, r.dir, third)
	if digest(t, one, "app") != digest(t, two, "app") {
		t.Error("an ignored change counts")
	}
	if digest(t, two, "app") == digest(t, three, "app") {
		t.Error("a real change does not count")
	}
	if digest(t, three, "app") != digest(t, local(t, r.dir), "app") {
		t.Error("the clean work tree has another digest than its commit")
	}
}

func TestWatchedPathsCount(t *testing.T) {
	r := newRepo(t)
	first := r.commit(map[string]string{"app/main.go": "1", "lib/a/x.go": "1", "lib/a/x.txt": "1", "go.mod": "1"})
	c := client(t)
	base := fetch(t, c, r.dir, first)
	for change, watch := range map[string]map[string]bool{
		"lib/a/x.go":  {"lib/**/*.go": true, "lib": true, "/lib/a": true, "go.mod": false, "lib/*.go": false},
		"lib/a/x.txt": {"lib/**/*.go": false, "lib/**": true},
		"app/main.go": {"go.mod": true},
		"go.mod":      {"go.{mod,sum}": true, "*.mod": true, "lib": false},
	} {
		at := fetch(t, c, r.dir, r.commit(map[string]string{change: "2"}))
		for glob, counts := range watch {
			if got := digest(t, base, "app", glob) != digest(t, at, "app", glob); got != counts {
				t.Errorf("watching %s, a change of %s counts: %v, want %v", glob, change, got, counts)
			}
		}
		r.commit(map[string]string{change: "1"})
	}
	_, err := base.Digest("app", "[")
	wantRejected(t, err, "is no glob")
	_, err = base.Digest("nothing")
	wantRejected(t, err, `has no "nothing"`)
	_, err = local(t, r.dir).Digest("ap")
	wantRejected(t, err, `did you mean "app"?`)
}

func TestLocalOfWhatIsNotThereIsRejected(t *testing.T) {
	_, err := client(t).Local(t.Context(), filepath.Join(t.TempDir(), "nothing"))
	wantRejected(t, err, "does not exist")
}

func TestLocalReachesNothingOutsideOfItsRoot(t *testing.T) {
	outer := t.TempDir()
	write(t, filepath.Join(outer, "secret"), "s3cret")
	dir := filepath.Join(outer, "dir")
	write(t, filepath.Join(dir, "app.yaml"), "app: x")
	if err := os.Symlink("../secret", filepath.Join(dir, "leak")); err != nil {
		t.Fatal(err)
	}
	c := client(t)
	tree := local(t, filepath.Join(dir, "app.yaml"))
	if tree.Path != "app.yaml" {
		t.Errorf("Path = %q", tree.Path)
	}
	fsys, err := tree.FS()
	if err != nil {
		t.Fatal(err)
	}
	if f, err := fsys.Open("leak"); err == nil {
		f.Close()
		t.Error("a symlink was followed out of the tree")
	}
	_, err = c.Context(t.Context(), source.ContextSpec{Source: tree})
	wantRejected(t, err, "symlink leak leads out of the folder")
}

func TestDigestOfManyFilesIsStable(t *testing.T) {
	r := newRepo(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("%x/%d/f%d", i%7, i%3, i)] = fmt.Sprint(i)
	}
	tree := fetch(t, client(t), r.dir, r.commit(files))
	if a, b := digest(t, tree, ""), digest(t, local(t, r.dir), ""); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

// Broken when: a file that a build reads changes, and its image is taken to be made already.
func TestIgnoreFileOfTheBuildDecidesWhichFilesCount(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".dockerignore"), "*\n")
	write(t, filepath.Join(dir, "app.dockerignore"), "docs\n")
	write(t, filepath.Join(dir, "Containerfile"), "FROM scratch\n")
	write(t, filepath.Join(dir, "dockerfile"), "FROM scratch\n")
	write(t, filepath.Join(dir, "main.go"), "1")
	write(t, filepath.Join(dir, "docs/a"), "1")
	tree := local(t, dir)
	digest := func(r source.Reading) string {
		t.Helper()
		sum, err := tree.DigestOf(r)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	for _, c := range []struct {
		reading source.Reading
		counts  map[string]bool
	}{
		{source.Reading{}, map[string]bool{"main.go": false, "docs/a": false, "dockerfile": true, "Containerfile": false}},
		{source.Reading{Dockerfile: "Containerfile"}, map[string]bool{"main.go": false, "Containerfile": true, "dockerfile": false}},
		{source.Reading{Dockerfile: "app"}, map[string]bool{"main.go": true, "docs/a": false, "app.dockerignore": true}},
		{source.Reading{Ignorefile: "app.dockerignore"}, map[string]bool{"main.go": true, "docs/a": false, "app.dockerignore": true}},
		{source.Reading{Ignorefile: "missing"}, map[string]bool{"main.go": true, "docs/a": true}},
		{source.Reading{All: true}, map[string]bool{"main.go": true, "docs/a": true}},
	} {
		for file, want := range c.counts {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			before := digest(c.reading)
			write(t, filepath.Join(dir, file), string(text)+"#\n")
			if got := digest(c.reading) != before; got != want {
				t.Errorf("%+v: a change of %s counts: %v, want %v", c.reading, file, got, want)
			}
			write(t, filepath.Join(dir, file), string(text))
		}
	}
}
