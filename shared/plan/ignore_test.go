package plan_test

import (
	"slices"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// drifted changes an app of two machines in every way that others may.
func drifted(tb testing.TB) (*account, string) {
	tb.Helper()
	yaml := web + "machines: {count: 2, ram_mb: 512}\nmounts: []\ncerts: [{hostname: a.example.com}]\nnetwork: {ips: [{v: v6}]}\nsecrets: []\n"
	a, _ := deployed(tb, yaml)
	a.edit(0, func(c map[string]any) {
		at(c, "env")["GREETING"], at(c, "env")["MORE"] = "hej", "1"
		at(c, "metadata")["team"] = "a"
		at(c, "services")["internal_port"] = 9090
		c["restart"] = map[string]any{"policy": "always"}
		c["guest"] = map[string]any{"cpu_kind": "shared", "cpus": 1, "memory_mb": 1024}
		at(c, "init")["cmd"] = []any{"other"}
	})
	a.destroy(a.o.Machines[1].ID)
	a.o.Certs, a.o.IPs = nil, nil
	return a, yaml
}

func TestIgnoredFieldsAreLeftToOthers(t *testing.T) {
	all := []string{"machines.count", "machines.app.guest", "en?.*", "metadata.te*", "services", "restart.policy", "init.cmd", "certs.*.example.com", "ips"}
	a, yaml := drifted(t)
	ignoring := func(keys []string) plan.Intent {
		return intent(t, yaml+"sync: {ignore: ["+quoted(keys)+"]}\n")
	}
	if p := mustDiff(t, a.o, ignoring(all)); !p.Empty() {
		t.Fatalf("with all of it ignored there is %v", p.Summary())
	}
	for i, key := range all {
		if key == "metadata.te*" { // metadata of others makes no plan anyway
			continue
		}
		if p := mustDiff(t, a.o, ignoring(slices.Delete(slices.Clone(all), i, i+1))); p.Empty() {
			t.Errorf("without %s there is nothing to do", key)
		}
	}
	want := ignoring(all)
	want.Image = image("2")
	a.deploy(fatal{t}, want)
	if c := a.o.Machines[0].Config; c.Env["GREETING"] != "hej" || c.Services[0].InternalPort != 9090 || c.Guest.MemoryMB != 1024 || c.Metadata["team"] != "a" || c.Metadata[plan.MetaDigest] == "" {
		t.Errorf("the next deploy has changed what is others': %+v", c)
	}
}

func quoted(keys []string) string { return `"` + strings.Join(keys, `", "`) + `"` }

func TestNewMachineGetsTheManifestsValues(t *testing.T) {
	want := intent(t, web+"machines: {count: 3, ram_mb: 512}\nsync: {ignore: [machines.count, machines.size, env, services]}\n")
	var a account
	a.deploy(fatal{t}, want)
	if len(a.o.Machines) != 3 {
		t.Fatalf("a group that is made has %d machines", len(a.o.Machines))
	}
	if c := a.o.Machines[0].Config; c.Env["GREETING"] != "hello" || c.Guest.MemoryMB != 512 || len(c.Services) != 1 {
		t.Errorf("got %+v", c)
	}
	a.destroy(a.o.Machines[2].ID)
	a.destroy(a.o.Machines[1].ID)
	a.edit(0, func(c map[string]any) { delete(at(c, "metadata"), "flycd_made") })
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("the number is others', and there is %v", p.Summary())
	}
}

func TestFlyCDsOwnNamesCannotBeIgnored(t *testing.T) {
	a, _ := deployed(t, worker)
	want := intent(t, worker+"env: {A: b}\nsync: {ignore: ['metadata.*', 'env.FLY*']}\n")
	want.Metadata = map[string]string{plan.MetaDigest: "2"}
	a.deploy(fatal{t}, want)
	if got := a.o.Machines[0].Config; got.Metadata[plan.MetaDigest] != "2" || got.Env["A"] != "b" {
		t.Errorf("got %v %v", got.Metadata, got.Env)
	}
}

func TestIgnoredVolumesKeepTheirSize(t *testing.T) {
	a, _ := deployed(t, sized)
	want := intent(t, strings.Replace(strings.Replace(sized, "size_gb: 3", "size_gb: 5, count: 2", 1), ": 7", ": 9", 1)+"sync: {ignore: [volumes.data.size_gb, volumes.snapshot_retention, volumes.count]}\n")
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("got %v", p.Summary())
	}
	a.o.Volumes = append(a.o.Volumes, flygo.Volume{ID: "vol_x", Name: "scratch", Region: "ams", State: "created"})
	pruning := intent(t, sized+"sync: {prune: true, ignore: ['volumes.*']}\n")
	pruning.Confirm = true
	if p := mustDiff(t, a.o, pruning); !p.Empty() {
		t.Errorf("a volume that is others' is pruned: %v", p.Summary())
	}
}
