package adopt_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"testing/fstest"

	flygo "github.com/superfly/fly-go"
	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/adopt"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// TestAnyTextIsAdoptedAsItIs draws the texts that machines hold (variables, words of commands, contents
// of files) and the numbers of machines by region: the plan of the draft is empty, as YAML and as TOML.
func TestAnyTextIsAdoptedAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching("[ -~\n\t]{0,30}"), rapid.StringMatching("[ab\n\t #:-]{0,12}"),
			rapid.SampledFrom([]string{"yes", "0x1f", "1e3", "null", "~", "- a", "a: b", "# c", "  indented\n", "trailing \n\n", "'''", `"""`, "\\", "${HOME}", "2024-01-02", "\r\n", "\ufeff", "\u0085"}))
		groups := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"app", "web", "worker", "count", "n"}), 1, 3, rapid.ID).Draw(t, "groups")
		env := rapid.MapOfN(rapid.StringMatching("[A-Z][A-Z0-9_]{0,8}"), text, 0, 4).Draw(t, "env")
		files := []object{}
		for i, content := range rapid.SliceOfN(rapid.OneOf(text, rapid.StringN(0, 6000, 6000)), 0, 2).Draw(t, "files") {
			files = append(files, object{"guest_path": fmt.Sprintf("/f%d", i), "raw_value": base64.StdEncoding.EncodeToString([]byte("x" + content))})
		}
		o := plan.Observed{Exists: true, App: "shop", Org: "acme"}
		for _, group := range groups {
			words := rapid.SliceOfN(rapid.StringMatching("[^\x00]{0,12}"), 0, 3).Draw(t, "cmd")
			for _, region := range rapid.SliceOfN(rapid.SampledFrom([]string{"ams", "fra", "iad"}), 1, 4).Draw(t, "regions") {
				all := object{"FLY_PROCESS_GROUP": group, "PRIMARY_REGION": "ams"}
				for name, value := range env {
					all[name] = value
				}
				add(t, &o, region, object{
					"image": "x:1", "env": all, "files": files, "init": object{"cmd": words}, "guest": object{"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
					"metadata": object{"fly_process_group": group, "fly_platform_version": "v2", "fly_release_id": "r"},
				})
			}
		}
		d, err := adopt.DraftOf(o, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, d.YAML)
		}
		if !d.Plan.Empty() {
			t.Fatalf("%v\n%s", d.Plan.Summary(), d.YAML)
		}
		toml, err := manifest.ToTOML("app.yaml", d.YAML)
		if err != nil {
			t.Fatal(err)
		}
		again(t, o, toml, d.Files)
	})
}

func add(t *rapid.T, o *plan.Observed, region string, config object) {
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	m := &flygo.Machine{ID: fmt.Sprintf("m%02d", len(o.Machines)), Region: region, State: "started", Config: &flygo.MachineConfig{}}
	if err := json.Unmarshal(raw, m.Config); err != nil {
		t.Fatal(err)
	}
	o.Machines = append(o.Machines, plan.Machine{Machine: m, Raw: raw})
}

// again plans what the TOML form of a draft says.
func again(t *rapid.T, o plan.Observed, toml []byte, files map[string][]byte) {
	tree, err := manifest.Read(fstest.MapFS{"fly.toml": {Data: toml}}, "fly.toml", manifest.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, toml)
	}
	target, err := machine.Translate(tree.Apps[0].App, machine.Inputs{Files: files})
	if err != nil {
		t.Fatalf("%v\n%s", err, toml)
	}
	p, err := plan.Diff(o, plan.Intent{Target: target, Image: "x:1"})
	if err != nil || !p.Empty() {
		t.Fatalf("%v %v\n%s", err, p.Summary(), toml)
	}
}
