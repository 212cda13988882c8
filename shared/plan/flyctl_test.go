package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// recording is what the real flyctl sent for one case: the bodies of a first deploy, and those of the
// update that followed.
type recording struct {
	Flags            []string
	Volumes          []sentVolume
	IPs              []string
	Creates, Updates []sent
	// Deploy2 is the command of the update, Creates2 the machines that it made.
	Deploy2  string
	Creates2 []sent
	// Final is what there was at the end.
	Final struct {
		Machines []struct {
			Config        map[string]any
			Region, State string
		}
		Volumes []sentVolume
		IPs     []string
	}
}

type sentVolume struct {
	Name, Region      string
	SizeGB            int   `json:"size_gb"`
	Encrypted         *bool `json:"encrypted"`
	SnapshotRetention *int  `json:"snapshot_retention"`
	AutoBackupEnabled *bool `json:"auto_backup_enabled"`
}

type sent struct {
	Machine    string
	Config     map[string]any
	Region     string
	SkipLaunch bool `json:"skip_launch"`
}

// notEqual lists what is deliberately not as flyctl does it. What each machine is in the end is equal
// nevertheless.
var notEqual = map[string]string{
	"24-mount-added/update": "flyctl destroys the machine before it makes the new one; FlyCD makes the new one first",
	"02-http-full/update":   "flyctl updates machines of which nothing changes; FlyCD leaves them, once it has adopted them",
	"*/standbys":            "flyctl loses FLY_STANDBY_FOR of a standby that it updates; FlyCD keeps it",
}

// TestFirstDeploysAreFlyctls plans a first deploy of each recorded case, with high availability as
// flyctl has it, and compares every machine, volume and address with what flyctl sent.
func TestFirstDeploysAreFlyctls(t *testing.T) {
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, intent := readCase(t, dir)
			p, err := plan.Diff(plan.Observed{}, intent)
			if err != nil {
				t.Fatal(err)
			}
			var got recording
			for _, step := range stepsOf(p) {
				got.take(t, step)
			}
			compareCreates(t, want.Creates, got.Creates)
			if diff := cmp.Diff(want.IPs, got.IPs, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("addresses (-flyctl +ours):\n%s", diff)
			}
			if diff := cmp.Diff(want.Volumes, got.Volumes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("volumes (-flyctl +ours):\n%s", diff)
			}
		})
	}
}

// TestUpdatesAreFlyctls deploys the next image over the machines that flyctl made, which adopts them.
func TestUpdatesAreFlyctls(t *testing.T) {
	for _, dir := range cases(t) {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			want, intent := readCase(t, dir)
			if len(want.Updates) == 0 { // TestWholeDeploysEndAsFlyctls has it
				if notEqual[name+"/update"] == "" {
					t.Fatal("flyctl updated nothing, and there is no reason why")
				}
				return
			}
			_, tag, _ := strings.Cut(want.Updates[0].Config["image"].(string), "nginx:")
			intent.Image = image(tag)
			observed := adopted(t, want, intent)
			p, err := plan.Diff(observed, intent)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]sent{}
			for _, step := range stepsOf(p) {
				if c, ok := step.(plan.RunCommand); ok {
					compareCreates(t, want.Creates2, []sent{{Config: object(t, c.Config), Region: c.Region, SkipLaunch: true}})
					continue
				}
				u, ok := step.(plan.UpdateMachine)
				if !ok {
					t.Fatalf("flyctl only updated, and the plan wants %s", plan.Line(step))
				}
				got[u.Machine.ID] = sent{Config: bare(t, u.Raw), SkipLaunch: u.SkipLaunch}
			}
			for _, w := range want.Updates {
				w.Config = withoutStamps(w.Config)
				if diff := cmp.Diff(w.Config, withoutStamps(got[w.Machine].Config)); diff != "" {
					t.Errorf("%s (-flyctl +ours):\n%s", w.Machine, diff)
				}
				if w.SkipLaunch != got[w.Machine].SkipLaunch {
					t.Errorf("%s: flyctl has skip_launch %v", w.Machine, w.SkipLaunch)
				}
			}
			if len(got) != len(want.Updates) {
				t.Errorf("%d machines are updated, flyctl updated %d", len(got), len(want.Updates))
			}
		})
	}
}

