package manifest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

// files makes a tree of files.
func files(contents map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range contents {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// shelf opens repositories that a test has.
type shelf map[string]fs.FS

func (s shelf) Open(repo string, ref manifest.Ref) (fs.FS, error) {
	if fsys, ok := s[repo+"@"+ref.Branch]; ok {
		return fsys, nil
	}
	return nil, errors.New("no such repository")
}

// seen lists the apps of a tree as name, file and projects.
func seen(tree manifest.Tree) []string {
	var out []string
	for _, e := range tree.Apps {
		out = append(out, strings.TrimSpace(fmt.Sprint(e.App.Name, " ", e.Repo, e.File, " ", strings.Join(e.Projects, "/"))))
	}
	return out
}

func mustRead(t *testing.T, fsys fs.FS, path string, opts manifest.Options) manifest.Tree {
	t.Helper()
	tree, err := manifest.Read(fsys, path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestWalkCountsTheFilesThatItShould(t *testing.T) {
	fsys := files(map[string]string{
		"a/app.yaml": "app: a", "b/app.toml": `app = "b"`, "c/fly.toml": `app = "c"`,
		"d/app.yaml": "app: d", "d/fly.toml": `app = "wrong"`, "e/other.yaml": "app: e",
		".git/app.yaml": "app: git", ".actions/app.yaml": "app: x", ".idea/app.yaml": "app: x", ".vscode/app.yaml": "app: x",
		".github/app.yaml": "app: github", "f/app.yaml": "app: f", "f/projects/g/app.yaml": "app: g", "f/h/app.yaml": "app: h",
	})
	for path, want := range map[string][]string{
		".":             {"github .github/app.yaml", "a a/app.yaml", "b b/app.toml", "d d/app.yaml", "f f/app.yaml", "g f/projects/g/app.yaml"},
		"c":             {"c c/fly.toml"},
		"c/fly.toml":    {"c c/fly.toml"},
		"d":             {"d d/app.yaml"},
		"d/fly.toml":    {"wrong d/fly.toml"},
		"e/other.yaml":  {"e e/other.yaml"},
		"./f/../b":      {"b b/app.toml"},
		"f/projects/g/": {"g f/projects/g/app.yaml"},
	} {
		tree := mustRead(t, fsys, path, manifest.Options{})
		if diff := cmp.Diff(want, seen(tree)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if path == "." || path == "d" {
			if len(tree.Warnings) != 1 || !strings.Contains(tree.Warnings[0].String(), "d/fly.toml: is left out, because d/app.yaml beside it wins") {
				t.Errorf("%s: warnings %v", path, tree.Warnings)
			}
		}
	}
}

func TestPathsThatNameNothingAreSaid(t *testing.T) {
	fsys := files(map[string]string{"a/app.yaml": "app: a", "a/main.go": "package main"})
	for path, want := range map[string]string{
		"nowhere":   "nowhere: does not exist; name a folder or a manifest",
		"../x":      "../x: leaves the tree; name a folder or a manifest inside it",
		"a/main.go": "a/main.go: is not a manifest; name a folder, or a file that ends in .yaml or .toml",
	} {
		tree, err := manifest.Read(fsys, path, manifest.Options{})
		var ps manifest.Problems
		if !errors.As(err, &ps) || ps.Error() != want || !ps.HideApps() || len(tree.Apps) > 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTwoManifestsInOneFolderAreNamedBoth(t *testing.T) {
	_, err := manifest.Read(files(map[string]string{"x/app.yaml": "app: a", "x/app.toml": `app = "a"`}), ".", manifest.Options{})
	if err == nil || err.Error() != "x/app.toml:1:1: and x/app.yaml stand in one folder; keep one of them" {
		t.Error(err)
	}
}

func TestTwoAppsOfOneNameAreNamedBothAndLeftOut(t *testing.T) {
	tree, err := manifest.Read(files(map[string]string{"x/app.yaml": "app: same", "y/app.yaml": "app: same", "z/app.yaml": "app: z"}), ".", manifest.Options{})
	if err == nil || err.Error() != `y/app.yaml:1:6: app: "same" is also the app of x/app.yaml; every app needs a name of its own` {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"z z/app.yaml"}, seen(tree)); diff != "" {
		t.Error(diff)
	}
}

func TestCyclesEnd(t *testing.T) {
	self := "project: root\nsource: {type: git, repo: \"git@example.com:o/cfg\"}\ncommon: {app_defaults: {org: o}}\n"
	content := map[string]string{"project.yaml": self, "web/app.yaml": "app: web", "b/project.yaml": "project: b\nsource: {type: git, repo: \"git@example.com:o/other\"}"}
	other := files(map[string]string{"project.yaml": "project: back\nsource: {type: git, repo: \"git@example.com:o/cfg\"}", "o/app.yaml": "app: o"})
	fsys := files(content)
	opts := manifest.Options{Repos: shelf{"git@example.com:o/cfg@": fsys, "git@example.com:o/other@": other}}
	tree := mustRead(t, fsys, ".", opts)
	want := []string{"web git@example.com:o/cfgweb/app.yaml root/b/back", "o git@example.com:o/othero/app.yaml root/b"}
	if diff := cmp.Diff(want, seen(tree)); diff != "" {
		t.Error(diff)
	}
	opts.Repo = "https://example.com/o/cfg.git"
	want = []string{"web web/app.yaml root/b/back", "o git@example.com:o/othero/app.yaml root/b"}
	if diff := cmp.Diff(want, seen(mustRead(t, fsys, ".", opts))); diff != "" {
		t.Error(diff)
	}
}

func TestOtherRepositoriesAreListedWhereTheyCannotBeOpened(t *testing.T) {
	fsys := files(map[string]string{
		"p/project.yaml": "project: p\nsource: {type: git, repo: r, path: /x, ref: {branch: main}}",
		"app.yaml":       "app: a\nsource: {type: git, repo: code}",
	})
	tree := mustRead(t, fsys, ".", manifest.Options{})
	need := manifest.RepoRef{Repo: "r", Ref: manifest.Ref{Branch: "main"}, By: "p", Project: true}
	if diff := cmp.Diff([]manifest.RepoRef{need}, tree.Unread); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]manifest.RepoRef{need, {Repo: "code", By: "a"}}, tree.Repos); diff != "" {
		t.Error(diff)
	}
	_, err := manifest.Read(fsys, ".", manifest.Options{Repos: shelf{}})
	var ps manifest.Problems
	if !errors.As(err, &ps) || !ps.HideApps() || ps.Error() != "p/project.yaml:1:1: source.repo: cannot be opened: no such repository" {
		t.Error(err)
	}
	opened := mustRead(t, fsys, ".", manifest.Options{Repos: shelf{"r@main": files(map[string]string{"x/app.yaml": "app: far", "y/app.yaml": "app: left"})}})
	if diff := cmp.Diff([]string{"far rx/app.yaml p", "a app.yaml"}, seen(opened)); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenProjectHidesItsAppsRatherThanMisreadThem(t *testing.T) {
	tree, err := manifest.Read(files(map[string]string{
		"p/project.yaml": "project: p\nsource: {type: local}\ncomon: {app_overrides: {org: prod}}", "p/web/app.yaml": "app: web", "x/app.yaml": "app: x",
	}), ".", manifest.Options{})
	var ps manifest.Problems
	if !errors.As(err, &ps) || !ps.HideApps() || ps.Error() != `p/project.yaml:3:1: comon: unknown key; did you mean "common"?` {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"x x/app.yaml"}, seen(tree)); diff != "" {
		t.Error(diff)
	}
	tree, err = manifest.Read(files(map[string]string{
		"a/project.yaml": "project: a\nsource: {type: local, path: ../apps}\nx: y", "apps/app.yaml": "app: web", "apps/in/project.yaml": "project: in\nsource: {type: local}",
		"b/project.yaml": "project: b\nsource: {type: git, repo: gone}", "b/app.yaml": "app: b",
	}), ".", manifest.Options{Repos: shelf{}})
	if err == nil || len(tree.Apps) > 0 {
		t.Errorf("%v %v", seen(tree), err)
	}
}

func TestMistakeInDefaultsIsSaidOnceAtItsPlace(t *testing.T) {
	_, err := manifest.Read(files(map[string]string{
		"project.yaml": "project: p\nsource: {type: local}\ncommon:\n  app_defaults:\n    http_service: {internal_port: high}\n",
		"a/app.yaml":   "app: a\nhttp_service: {force_https: true}", "b/app.yaml": "app: b",
	}), ".", manifest.Options{})
	var ps manifest.Problems
	if !errors.As(err, &ps) || !ps.HideApps() || ps.Error() != `project.yaml:5:35: http_service.internal_port: expected a whole number, found "high"` {
		t.Error(err)
	}
}

func TestProjectsMayDiscoverFlyTOML(t *testing.T) {
	fsys := files(map[string]string{
		"project.yaml": "project: p\nsource: {type: local}\ndiscover: [fly.toml]\n", "a/fly.toml": `app = "a"`, "b/app.yaml": "app: b", "b/fly.toml": `app = "b"`,
	})
	if diff := cmp.Diff([]string{"a a/fly.toml p", "b b/app.yaml p"}, seen(mustRead(t, fsys, ".", manifest.Options{}))); diff != "" {
		t.Error(diff)
	}
}

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"out/app.yaml": "app: out", "tree/a/app.yaml": "app: a", "tree/p/project.yaml": "project: p\nsource: {type: local, path: ../link}"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"tree/link": "../out", "tree/b.yaml": "../out/app.yaml"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	fsys := os.DirFS(filepath.Join(dir, "tree"))
	tree, err := manifest.Read(fsys, ".", manifest.Options{})
	if want := "p/project.yaml:1:1: source.path: link is a symbolic link, which is not followed; name the folder itself"; err == nil || err.Error() != want {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"a a/app.yaml"}, seen(tree)); diff != "" {
		t.Error(diff)
	}
	if _, err := manifest.Read(fsys, "b.yaml", manifest.Options{}); err == nil {
		t.Error("a linked file is read")
	}
}

func TestLimitsAreKept(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 50 {
		fsys[fmt.Sprintf("d%d/app.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "app: a%d", i)}
	}
	_, err := manifest.Read(fsys, ".", manifest.Options{Limits: manifest.Limits{Files: 60}})
	var ps manifest.Problems
	if !errors.As(err, &ps) || !ps.HideApps() || !strings.Contains(err.Error(), "at most 60") {
		t.Error(err)
	}
	_, err = manifest.Read(files(map[string]string{"app.yaml": "app: a\norg: acme"}), ".", manifest.Options{Limits: manifest.Limits{FileBytes: 10}})
	if !strings.Contains(fmt.Sprint(err), "larger than 10 bytes") {
		t.Error(err)
	}
	_, err = manifest.Read(files(map[string]string{
		"project.yaml": "project: p\nsource: {type: local}\ncommon: {substitutions: {'.': aaaaaaaaaaaaaaaaaaaa}}", "app.yaml": "app: a\n#" + strings.Repeat("x", 1<<19),
	}), ".", manifest.Options{})
	if !strings.Contains(fmt.Sprint(err), "grows beyond 1048576 bytes") {
		t.Error(err)
	}
}

func TestRenderedYAMLReadsBackEqual(t *testing.T) {
	for name, data := range flyTOMLs(t) {
		want := entry(t, name, data)
		text, err := want.YAML()
		if err != nil {
			t.Fatal(err)
		}
		got := entry(t, "app.yaml", text)
		if diff := cmp.Diff(throughJSON(t, want.JSON()), throughJSON(t, got.JSON())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	e := entry(t, "app.yaml", []byte("env: &e {A: 1}\napp: &app a\nx-more: {<<: *e, B: *app}"))
	text, err := e.YAML()
	if want := "app: a\nenv: {A: 1}\nx-more: {B: a, A: 1}\n"; err != nil || string(text) != want {
		t.Errorf("%v %s", err, text)
	}
	if !slices.Contains(e.Node.Content, e.Node.Content[0]) || e.Node.Content[0].Line != 1 {
		t.Error("the tree has lost its places")
	}
}
