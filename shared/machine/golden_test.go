package machine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// notCovered lists the golden files that do not come out as flyctl has them, with the reason. It is
// empty, and a file that is added to it has to fail.
var notCovered = map[string]string{}

// TestMachineConfigsAreFlyctls compares with what the real flyctl made of each file: the project's
// own copies, and further ones where they lie beside the project. The files mixed-NN have many keys each,
// drawn at random, so that all of Fly's reference is among them.
func TestMachineConfigsAreFlyctls(t *testing.T) {
	files, err := filepath.Glob("testdata/machine-config/*.toml")
	if err != nil || len(files) < 14+40 {
		t.Fatalf("there should be 14 golden files, and 40 of mixed keys: %v %v", files, err)
	}
	beside, err := filepath.Glob("../../../shared/golden/machine-config/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, beside...) {
		t.Run(file, func(t *testing.T) {
			want, got := goldenOf(t, file), translated(t, file)
			if want.Definition == nil {
				got.Definition = nil
			}
			if diff := cmp.Diff(want, got); (diff != "") != (notCovered[filepath.Base(file)] != "") {
				t.Errorf("not as flyctl has it (-flyctl +ours):\n%s", diff)
			}
		})
	}
}

type golden struct {
	Groups         map[string]any `json:"groups"`
	ReleaseCommand any            `json:"release_command"`
	// Definition is what flyctl would record of the release, where the file has it.
	Definition any `json:"definition"`
}

func goldenOf(t *testing.T, file string) golden {
	t.Helper()
	raw, err := os.ReadFile(strings.TrimSuffix(file, ".toml") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	sortHeaders(want.Groups)
	return want
}

func translated(t *testing.T, file string) golden {
	t.Helper()
	app := readApp(t, file)
	target := translate(t, app)
	got := golden{Groups: map[string]any{}}
	for _, g := range target.Groups {
		got.Groups[g.Name] = plain(t, g.Config)
	}
	if target.ReleaseCommand != nil {
		got.ReleaseCommand = plain(t, target.ReleaseCommand)
	}
	sortHeaders(got.Groups)
	got.Definition = definition(t, app, target)
	return got
}

func plain(t *testing.T, config *flygo.MachineConfig) map[string]any {
	t.Helper()
	out, err := machine.Plain(config)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sortHeaders orders every list of headers, since flyctl writes them in any order.
func sortHeaders(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if list, ok := value.([]any); ok && key == "headers" {
				sort.Slice(list, func(i, j int) bool { return nameIn(list[i]) < nameIn(list[j]) })
			}
			sortHeaders(value)
		}
	case []any:
		for _, value := range v {
			sortHeaders(value)
		}
	}
}

func nameIn(v any) string {
	m, _ := v.(map[string]any)
	s, _ := m["name"].(string)
	return s
}

func readApp(t *testing.T, file string) *manifest.App {
	t.Helper()
	tree, err := manifest.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Apps) != 1 {
		t.Fatalf("%s holds %d apps", file, len(tree.Apps))
	}
	return tree.Apps[0].App
}

func translate(t *testing.T, app *manifest.App) machine.Target {
	t.Helper()
	target, err := machine.Translate(app, machine.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// text gives JSON with sorted keys.
func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
