package adopt_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/adopt"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

type object = map[string]any

// world is an app that flyctl deployed, to be bent.
type world struct {
	o       plan.Observed
	release object
}

func newWorld() *world {
	return &world{
		o:       plan.Observed{Exists: true, App: "shop", Org: "acme"},
		release: object{"app": "shop", "primary_region": "ams", "env": object{"COLOR": "red"}},
	}
}

// machine adds a machine of a group.
func (w *world) machine(t *testing.T, group, region string, change func(config object)) *flygo.Machine {
	t.Helper()
	config := object{
		"image": "registry.fly.io/shop:v1", "init": object{}, "dns": object{},
		"env":      object{"COLOR": "red", "FLY_PROCESS_GROUP": group, "PRIMARY_REGION": "ams"},
		"guest":    object{"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
		"metadata": object{"fly_process_group": group, "fly_platform_version": "v2", "fly_release_id": "r", "fly_release_version": "3"},
	}
	if change != nil {
		change(config)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	m := &flygo.Machine{ID: fmt.Sprintf("m%d", len(w.o.Machines)+1), Region: region, State: "started", HostStatus: "ok", Config: &flygo.MachineConfig{}}
	m.ImageRef.Digest = "sha256:" + strings.Repeat("a", 64)
	if err := json.Unmarshal(raw, m.Config); err != nil {
		t.Fatal(err)
	}
	w.o.Machines = append(w.o.Machines, plan.Machine{Machine: m, Raw: raw})
	return m
}

func (w *world) draft(t *testing.T) adopt.Draft {
	t.Helper()
	raw, err := json.Marshal(w.release)
	if err != nil {
		t.Fatal(err)
	}
	d, err := adopt.DraftOf(w.o, &adopt.Release{Version: 3, Definition: raw})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// same wants a draft with an empty plan that holds the texts.
func (w *world) same(t *testing.T, texts ...string) adopt.Draft {
	t.Helper()
	d := w.draft(t)
	if !d.Plan.Empty() {
		t.Errorf("the plan is not empty: %v\n%s", d.Plan.Summary(), d.YAML)
	}
	has(t, string(d.YAML), texts...)
	return d
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in:\n%s", part, text)
		}
	}
}

func TestCountsAreExactWhereverMachinesAre(t *testing.T) {
	w := newWorld()
	for _, region := range []string{"ams", "ams", "fra"} {
		w.machine(t, "app", region, nil)
	}
	w.same(t, "extra_regions: [fra]", "count_per_region:\n    ams: 2\n    fra: 1\n")

	w.machine(t, "app", "fra", nil)
	w.same(t, "extra_regions: [fra]", "machines:\n  count: 2\n")
}

func TestRegionThatMachinesLeftCountsNone(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "fra", nil)
	w.same(t, "primary_region: ams", "ams: 0\n    fra: 1\n")
}

func TestAppWithoutPrimaryRegionKeepsItsPlaces(t *testing.T) {
	w := newWorld()
	delete(w.release, "primary_region")
	for _, region := range []string{"fra", "ams"} {
		w.machine(t, "app", region, func(c object) { delete(c["env"].(object), "PRIMARY_REGION") })
	}
	d := w.same(t, "extra_regions: [ams, fra]", "count: 1")
	if strings.Contains(string(d.YAML), "primary_region") {
		t.Errorf("nobody named a primary region:\n%s", d.YAML)
	}
}

func TestGroupThatWasScaledToNoneStaysNone(t *testing.T) {
	w := newWorld()
	w.release["processes"] = object{"web": "serve", "worker": "work"}
	w.machine(t, "web", "ams", func(c object) { c["init"] = object{"cmd": []string{"serve"}} })
	w.same(t, "worker:\n    count: 0", "web:\n    count: 1")

	// Also where the release does not match and the machines are asked.
	w.release["env"] = object{"COLOR": "blue"}
	d := w.same(t, "worker:\n    count: 0", "worker: work", "COLOR: red")
	if d.Release != 0 {
		t.Errorf("the draft claims to be from release %d", d.Release)
	}
}

func TestStandbyStays(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	w.machine(t, "app", "ams", func(c object) { c["standbys"] = []string{"m1"} }).State = "stopped"
	d := w.same(t, "ha: true")
	if strings.Contains(string(d.YAML), "count:") {
		t.Errorf("an exact count would destroy the standby:\n%s", d.YAML)
	}
}

func TestStandbyOfOneRegionLeavesOtherCountsOut(t *testing.T) {
	w := newWorld()
	w.release["processes"] = object{"web": "serve", "worker": "work"}
	serve := func(c object) { c["init"] = object{"cmd": []string{"serve"}} }
	work := func(c object) { c["init"] = object{"cmd": []string{"work"}} }
	w.machine(t, "web", "ams", serve)
	w.machine(t, "web", "fra", serve)
	w.machine(t, "worker", "ams", work)
	w.machine(t, "worker", "ams", func(c object) { work(c); c["standbys"] = []string{"m3"} }).State = "stopped"
	d := w.same(t, "ha: true", "Group worker has no exact count here: it has a standby")
	if strings.Contains(string(d.YAML), "extra_regions") {
		t.Errorf("the worker would be made in fra too:\n%s", d.YAML)
	}
}

