package main

import (
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/report"
)

// TestEveryStepIsSaid prints one of each kind of step, so that none comes without a word.
func TestEveryStepIsSaid(t *testing.T) {
	config := &flygo.MachineConfig{Metadata: map[string]string{"fly_process_group": "web"}, Init: flygo.MachineInit{Cmd: []string{"bin/migrate", "up"}}}
	old := plan.Machine{Machine: &flygo.Machine{ID: "m1", Name: "n1", Region: "ams", State: "stopped", Config: config}}
	volume := flygo.Volume{ID: "vol_1", Name: "data", Region: "ams", SizeGb: 1}
	create := plan.CreateMachine{App: "shop", Name: "shop-web-ams-0", Group: "web", Region: "ams", Config: config}
	hidden, standby := create, create
	hidden.Hidden = true
	standby.SkipLaunch, standby.StandbyFor = true, "shop-web-ams-0"
	for _, one := range []struct {
		want string
		step plan.Step
	}{
		{"app: create app shop", plan.CreateApp{App: "shop"}},
		{"app: destroy app shop", plan.DestroyApp{App: "shop"}},
		{"app: allocate address v6 in ams", plan.AllocateIP{App: "shop", IP: machine.IP{Type: "v6", Region: "ams"}}},
		{"app: release address 1.2.3.4", plan.ReleaseIP{App: "shop", Address: "1.2.3.4"}},
		{"group web: create volume data in ams: 3 GB", plan.CreateVolume{App: "shop", Region: "ams", Volume: machine.Volume{Group: "web", Name: "data", SizeGB: 3}}},
		{"group web: create machine shop-web-ams-0 in ams", create},
		{"group web: create machine shop-web-ams-0 in ams, out of the proxy's sight", hidden},
		{"group web: create machine shop-web-ams-0 in ams, stopped: standby for shop-web-ams-0", standby},
		{"group web: update machine m1 in ams, stays stopped: env.A: 1 → 2", plan.UpdateMachine{Machine: old, Config: config, SkipLaunch: true, Changes: []plan.Change{{Key: "env.A", Old: "1", New: "2"}}}},
		{"group web: replace machine m1 in ams: volume data is to be mounted", plan.ReplaceMachine{Old: old, Create: create, Why: "volume data is to be mounted"}},
		{"group web: destroy machine m1 in ams: too many", plan.DestroyMachine{Machine: old, Why: "too many"}},
		{"app: set secrets: A, B; remove C", plan.SetSecrets{App: "shop", Set: []string{"A", "B"}, Unset: []string{"C"}}},
		{"app: create redis cache", plan.CreateAddon{App: "shop", Addon: machine.Addon{Type: "redis", Name: "cache"}}},
		{"app: destroy redis cache: confirmed", plan.DestroyAddon{App: "shop", Why: "confirmed", Addon: plan.Addon{Type: "redis", Name: "cache"}}},
		{"app: add certificate shop.example.com", plan.AddCert{App: "shop", Hostname: "shop.example.com"}},
		{"app: remove certificate shop.example.com: confirmed", plan.RemoveCert{App: "shop", Hostname: "shop.example.com", Why: "confirmed"}},
		{"app: extend volume data in ams: size_gb: 1 → 3", plan.ExtendVolume{App: "shop", Volume: volume, SizeGB: 3}},
		{"app: update volume data in ams: snapshot_retention: 5 → 7", plan.UpdateVolume{App: "shop", Volume: volume, Changes: []plan.Change{{Key: "snapshot_retention", Old: "5", New: "7"}}}},
		{"app: destroy volume data in ams: confirmed", plan.DestroyVolume{App: "shop", Why: "confirmed", Volume: volume}},
		{"app: run release command in ams: bin/migrate up", plan.RunCommand{App: "shop", Name: "shop-release-x", Region: "ams", Kind: plan.ReleaseCommand, Config: config}},
		{"app: hide machine m1", plan.Cordon{App: "shop", Machine: "m1"}},
		{"app: show machine m1", plan.Uncordon{App: "shop", Machine: "m1"}},
	} {
		sections := report.Fold(plan.Plan{Stages: []plan.Stage{{Steps: []plan.Step{one.step}}}})
		if len(sections) != 1 || len(sections[0].Lines) != 1 {
			t.Fatalf("%T: %v", one.step, sections)
		}
		l := sections[0].Lines[0]
		got := sections[0].Title + ": " + l.Text
		for _, c := range l.Changes {
			got += ": " + c.String()
		}
		if got != one.want {
			t.Errorf("%T\ngot  %s\nwant %s", one.step, got, one.want)
		}
	}
}

func TestManyOfAKindAreCounted(t *testing.T) {
	config := &flygo.MachineConfig{Metadata: map[string]string{"fly_process_group": "web"}, Init: flygo.MachineInit{Cmd: []string{"check"}}}
	run := func(name string) plan.Step {
		return plan.RunCommand{App: "shop", Name: name, Kind: plan.MachineCheck, Config: config}
	}
	ip := plan.AllocateIP{App: "shop", IP: machine.IP{Type: "v4"}}
	volume := plan.CreateVolume{App: "shop", Region: "ams", Volume: machine.Volume{Group: "web", Name: "data", SizeGB: 3}}
	row := rowWith("shop", run("a"), run("b"), ip, ip, volume, volume)
	var b strings.Builder
	printPlanText(&b, paint{}, row)
	for _, want := range []string{"run 2 machine checks: check", "allocate 2 addresses v4", "create 2 volumes data in ams: 3 GB", "4 to create; 2 commands run"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
}

// TestDowntimeIsNamed plans an update of the only machine of a group.
func TestDowntimeIsNamed(t *testing.T) {
	u := update("m1", "web", "ams", plan.Change{Key: "env.A", New: "1"})
	u.Downtime = "group web has no other machine that answers while it restarts"
	var text, markdown strings.Builder
	row := rowWith("shop", u)
	printPlanText(&text, paint{}, row)
	if err := report.Markdown(&markdown, []report.Row{row}); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{text.String(), markdown.String()} {
		if !strings.Contains(got, "downtime: group web has no other machine") || !strings.Contains(got, "1 step with downtime") {
			t.Errorf("got:\n%s", got)
		}
	}
}

// TestNoSecretIsInAPlan prints a plan that sets secrets, in every form.
func TestNoSecretIsInAPlan(t *testing.T) {
	const value = "hunter2"
	row := rowWith("shop", plan.SetSecrets{App: "shop", Set: []string{"TOKEN"}},
		plan.CreateAddon{App: "shop", Addon: machine.Addon{Type: "redis", Name: "cache"}},
		plan.DestroyAddon{App: "shop", Addon: plan.Addon{Type: "redis", Name: "old", Values: map[string]manifest.Secret{"REDIS_URL": manifest.NewSecret(value)}}})
	var b strings.Builder
	c := &cli{streams: streams{out: &b, err: &b}}
	for _, form := range []string{"text", "json", "markdown"} {
		if err := c.printPlans([]report.Row{row}, form); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(b.String(), "TOKEN") || strings.Contains(b.String(), value) {
		t.Errorf("got:\n%s", b.String())
	}
}
