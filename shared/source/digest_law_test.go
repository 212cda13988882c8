package source_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// randomFiles gives a tree of some folders in which .flycdignore files may lie.
func randomFiles(rng *rand.Rand) map[string]string {
	names := []string{"a", "b.md", "c.txt", "docs", "gen"}
	lines := []string{"*.md", "docs/", "/gen", "a", "!a", "!docs/a", "**/gen/a", "*", "!b.md", "!docs/", ".flycdignore"}
	files := map[string]string{"app/main.go": "package main", "lib/x": "x"}
	for range 4 + rng.IntN(12) {
		dir := []string{"app", "lib", ""}[rng.IntN(3)]
		for range rng.IntN(3) {
			dir = filepath.Join(dir, names[rng.IntN(len(names))]+"-d")
		}
		if dir == "app" && rng.IntN(2) == 0 {
			dir = filepath.Join(dir, []string{"docs", "gen"}[rng.IntN(2)])
		}
		files[filepath.Join(dir, names[rng.IntN(3)])] = fmt.Sprint(rng.IntN(3))
	}
	for _, dir := range []string{"", "app", "lib", "app/a-d"} {
		if rng.IntN(2) == 0 {
			var text strings.Builder
			for range 1 + rng.IntN(4) {
				fmt.Fprintln(&text, lines[rng.IntN(len(lines))])
			}
			files[filepath.Join(dir, ".flycdignore")] = text.String()
		}
	}
	return files
}

// Outline, Fetch of everything, Fetch of another folder and the clean work tree give one digest, over a server
// that sends parts and from a folder.
func TestDigestIsTheSameHoweverTheTreeCame(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRepo(t)
		h := r.commit(randomFiles(rng))
		c := client(t)
		parts := serveWithGit(t, r.dir) + "/.git"
		trees := map[string]*source.Tree{
			"outline of parts": outline(t, c, parts, h), "all of parts": fetch(t, c, parts, h), "lib of parts": fetch(t, c, parts, h, "lib"),
			"outline of a folder": outline(t, c, r.dir, h), "work tree": local(t, r.dir),
		}
		for _, watch := range [][]string{nil, {"lib/**"}, {"**/a"}} {
			for _, p := range []string{"app", "lib", ""} {
				want := digest(t, fetch(t, c, r.dir, h), p, watch...)
				for name, tree := range trees {
					if got := digest(t, tree, p, watch...); got != want {
						t.Errorf("seed %d: %q watching %q: %s has %s, want %s", seed, p, watch, name, got, want)
					}
				}
			}
		}
	}
}

// A change has another digest exactly when it makes another folder to build.
func TestDigestFollowsWhatIsBuilt(t *testing.T) {
	same, others := 0, 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := newRepo(t)
		files := randomFiles(rng)
		c := client(t)
		first := r.commit(files)
		var inApp []string
		for name := range files {
			if strings.HasPrefix(name, "app/") {
				inApp = append(inApp, name)
			}
		}
		slices.Sort(inApp)
		changed := inApp[rng.IntN(len(inApp))]
		workBefore := built(t, c, local(t, r.dir))
		second := r.commit(map[string]string{changed: files[changed] + "\n"})
		one, two := outline(t, c, r.dir, first), outline(t, c, r.dir, second)
		fill(t, c, one, "app")
		fill(t, c, two, "app")
		sameDigest, sameBuild := digest(t, one, "app") == digest(t, two, "app"), built(t, c, one) == built(t, c, two)
		if sameDigest != sameBuild {
			t.Errorf("seed %d: change of %s: same digest %v, same build %v", seed, changed, sameDigest, sameBuild)
		}
		if built(t, c, one) != workBefore {
			t.Errorf("seed %d: the commit and its clean work tree are built differently", seed)
		}
		if sameDigest {
			same++
		} else {
			others++
		}
	}
	if same < 3 || others < 3 {
		t.Errorf("%d ignored changes and %d others: the seeds prove too little", same, others)
	}
}

// built gives names and texts of the folder that a build of app gets.
func built(t *testing.T, c *source.Client, tree *source.Tree) string {
	t.Helper()
	folder, err := c.Context(context.Background(), source.ContextSpec{Source: tree, Path: "app"})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close() //nolint:errcheck // looked at elsewhere
	var out strings.Builder
	for _, name := range filesOf(t, folder.Dir) {
		text, err := os.ReadFile(filepath.Join(folder.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %q\n", name, text)
	}
	return out.String()
}

func TestIgnoredFilesAreNotBuilt(t *testing.T) {
	r := newRepo(t)
	h := r.commit(map[string]string{
		"app/.flycdignore": "docs/\n*.md\n!keep.md\n", "app/Dockerfile": "FROM scratch", "app/docs/a": "1", "app/x/README.md": "1", "app/keep.md": "1",
		"cfg/notes.md": "of the config",
	})
	for name, tree := range map[string]*source.Tree{"commit": fetch(t, client(t), r.dir, h), "folder": local(t, r.dir)} {
		got := filesOf(t, build(t, source.ContextSpec{
			Source: tree, Path: "app", Config: tree, ConfigPath: "cfg", Merge: manifest.MergeCfg{All: true},
		}).Dir)
		// what merge_cfg brings is part of the digest by another way, and stays
		want := []string{"./.dockerignore", "./.flycdignore", "./Dockerfile", "./keep.md", "./notes.md"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: files = %v, want %v", name, got, want)
		}
	}
}
