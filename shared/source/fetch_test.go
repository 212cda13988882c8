package source_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

func TestEveryRefResolvesOverEveryTransport(t *testing.T) {
	r := newRepo(t)
	first := r.commit(map[string]string{"a": "1"})
	r.tag("v1.0.0", "")
	second := r.commit(map[string]string{"a": "2"})
	r.tag("v1.1.0", "annotated")
	r.ref("refs/pull/7/head", first)
	third := r.commit(map[string]string{"a": "3"})
	r.tag("v2.0.0-rc.1", "")
	r.ref("refs/heads/release", second)
	cases := []struct {
		ref  manifest.Ref
		want source.Commit
	}{
		{manifest.Ref{}, source.Commit{Hash: third, Ref: "refs/heads/main"}},
		{manifest.Ref{Branch: "release"}, source.Commit{Hash: second, Ref: "refs/heads/release"}},
		{manifest.Ref{Tag: "v1.0.0"}, source.Commit{Hash: first, Ref: "refs/tags/v1.0.0"}},
		{manifest.Ref{Tag: "v1.1.0"}, source.Commit{Hash: second, Ref: "refs/tags/v1.1.0"}},
		{manifest.Ref{Semver: ">=1 <3"}, source.Commit{Hash: second, Ref: "refs/tags/v1.1.0"}},
		{manifest.Ref{Semver: ">=2.0.0-0"}, source.Commit{Hash: third, Ref: "refs/tags/v2.0.0-rc.1"}},
		{manifest.Ref{Name: "refs/pull/7/head"}, source.Commit{Hash: first, Ref: "refs/pull/7/head"}},
		{manifest.Ref{Name: "release"}, source.Commit{Hash: second, Ref: "refs/heads/release"}},
		{manifest.Ref{Name: "HEAD"}, source.Commit{Hash: third, Ref: "refs/heads/main"}},
		{manifest.Ref{Commit: first}, source.Commit{Hash: first}},
		{manifest.Ref{Commit: strings.ToUpper(first)}, source.Commit{Hash: first}},
		{manifest.Ref{Commit: first[:12]}, source.Commit{Hash: first}},
	}
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			at := url(r)
			c := client(t)
			for _, tc := range cases {
				got, err := c.Resolve(t.Context(), at, tc.ref)
				if err != nil {
					t.Errorf("%+v: %v", tc.ref, err)
				}
				if got != tc.want {
					t.Errorf("%+v: got %+v, want %+v", tc.ref, got, tc.want)
				}
			}
		})
	}
}

func TestUnknownRefIsRejectedWithTheNearestName(t *testing.T) {
	r := newRepo(t)
	r.commit(map[string]string{"a": "1"})
	r.tag("v1.0.0", "")
	c := client(t)
	for says, ref := range map[string]manifest.Ref{
		`no branch "mian": did you mean "main"?`:    {Branch: "mian"},
		`no tag "v1.0": did you mean "v1.0.0"?`:     {Tag: "v1.0"},
		`no tag in the range ">=3": it has v1.0.0`:  {Semver: ">=3"},
		`"nonsense!" is no version range`:           {Semver: "nonsense!"},
		`cannot be the name of a ref`:               {Branch: "a..b"},
		`"xyz" is no commit hash`:                   {Commit: "xyz"},
		`not have a commit that begins with abcdef`: {Commit: "abcdef"},
	} {
		_, err := c.Resolve(t.Context(), r.dir, ref)
		wantRejected(t, err, says)
	}
}

func TestFetchBringsExactlyTheCommit(t *testing.T) {
	r := newRepo(t)
	old := r.commit(map[string]string{"app/main.go": "old", "app/run.sh": "#!/bin/sh", "other/x": "x"})
	if err := os.Chmod(filepath.Join(r.dir, "app/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("main.go", filepath.Join(r.dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	mid := r.commit(map[string]string{"app/main.go": "mid"})
	r.commit(map[string]string{"app/main.go": "new"})
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			at := url(r)
			c := client(t)
			tree := fetch(t, c, at, mid)
			if got := read(t, tree, "app/main.go"); got != "mid" {
				t.Errorf("main.go = %q, want mid", got)
			}
			if got := read(t, tree, "app/link"); got != "mid" {
				t.Errorf("link = %q, want mid", got)
			}
			info, err := os.Stat(filepath.Join(tree.Dir, "app/run.sh"))
			if err != nil || info.Mode()&0o100 == 0 {
				t.Errorf("run.sh is not executable: %v %v", info, err)
			}
			if got := read(t, fetch(t, c, at, old), "app/main.go"); got != "old" {
				t.Errorf("main.go = %q, want old", got)
			}
			part := fetch(t, c, at, mid, "other")
			if _, err := os.Stat(filepath.Join(part.Dir, "app")); err == nil {
				t.Error("app was written although only other was wanted")
			}
			if got := read(t, part, "other/x"); got != "x" {
				t.Errorf("other/x = %q", got)
			}
		})
	}
}

func TestAbsentCommitIsRejected(t *testing.T) {
	r := newRepo(t)
	r.commit(map[string]string{"a": "1"})
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			_, err := client(t).Fetch(t.Context(), url(r), source.Commit{Hash: strings.Repeat("ab", 20)})
			wantRejected(t, err, "does not have commit abab")
		})
	}
}

func TestMissingPathIsRejectedWithTheNearestName(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{"apps/web/main.go": "x"})
	_, err := client(t).Fetch(t.Context(), r.dir, source.Commit{Hash: h}, "apps/wbe")
	wantRejected(t, err, `has no "apps/wbe": did you mean "apps/web"?`)
	_, err = client(t).Fetch(t.Context(), r.dir, source.Commit{Hash: h}, "../etc")
	wantRejected(t, err, `leaves the repository`)
	_, err = client(t).Fetch(t.Context(), r.dir, source.Commit{Hash: h}, "apps/web/main.go/x")
	wantRejected(t, err, `apps/web/main.go is a file`)
}

func TestEmptyRepositoryIsRejected(t *testing.T) {
	r := newRepo(t)
	for name, url := range transports(t) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			_, err := client(t).Resolve(t.Context(), url(r), manifest.Ref{})
			wantRejected(t, err, "is empty")
		})
	}
}

func TestDeltasAreResolved(t *testing.T) {
	r := newRepo(t)
	rng := rand.New(rand.NewPCG(1, 2))
	files := map[string]string{}
	base := make([]byte, 0, 60_000)
	for range 3000 {
		base = fmt.Appendf(base, "line %d\n", rng.Int())
	}
	for i := range 30 {
		files[fmt.Sprintf("f%02d.txt", i)] = fmt.Sprintf("%s changed %d", base[:len(base)-i*10], i)
	}
	h := r.commit(files)
	// git's server packs similar files as deltas
	c := client(t)
	tree := fetch(t, c, serveWithGit(t, r.dir)+"/.git", h)
	for name, want := range files {
		if read(t, tree, name) != want {
			t.Errorf("%s differs", name)
		}
	}
}
