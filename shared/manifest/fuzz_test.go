package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/manifest"
)

func seedManifests(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"testdata/fly/*.toml", "testdata/trees/*/*.yaml", "testdata/trees/*/*/*.yaml", "testdata/trees/*/*/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, c := range spellings() {
		f.Add([]byte("app: a\n" + c.text))
	}
}

// holds reads one manifest and checks what must hold for any bytes: errors are Problems that name the
// file, and what is sound can be rendered and read back.
func holds(t *testing.T, name string, data []byte) {
	t.Helper()
	tree, err := manifest.Read(fstest.MapFS{name: {Data: data}}, ".", manifest.Options{})
	if err != nil {
		var ps manifest.Problems
		if !errors.As(err, &ps) || len(ps) == 0 || len(tree.Apps) > 0 {
			t.Fatalf("error %T, %d apps", err, len(tree.Apps))
		}
		for _, p := range ps {
			if p.File != name || p.Text == "" || p.Line < 1 || p.Column < 0 || strings.Contains(p.String(), "\n") {
				t.Fatalf("problem %#v", p)
			}
		}
		return
	}
	for _, e := range tree.Apps {
		text, err := e.YAML()
		if err != nil {
			t.Fatalf("render: %v", err)
		}
		again, err := manifest.Read(fstest.MapFS{"app.yaml": {Data: text}}, ".", manifest.Options{})
		if err != nil || len(again.Apps) != 1 {
			t.Fatalf("rendered text is not sound: %v\n%s", err, text)
		}
		if diff := cmp.Diff(throughJSON(t, e.JSON()), throughJSON(t, again.Apps[0].JSON())); diff != "" {
			t.Fatalf("rendered text says something else:\n%s\n%s", diff, text)
		}
	}
}

func FuzzRead(f *testing.F) {
	seedManifests(f)
	f.Fuzz(func(t *testing.T, data []byte) { holds(t, "app.yaml", data) })
}

func FuzzReadTOML(f *testing.F) {
	seedManifests(f)
	f.Fuzz(func(t *testing.T, data []byte) { holds(t, "app.toml", data) })
}

