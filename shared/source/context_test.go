package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			out = append(out, "./"+filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func build(t *testing.T, spec source.ContextSpec) *source.Context {
	t.Helper()
	c, err := client(t).Context(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// The list is what the original FlyCD handed to the build, and the included file, which it lost.
func TestGoldenMerge(t *testing.T) {
	dir := filepath.Join("testdata", "merge")
	text, err := os.ReadFile(filepath.Join("testdata", "merge.expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct{ Files []string }
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	tree := local(t, dir)
	got := filesOf(t, build(t, source.ContextSpec{
		Source: tree, Path: tree.Path + "/src", Config: tree, ConfigPath: tree.Path + "/cfg",
		Merge: manifest.MergeCfg{Include: []string{"settings.json"}},
	}).Dir)
	expected := append(want["merged"].Files, "./settings.json")
	slices.Sort(expected)
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Error(diff)
	}
}

func TestMergeRules(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{
		"src/Dockerfile": "FROM source", "src/a/x": "source", "src/.dockerignore": "own",
		"cfg/app.yaml": "app: x", "cfg/Dockerfile": "FROM config", "cfg/a/x": "config", "cfg/a/y": "config", "cfg/[id].json": "{}",
	})
	c := client(t)
	trees := map[string]*source.Tree{"commit": fetch(t, c, r.dir, h), "folder": local(t, r.dir)}
	for kind, tree := range trees {
		for name, tc := range map[string]struct {
			merge manifest.MergeCfg
			want  map[string]string
			files int
		}{
			"nothing":         {manifest.MergeCfg{}, map[string]string{"Dockerfile": "FROM source", "a/x": "source"}, 3},
			"all":             {manifest.MergeCfg{All: true}, map[string]string{"Dockerfile": "FROM config", "a/x": "config", "a/y": "config", "app.yaml": "app: x"}, 6},
			"all but":         {manifest.MergeCfg{All: true, Exclude: []string{"a", "*.yaml"}}, map[string]string{"Dockerfile": "FROM config", "a/x": "source"}, 4},
			"a file":          {manifest.MergeCfg{Include: []string{"a/x"}}, map[string]string{"Dockerfile": "FROM source", "a/x": "config"}, 3},
			"a folder":        {manifest.MergeCfg{Include: []string{"./a/"}}, map[string]string{"a/x": "config", "a/y": "config"}, 4},
			"a folder but":    {manifest.MergeCfg{Include: []string{"a"}, Exclude: []string{"a/x"}}, map[string]string{"a/x": "source", "a/y": "config"}, 4},
			"a glob":          {manifest.MergeCfg{Include: []string{"**/y"}}, map[string]string{"a/y": "config"}, 4},
			"a literal glob":  {manifest.MergeCfg{Include: []string{"[id].json"}}, map[string]string{"[id].json": "{}"}, 4},
			"exclude for all": {manifest.MergeCfg{Exclude: []string{"a"}}, map[string]string{"a/x": "source"}, 3},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				got := build(t, source.ContextSpec{Source: tree, Path: "src", Config: tree, ConfigPath: "cfg", Merge: tc.merge})
				for file, want := range tc.want {
					text, err := os.ReadFile(filepath.Join(got.Dir, file))
					if err != nil || string(text) != want {
						t.Errorf("%s = %q %v, want %q", file, text, err, want)
					}
				}
				if files := filesOf(t, got.Dir); len(files) != tc.files {
					t.Errorf("files = %v, want %d", files, tc.files)
				}
			})
		}
	}
	tree := trees["commit"]
	for says, merge := range map[string]manifest.MergeCfg{
		`has no "cfg/nothing"`:   {Include: []string{"nothing"}},
		`leaves the repository`:  {Include: []string{"../src/a"}},
		`"[" is no glob`:         {Include: []string{"["}},
		`"{a" is no glob`:        {All: true, Exclude: []string{"{a"}},
		`merge_cfg: repository `: {Include: []string{"a/x", "a/z"}},
	} {
		_, err := c.Context(t.Context(), source.ContextSpec{Source: tree, Path: "src", Config: tree, ConfigPath: "cfg", Merge: merge})
		wantRejected(t, err, says)
	}
}

func TestInlineDockerfileIsTheWholeContext(t *testing.T) {
	got := build(t, source.ContextSpec{Inline: "FROM nginx:1.27"})
	if files := filesOf(t, got.Dir); !slices.Equal(files, []string{"./.dockerignore", "./Dockerfile"}) {
		t.Errorf("files = %v", files)
	}
	text, err := os.ReadFile(filepath.Join(got.Dir, "Dockerfile"))
	if err != nil || string(text) != "FROM nginx:1.27" {
		t.Errorf("Dockerfile = %q %v", text, err)
	}
}

func TestContextLeavesThePersonsFolderAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch")
	write(t, filepath.Join(dir, ".gitignore"), "node_modules\n")
	write(t, filepath.Join(dir, "node_modules/x"), "junk")
	before := filesOf(t, dir)
	got := build(t, source.ContextSpec{Source: local(t, dir), Inline: "FROM other"})
	write(t, filepath.Join(got.Dir, "Dockerfile"), "scribble")
	if text, _ := os.ReadFile(filepath.Join(dir, "Dockerfile")); string(text) != "FROM scratch" {
		t.Errorf("the person's Dockerfile is %q", text)
	}
	if diff := cmp.Diff(before, filesOf(t, dir)); diff != "" {
		t.Error(diff)
	}
	if files := filesOf(t, got.Dir); slices.Contains(files, "./node_modules/x") {
		t.Errorf("ignored files are built: %v", files)
	}
	if text, _ := os.ReadFile(filepath.Join(got.Dir, ".dockerignore")); string(text) != "node_modules\n" {
		t.Errorf(".dockerignore = %q, want the .gitignore", text)
	}
}

func TestMergedFileReplacesASymlinkInsteadOfFollowingIt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "src/real"), "real")
	if err := os.Symlink("real", filepath.Join(dir, "src/conf")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cfg/conf"), "config")
	tree := local(t, dir)
	got := build(t, source.ContextSpec{Source: tree, Path: "src", Config: tree, ConfigPath: "cfg", Merge: manifest.MergeCfg{All: true}})
	for name, want := range map[string]string{"real": "real", "conf": "config"} {
		if text, _ := os.ReadFile(filepath.Join(got.Dir, name)); string(text) != want {
			t.Errorf("%s = %q, want %q", name, text, want)
		}
	}
}

func TestContextIsBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), strings.Repeat("a", 600))
	write(t, filepath.Join(dir, "b"), strings.Repeat("b", 600))
	for says, limits := range map[string]source.Limits{"larger than the limit": {Bytes: 1000}, "more than 1 files": {Files: 1}} {
		c := client(t)
		c.Limits = limits
		_, err := c.Context(t.Context(), source.ContextSpec{Source: local(t, dir)})
		wantRejected(t, err, says)
	}
}

func TestCancelledContextLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client(t).Context(ctx, source.ContextSpec{Source: local(t, dir)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	r := newRepo(t)
	h := r.commit(map[string]string{"a": "1"})
	if _, err := client(t).Fetch(ctx, r.dir, source.Commit{Hash: h}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}