func TestSizesThatDifferStay(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	w.machine(t, "app", "ams", func(c object) { c["guest"].(object)["memory_mb"] = 1024 })
	d := w.same(t, "Machines of group app have different sizes")
	if strings.Contains(string(d.YAML), "\nvm:") {
		t.Errorf("a size is written:\n%s", d.YAML)
	}
}

func TestSizeThatWasSetByHandWins(t *testing.T) {
	w := newWorld()
	w.release["vm"] = []object{{"size": "shared-cpu-1x"}}
	w.machine(t, "app", "ams", func(c object) { c["guest"].(object)["memory_mb"] = 1024 })
	d := w.same(t, "size: shared-cpu-1x\n    memory_mb: 1024")
	if d.Release != 3 {
		t.Error("everything but the size is the release's")
	}
}

func TestVolumesKeepTheirSizes(t *testing.T) {
	w := newWorld()
	w.release["mounts"] = []object{{"source": "data", "destination": "/data", "initial_size": "1"}}
	for i, size := range []int{10, 3} {
		id := fmt.Sprintf("vol_%d", i)
		m := w.machine(t, "app", "ams", func(c object) {
			c["mounts"] = []object{{"volume": id, "name": "data", "path": "/data", "encrypted": true, "size_gb": size}}
		})
		w.o.Volumes = append(w.o.Volumes, flygo.Volume{ID: id, Name: "data", Region: "ams", SizeGb: size, SnapshotRetention: 7, Encrypted: true, AttachedMachine: &m.ID})
	}
	w.o.Volumes = append(w.o.Volumes, flygo.Volume{ID: "vol_9", Name: "old", Region: "ams", SizeGb: 50, Encrypted: true})
	w.o.Volumes = append(w.o.Volumes, flygo.Volume{ID: "vol_8", Name: "data", Region: "ams", SizeGb: 70, Encrypted: true})
	d := w.same(t, "initial_size: 10GB", "snapshot_retention: 7", "Volumes named data have different sizes", "Volume old (vol_9, 50 GB in ams) is attached to no machine")
	if strings.Contains(string(d.YAML), "size_gb") {
		t.Errorf("one size cannot be that of all:\n%s", d.YAML)
	}

	w.o.Volumes[0].SizeGb = 3
	w.same(t, "size_gb: 3\n")
}

func TestAddressesAndCertificatesAreListed(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	w.o.IPs = []plan.IP{{Address: "9.9.9.9", Egress: true, Region: "ams"}, {Address: "2a09::9", Egress: true, Region: "ams"}, {Address: "1.2.3.4", Shared: true}, {Address: "5.6.7.8", Region: "global"}, {Address: "fdaa::3", Private: true, Region: "global"}, {Address: "2a09::1", Region: "ams"}}
	w.o.Certs = []plan.Cert{{Hostname: "shop.example.com", Issued: true}}
	w.same(t, "- v: v4\n      egress: true\n      region: ams\n    - v: v4\n      shared: true", "- v: v4\n    - v: v6\n      private: true", "- v: v6\n      region: ams", "- hostname: shop.example.com")
}

func TestSecretsAreACommentThatCanBeUncommented(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	w.o.Secrets = []plan.Secret{{Name: "DATABASE_URL", Digest: "d1"}, {Name: "TOKEN", Digest: "d2"}}
	d := w.same(t, "# secrets:\n#   - {name: DATABASE_URL, type: env}\n#   - {name: TOKEN, type: env}\n")
	if strings.Contains(string(d.YAML), "\nsecrets:") {
		t.Error("an entry would ask for a value")
	}
}

func TestOthersMachinesAreNamed(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	w.machine(t, "", "ams", func(c object) { c["metadata"] = object{} }).Name = "bastion\n  evil: true"
	w.machine(t, "", "ams", func(c object) { c["metadata"], c["schedule"] = object{}, "hourly" })
	d := w.same(t, "# Note: Machine bastion   evil: true (m2) is left alone", "Machine m3 is left alone: it runs hourly")
	if strings.Contains(string(d.YAML), "\n  evil") {
		t.Error("a machine's name gets out of its comment")
	}
}

func TestFilesThatAreNoTextLieBeside(t *testing.T) {
	w := newWorld()
	content := []byte{0, 1, 0xff}
	w.machine(t, "app", "ams", func(c object) {
		c["files"] = []object{
			{"guest_path": "/etc/key.bin", "raw_value": base64.StdEncoding.EncodeToString(content)},
			{"guest_path": "/../../x.bin", "raw_value": base64.StdEncoding.EncodeToString(content)},
			{"guest_path": "/etc/app.conf", "raw_value": base64.StdEncoding.EncodeToString([]byte("a: b # c\n'\"\t\n"))},
		}
	})
	d := w.same(t, "local_path: files/etc/key.bin", "local_path: files/x.bin")
	if string(d.Files["files/etc/key.bin"]) != string(content) || len(d.Files) != 2 {
		t.Errorf("files: %v", d.Files)
	}
}