func cases(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/flyctl/*")
	if err != nil || len(dirs) < 18 {
		t.Fatalf("there should be 18 cases: %v %v", dirs, err)
	}
	return dirs
}

func image(tag string) string {
	return "docker-hub-mirror.fly.io/library/nginx:" + tag + "@" + digest(tag)
}

func digest(tag string) string {
	return "sha256:" + strings.Repeat(fmt.Sprintf("%x", tag), 64)[:64]
}

// readCase translates the case's manifest, with the flags that flyctl was given.
func readCase(t *testing.T, dir string) (recording, plan.Intent) {
	t.Helper()
	return readManifest(t, dir, "fly.toml")
}

func readManifest(t *testing.T, dir, file string) (recording, plan.Intent) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "want.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want recording
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	tree, err := manifest.Read(os.DirFS(dir), file, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	app := tree.Apps[0].App
	app.HA = new(!slices.Contains(want.Flags, "--ha=false"))
	setFlags(app, want.Flags)
	files := map[string][]byte{}
	for _, name := range machine.FilesOf(app) {
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	target, err := machine.Translate(app, machine.Inputs{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return want, plan.Intent{Target: target, Image: image("1.27"), Metadata: map[string]string{"flycd_digest": "d1", "flycd_commit": "c1"}, Env: map[string]string{"FLYCD_APP_VERSION": "c1"}}
}

// setFlags puts flags that a manifest writes elsewhere where it writes them.
func setFlags(app *manifest.App, flags []string) {
	for i, flag := range flags {
		switch flag {
		case "--file-literal":
			guest, text, _ := strings.Cut(flags[i+1], "=")
			app.Files = append(app.Files, manifest.File{GuestPath: guest, RawValue: text})
		case "--file-secret":
			guest, name, _ := strings.Cut(flags[i+1], "=")
			app.Files = append(app.Files, manifest.File{GuestPath: guest, SecretName: name})
		case "--ha=false", "--yes":
		default:
			app.DeployParams = append(app.DeployParams, flag)
		}
	}
}

func stepsOf(p plan.Plan) []plan.Step {
	var all []plan.Step
	for _, stage := range p.Stages {
		all = append(all, stage.Steps...)
	}
	return all
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// adopted is what Fly holds after flyctl's first deploy.
func adopted(t *testing.T, r recording, intent plan.Intent) plan.Observed {
	t.Helper()
	o := plan.Observed{Exists: true, App: intent.Target.App}
	for i, c := range r.Creates {
		config := c.Config
		config["dns"] = map[string]any{}
		for _, m := range asList(config["mounts"]) {
			m.(map[string]any)["encrypted"], m.(map[string]any)["size_gb"] = true, 100
		}
		raw := mustJSON(t, config)
		m := &flygo.Machine{ID: fmt.Sprintf("MACHINE_%d", i+1), Region: c.Region, State: "started", HostStatus: "ok", Config: &flygo.MachineConfig{}}
		if err := json.Unmarshal(raw, m.Config); err != nil {
			t.Fatal(err)
		}
		m.ImageRef.Digest = digest("1.27")
		if intent.Image == image("1.27") {
			// FlyCD leaves alone what it finds as it should be, where flyctl updates it nevertheless; so
			// that it has something to do, the machine is one that it has deployed before
			m.Config.Metadata[plan.MetaDigest] = "d0"
			config["metadata"].(map[string]any)[plan.MetaDigest] = "d0"
			raw = mustJSON(t, config)
		}
		if c.SkipLaunch {
			m.State = "created"
		}
		if strings.Contains(t.Name(), "03-http-suspend") {
			m.State = "suspended"
		}
		if !m.Config.AutoDestroy {
			o.Machines = append(o.Machines, plan.Machine{Machine: m, Raw: raw})
		}
	}
	return o
}
