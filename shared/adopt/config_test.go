package adopt_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/adopt"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// TestEveryConfigurationIsAdopted deploys each fly.toml of the machine room on paper, as flyctl would, and
// adopts what is there then, from its release and from its machines alone.
func TestEveryConfigurationIsAdopted(t *testing.T) {
	files, err := filepath.Glob("../machine/testdata/machine-config/*.toml")
	if err != nil || len(files) < 25 {
		t.Fatalf("there should be 25 fly.toml files at least: %d %v", len(files), err)
	}
	for _, file := range files {
		o, definition := deployed(t, file)
		for _, last := range []*adopt.Release{nil, {Version: 7, Definition: definition}} {
			name := fmt.Sprintf("%s/release=%v", filepath.Base(file), last != nil)
			t.Run(name, func(t *testing.T) {
				d, err := adopt.DraftOf(o, last)
				if err != nil {
					t.Fatal(err)
				}
				if !d.Plan.Empty() {
					t.Errorf("%s\n%s", strings.Join(d.Plan.Summary(), "\n"), d.YAML)
				}
				if last != nil && d.Release != last.Version {
					t.Errorf("the release was not used:\n%s", d.YAML)
				}
			})
		}
	}
}

// deployed gives what Fly holds after flyctl has deployed a fly.toml: machines, volumes and the
// release's definition.
func deployed(t *testing.T, file string) (plan.Observed, json.RawMessage) {
	t.Helper()
	tree, err := manifest.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	app := tree.Apps[0].App
	inputs := machine.Inputs{Files: map[string][]byte{}}
	for _, name := range machine.FilesOf(app) {
		inputs.Files[name] = []byte("content of " + name)
	}
	target, err := machine.Translate(app, inputs)
	if err != nil {
		t.Fatal(err)
	}
	definition, err := machine.Definition(app, target)
	if err != nil {
		t.Fatal(err)
	}
	o := plan.Observed{Exists: true, App: target.App, Org: "personal"}
	for range 2 { // a second time for what depends on what was there
		p, err := plan.Diff(o, plan.Intent{Target: target, Image: "registry.fly.io/x:1@sha256:" + strings.Repeat("a", 64)})
		if err != nil {
			t.Fatal(err)
		}
		for _, stage := range p.Stages {
			for _, step := range stage.Steps {
				take(t, &o, step)
			}
		}
	}
	if len(o.Machines) == 0 {
		t.Fatalf("%s deploys nothing", file)
	}
	return o, definition
}

// take makes a step of a first deploy true, as far as an adoption looks.
func take(t *testing.T, o *plan.Observed, step plan.Step) {
	t.Helper()
	switch s := step.(type) {
	case plan.CreateVolume:
		v := flygo.Volume{
			ID: fmt.Sprintf("vol_%d", len(o.Volumes)), Name: s.Volume.Name, Region: s.Region, SizeGb: s.Volume.SizeGB, SnapshotRetention: 5,
			Encrypted: s.Volume.Encrypted == nil || *s.Volume.Encrypted, State: "created",
		}
		v.AutoBackupEnabled = s.Volume.ScheduledSnapshots == nil || *s.Volume.ScheduledSnapshots
		if r := s.Volume.SnapshotRetention; r != nil {
			v.SnapshotRetention = *r
		}
		o.Volumes = append(o.Volumes, v)
	case plan.CreateMachine:
		config := *s.Config
		m := &flygo.Machine{ID: fmt.Sprintf("m%d", len(o.Machines)), Name: s.Name, Region: s.Region, State: "started", HostStatus: "ok", Config: &config}
		m.ImageRef.Digest = "sha256:" + strings.Repeat("a", 64)
		for i := range o.Volumes {
			if v := &o.Volumes[i]; s.Volume == v.Name && v.AttachedMachine == nil {
				config.Mounts[0].Volume, v.AttachedMachine = v.ID, &m.ID
				break
			}
		}
		raw, err := json.Marshal(&config)
		if err != nil {
			t.Fatal(err)
		}
		o.Machines = append(o.Machines, plan.Machine{Machine: m, Raw: raw})
	case plan.AllocateIP:
		address := map[string]plan.IP{
			"v6": {Address: "2a09::1"}, "v4": {Address: "1.2.3.4"}, "shared_v4": {Address: "5.6.7.8", Shared: true}, "private_v6": {Address: "fdaa::3", Private: true},
		}[s.IP.Type]
		o.IPs = append(o.IPs, address)
	default:
	}
}