func FuzzReadProject(f *testing.F) {
	f.Add([]byte(acme), []byte("app: a"))
	f.Add([]byte("project: p\nsource: {type: local}\nallow: {apps: ['*', '![a-c]'], vm_sizes: ['**x:1gb'], repos: ['**/x']}\nnotify: [{to: x, on: [failure]}]"), []byte("app: d"))
	f.Add([]byte("project: p\nsource: {type: local}\ncommon: {substitutions: {a: b, 'x(.)': $1}, vars: {A: 1}}"), []byte("app: a${A}"))
	f.Fuzz(func(t *testing.T, project, app []byte) {
		tree, err := manifest.Read(fstest.MapFS{"project.yaml": {Data: project}, "app.yaml": {Data: app}}, ".", manifest.Options{})
		var ps manifest.Problems
		if err != nil && !errors.As(err, &ps) {
			t.Fatal(err)
		}
		for _, e := range tree.Apps {
			if _, err := e.YAML(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzForeign holds that nothing in a repository of another owner reaches beyond what it is granted, or changes what is ours.
func FuzzForeign(f *testing.F) {
	f.Add([]byte("project: x\nsource: {type: local}\nallow: {apps: ['*']}\nnotify: [{to: me}]"), []byte("app: partner-a\nprimary_region: ams"))
	f.Add([]byte("project: ours\nsource: {type: git, repo: 'https://github.com/acme/config'}\nallow: {apps: ['*'], repos: ['**']}"), []byte("app: web"))
	f.Add([]byte("project: ours\nsource: {type: local, path: ..}\ncommon: {app_overrides: {app: web}}"), []byte("app: partner-b\nvm: {memory: 64gb}\nlaunch_params: [--region, sin]"))
	own := fstest.MapFS{
		"partner/project.yaml": {Data: []byte("project: partner\nsource: {type: git, repo: 'https://github.com/evil/apps'}\n" +
			"allow: {apps: [partner-*], orgs: [personal], regions: [ams], vm_sizes: [shared-cpu-1x], max_machines: 2, secrets: [P_*]}")},
		"ours/project.yaml": {Data: []byte("project: ours\nsource: {type: local}")}, "ours/app.yaml": {Data: []byte("app: web\nenv: {A: ours}")},
	}
	f.Fuzz(func(t *testing.T, project, app []byte) {
		theirs := fstest.MapFS{"p/project.yaml": {Data: project}, "p/app.yaml": {Data: app}, "app.yaml": {Data: app}}
		tree, err := manifest.Read(own, ".", manifest.Options{Repo: "git@github.com:acme/config", Repos: shelf{"https://github.com/evil/apps@": theirs}})
		var ps manifest.Problems
		if err != nil && !errors.As(err, &ps) {
			t.Fatal(err)
		}
		ours := 0
		for _, e := range tree.Apps {
			switch {
			case e.Foreign:
				if !strings.HasPrefix(e.App.Name, "partner-") || e.App.PrimaryRegion != "ams" || len(e.App.Addons)+len(e.App.Notify) > 0 || e.App.Org != "" && e.App.Org != "personal" {
					t.Fatalf("got %+v", e.App)
				}
			case e.App.Name == "web" && e.App.Env["A"] == "ours" && len(e.Projects) == 1:
				ours++
			}
		}
		if ours != 1 {
			t.Fatalf("ours is gone: %v, %v", seen(tree), err)
		}
	})
}

func FuzzSubstitutions(f *testing.F) {
	f.Add("a+", "b$1", "NAME", "value", "aaa ${NAME} $${X} ${Y:=z}")
	f.Add("(x)(y)?", "$2${1}", "A", "${A}", "xy x ${A}")
	f.Fuzz(func(t *testing.T, pattern, with, name, value, text string) {
		project := map[string]any{
			"project": "p", "source": map[string]any{"type": "local"},
			"common": map[string]any{"substitutions": map[string]any{pattern: with}, "vars": map[string]any{name: value}},
		}
		fsys := fstest.MapFS{"project.yaml": {Data: asYAML(t, project)}, "app.yaml": {Data: []byte("app: a\norg: " + text)}}
		first, err1 := manifest.Read(fsys, ".", manifest.Options{})
		second, err2 := manifest.Read(fsys, ".", manifest.Options{})
		if !reflect.DeepEqual(err1, err2) || len(first.Apps) != len(second.Apps) {
			t.Fatalf("two readings differ: %v %v", err1, err2)
		}
	})
}

func FuzzConvert(f *testing.F) {
	seedManifests(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		fromTOML, err := manifest.ToYAML("fly.toml", data)
		if err == nil {
			same(t, "fly.toml", data, "app.yaml", fromTOML)
			back, err := manifest.ToTOML("app.yaml", fromTOML)
			if err != nil {
				t.Fatalf("back to TOML: %v\n%s", err, fromTOML)
			}
			same(t, "fly.toml", data, "fly.toml", back)
		}
		fromYAML, err := manifest.ToTOML("app.yaml", data)
		if err == nil && len(fromYAML) > 0 {
			if _, err := manifest.ToYAML("fly.toml", fromYAML); err != nil {
				t.Fatalf("what ToTOML writes is not TOML: %v\n%s", err, fromYAML)
			}
		}
	})
}

// same checks that two texts, where both are sound, say the same.
func same(t *testing.T, name string, data []byte, otherName string, other []byte) {
	t.Helper()
	a, err := manifest.Read(fstest.MapFS{name: {Data: data}}, name, manifest.Options{Lenient: true})
	if err != nil {
		return
	}
	b, err := manifest.Read(fstest.MapFS{otherName: {Data: other}}, otherName, manifest.Options{Lenient: true})
	if err != nil {
		t.Fatalf("the converted text is not sound: %v\n%s", err, other)
	}
	if diff := cmp.Diff(throughJSON(t, a.Apps[0].JSON()), throughJSON(t, b.Apps[0].JSON())); diff != "" {
		t.Fatalf("the converted text says something else:\n%s\n%s", diff, other)
	}
}

func asYAML(t *testing.T, v any) []byte {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}