func TestCommandsComeBackWordByWord(t *testing.T) {
	w := newWorld()
	w.release = object{"app": "shop", "env": object{"COLOR": "wrong"}}
	words := []string{"sh", "-c", `echo "it's $HOME" && exit`, "", "a b", "ünï"}
	w.machine(t, "web", "ams", func(c object) { c["init"] = object{"cmd": words} })
	w.same(t)
}

func TestWhatNoManifestCanSayIsSaid(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	w.machine(t, "app", "ams", func(c object) { c["env"].(object)["COLOR"] = "blue" })
	d := w.draft(t)
	if d.Plan.Empty() {
		t.Error("one group cannot have two environments")
	}
	has(t, string(d.YAML), "Machines of group app differ from each other", "COLOR: red")
}

func TestEnvironmentThatLooksSecretIsNamed(t *testing.T) {
	w := newWorld()
	w.release["env"].(object)["DB_PASSWORD"] = "hunter2"
	w.machine(t, "app", "ams", func(c object) { c["env"].(object)["DB_PASSWORD"] = "hunter2" })
	d := w.same(t)
	notes := strings.Join(d.Notes, "\n")
	has(t, notes, "env.DB_PASSWORD looks like a secret")
	if strings.Contains(notes, "hunter2") {
		t.Error("its value is in a note")
	}
}

func TestEmptyVariablesStay(t *testing.T) {
	w := newWorld()
	w.release["env"] = object{"OTHER": "x"}
	w.machine(t, "app", "ams", func(c object) { c["env"].(object)["EMPTY"] = "" })
	w.same(t, `EMPTY: ""`)
}

func TestAppThatFlyCDDeployedIsNamed(t *testing.T) {
	w := newWorld()
	for _, seal := range []string{"A=1.d1", "A=1.d2"} {
		w.machine(t, "app", "ams", func(c object) {
			c["metadata"].(object)["flycd_digest"], c["metadata"].(object)["flycd_secrets"] = "d1", seal
			c["env"].(object)["FLYCD_APP_VERSION"] = "c1"
		})
	}
	w.machine(t, "", "fra", func(c object) {
		c["metadata"], c["schedule"] = object{"flycd_schedule": "nightly", "flycd_digest": "d1"}, "daily"
		c["init"], c["restart"] = object{"cmd": []string{"sh", "-c", "clean up"}}, object{"policy": "no"}
		c["env"].(object)["DEEP"] = "yes"
		delete(c["env"].(object), "FLY_PROCESS_GROUP")
	}).State = "stopped"
	d := w.same(t, "- name: nightly\n", "every: daily", "command: sh -c 'clean up'", "DEEP: \"yes\"", "region: fra")
	has(t, strings.Join(d.Notes, "\n"), "FlyCD has deployed it before")
	if strings.Contains(string(d.YAML), "flycd_") || strings.Contains(string(d.YAML), "FLYCD_") {
		t.Errorf("FlyCD's own marks are in it:\n%s", d.YAML)
	}
}

func TestNothingToAdoptIsRejected(t *testing.T) {
	for name, o := range map[string]plan.Observed{
		"no app":      {App: "shop"},
		"no machines": {Exists: true, App: "shop"},
	} {
		if _, err := adopt.DraftOf(o, nil); !errors.Is(err, job.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnreachableHostMayBeTriedAgain(t *testing.T) {
	w := newWorld()
	m := w.machine(t, "app", "ams", nil)
	m.Config, m.IncompleteConfig, m.HostStatus = nil, m.Config, "unreachable"
	_, err := adopt.DraftOf(w.o, nil)
	if err == nil || errors.Is(err, job.ErrRejected) {
		t.Errorf("got %v", err)
	}
}

func TestReleaseThatCannotBeReadIsAnError(t *testing.T) {
	w := newWorld()
	w.machine(t, "app", "ams", nil)
	if _, err := adopt.DraftOf(w.o, &adopt.Release{Version: 1, Definition: json.RawMessage(`{"app": `)}); err == nil {
		t.Error("half a definition is taken")
	}
}

func TestUnknownKeysOfAReleaseDoNotStopIt(t *testing.T) {
	w := newWorld()
	w.release["invented_later"] = object{"x": 1}
	w.release["console_command"] = "sh"
	w.machine(t, "app", "ams", nil)
	w.same(t, "console_command: sh", "COLOR: red")
}

func TestDraftIsTheSameEachTime(t *testing.T) {
	for _, file := range goldenFiles(t) {
		o, last := observe(t, file)
		first, _ := adopt.DraftOf(o, last)
		for range 3 {
			again, _ := adopt.DraftOf(o, last)
			if string(first.YAML) != string(again.YAML) {
				t.Fatalf("%s:\n%s\n%s", file, first.YAML, again.YAML)
			}
		}
	}
}
