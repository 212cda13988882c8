package plan_test

import (
	"errors"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

func TestCountsAreExactUpAndDown(t *testing.T) {
	a, _ := deployed(t, worker+"machines: {count: 2}\n")
	wantShape(t, mustDiff(t, a.o, intent(t, worker+"machines: {count: 4}\n")), `
first of each group
  create machine shop-worker-ams-2 in ams
rest
  create machine shop-worker-ams-3 in ams`)
	wantShape(t, mustDiff(t, a.o, intent(t, worker+"machines: {count: 0}\n")), `
surplus
  destroy machine m001 in ams: group worker has 2 machines in ams and should have 0
  destroy machine m002 in ams: group worker has 2 machines in ams and should have 0`)
	a.o.Machines[0].State = "stopped"
	wantShape(t, mustDiff(t, a.o, intent(t, worker+"machines: {count: 1}\n")), `
surplus
  destroy machine m001 in ams: group worker has 2 machines in ams and should have 1`)
	if p := mustDiff(t, a.o, intent(t, worker)); !p.Empty() {
		t.Errorf("without a count the number is Fly's, and the plan is %v", p.Summary())
	}
}

func TestCountsPerRegion(t *testing.T) {
	var a account
	a.applyAll(mustDiff(t, a.o, intent(t, worker+"extra_regions: [fra]\nmachines: {count: 1, count_per_region: {fra: 2}}\n")))
	if got := len(a.o.Machines); got != 3 {
		t.Fatalf("%d machines were made", got)
	}
	wantShape(t, mustDiff(t, a.o, intent(t, worker+"machines: {count: 1}\n")), `
surplus
  destroy machine m002 in fra: the manifest does not name region fra
  destroy machine m003 in fra: the manifest does not name region fra`)
}

func TestRemovedGroupGoesWhenTheNewOnesRun(t *testing.T) {
	a, _ := deployed(t, worker)
	wantShape(t, mustDiff(t, a.o, intent(t, source+"primary_region: ams\nprocesses: {other: work}\n")), `
first of each group
  create machine shop-other-ams-0 in ams
surplus
  destroy machine m001 in ams: the manifest has no process group "worker"`)
}

// TestOthersMachinesAreLeft has machines that no deploy made; all are named, none is touched.
func TestOthersMachinesAreLeft(t *testing.T) {
	table := map[string]func(c map[string]any){
		"no group":      func(c map[string]any) { c["metadata"] = map[string]any{} },
		"scheduled":     func(c map[string]any) { c["schedule"] = "daily" },
		"run once":      func(c map[string]any) { c["auto_destroy"] = true },
		"unknown group": func(c map[string]any) { c["metadata"] = map[string]any{"fly_process_group": "mine"} },
	}
	for name, change := range table {
		t.Run(name, func(t *testing.T) {
			a, want := deployed(t, worker)
			a.create(stepsOf(mustDiff(t, plan.Observed{}, intent(t, worker+"machines: {count: 2}\n")))[2].(plan.CreateMachine))
			a.edit(1, change)
			p := mustDiff(t, a.o, want)
			if !p.Empty() || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "is left alone") {
				t.Errorf("plan %v, notes %q", p.Summary(), p.Notes)
			}
		})
	}
}

func TestOldMachineWithoutGroupIsAdopted(t *testing.T) {
	a, want := deployed(t, worker)
	a.edit(0, func(c map[string]any) { delete(at(c, "metadata"), "fly_process_group") })
	u := stepsOf(mustDiff(t, a.o, want))[0].(plan.UpdateMachine)
	if u.Config.ProcessGroup() != "worker" {
		t.Errorf("it is of group %q", u.Config.ProcessGroup())
	}
}

func TestRegionsMoveCreateFirst(t *testing.T) {
	a, _ := deployed(t, worker)
	moved := intent(t, strings.ReplaceAll(worker, "ams", "fra"))
	wantShape(t, mustDiff(t, a.o, moved), `
first of each group
  create machine shop-worker-fra-0 in fra
surplus
  destroy machine m001 in ams: the manifest does not name region ams`)
	a.o.Machines[0].Name = "made-by-flyctl"
	if p := mustDiff(t, a.o, moved); len(p.Notes) != 1 || len(stepsOf(p)) != 1 || !strings.Contains(plan.Line(stepsOf(p)[0]), "env.PRIMARY_REGION") {
		t.Errorf("a machine that somebody placed by hand has plan %v, notes %q", p.Summary(), p.Notes)
	}
	wantShape(t, mustDiff(t, a.o, intent(t, worker+"extra_regions: [fra]\n")), `
first of each group
  create machine shop-worker-fra-0 in fra`)
}

const disk = worker + "mounts: [{source: data, destination: /data, initial_size: 3gb, processes: [worker]}]\n"

func TestVolumesAreFoundOrMade(t *testing.T) {
	a, _ := deployed(t, disk)
	more := intent(t, disk+"machines: {count: 3}\nvolumes: [{name: data, size_gb: 3}]\n")
	a.o.Volumes = append(a.o.Volumes,
		flygo.Volume{ID: "vol_far", Name: "data", Region: "fra", State: "created"},
		flygo.Volume{ID: "vol_dying", Name: "data", Region: "ams", State: "pending_destroy"},
		flygo.Volume{ID: "vol_free", Name: "data", Region: "ams", State: "created", SizeGb: 1})
	p := mustDiff(t, a.o, more)
	wantShape(t, p, `
volumes
  create volume data in ams: 3 GB
  extend volume data (vol_free) in ams: size_gb: 1 → 3
first of each group
  create machine shop-worker-ams-1 in ams
rest
  create machine shop-worker-ams-2 in ams`)
	if v := stepsOf(p)[0].(plan.CreateVolume); v.Ordinal != 3 {
		t.Errorf("three volumes of the name are there, and the new one has ordinal %d", v.Ordinal)
	}
}

func TestMountsThatComeAndGoReplace(t *testing.T) {
	a, _ := deployed(t, worker)
	p := mustDiff(t, a.o, intent(t, disk))
	wantShape(t, p, `
volumes
  create volume data in ams: 3 GB
first of each group
  replace machine m001 in ams: volume data is to be mounted`)
	if r := stepsOf(p)[1].(plan.ReplaceMachine); r.Create.Name != "shop-worker-ams-1" || r.Create.Volume != "data" {
		t.Errorf("it is replaced by %+v", r.Create)
	}
	a.applyAll(p)
	wantShape(t, mustDiff(t, a.o, intent(t, worker)), `
first of each group
  replace machine m003 in ams: volume data is no longer mounted`)
	moved := intent(t, strings.ReplaceAll(disk, "/data", "/elsewhere"))
	u := stepsOf(mustDiff(t, a.o, moved))[0].(plan.UpdateMachine)
	if m := u.Config.Mounts[0]; m.Path != "/elsewhere" || m.Volume != "vol_002" {
		t.Errorf("the mount became %+v", m)
	}
}

func TestWhatWouldLeaveDataBehindIsRefused(t *testing.T) {
	a, _ := deployed(t, disk)
	for _, yaml := range []string{
		strings.ReplaceAll(disk, "source: data", "source: other"),
		strings.ReplaceAll(disk, "ams", "fra") + "machines: {count: 1}\n",
	} {
		_, err := plan.Diff(a.o, intent(t, yaml))
		var refused *plan.Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "shop-worker-ams-0 (m002) holds volume data") {
			t.Errorf("%s\ngot error %v", yaml, err)
		}
		if err := plan.ProofOf(a.o, intent(t, yaml)).Met(a.o); err == nil {
			t.Error("a refused intent is proven")
		}
	}
}

func TestUnreachableMachines(t *testing.T) {
	for _, yaml := range []string{worker, disk} {
		a, want := deployed(t, yaml)
		m := a.o.Machines[0].Machine
		m.IncompleteConfig, m.Config, m.HostStatus = m.Config, nil, flygo.HostStatusUnreachable
		p, err := plan.Diff(a.o, want)
		if yaml == disk {
			if err == nil || !strings.Contains(err.Error(), "cannot reach") {
				t.Errorf("got error %v", err)
			}
			continue
		}
		if err != nil || len(stepsOf(p)) != 1 || !strings.Contains(plan.Line(stepsOf(p)[0]), "replace machine m001 in ams: Fly cannot reach its host") {
			t.Errorf("got plan %v, error %v", p.Summary(), err)
		}
	}
}

func TestStandbyStaysAStandby(t *testing.T) {
	a, _ := deployed(t, worker+"ha: true\n")
	if !strings.Contains(string(a.o.Machines[1].Raw), `"FLY_STANDBY_FOR":"m001"`) {
		t.Fatalf("there is no standby: %s", a.o.Machines[1].Raw)
	}
	changed := intent(t, worker+"ha: true\nenv: {A: b}\n")
	for _, step := range stepsOf(mustDiff(t, a.o, changed)) {
		u := step.(plan.UpdateMachine)
		if standby := u.Machine.ID == "m002"; (u.Config.Env["FLY_STANDBY_FOR"] == "m001") != standby || (len(u.Config.Standbys) > 0) != standby || u.SkipLaunch != standby {
			t.Errorf("%s is updated to %+v, skip launch %v", u.Machine.ID, u.Config, u.SkipLaunch)
		}
	}
	serving := intent(t, worker+"ha: true\nservices: [{internal_port: 1, protocol: tcp, ports: [{port: 80, handlers: [http]}], processes: [worker]}]\n")
	for _, step := range stepsOf(mustDiff(t, a.o, serving)) {
		if u, ok := step.(plan.UpdateMachine); ok && (len(u.Config.Standbys) > 0 || u.Config.Env["FLY_STANDBY_FOR"] != "") {
			t.Errorf("%s is still a standby, and its group has services", u.Machine.ID)
		}
	}
	wantShape(t, mustDiff(t, a.o, intent(t, worker+"ha: true\nmachines: {count: 1}\n")), `
surplus
  destroy machine m002 in ams: the manifest's count of group worker is exact, and a standby is not in it`)
}

func TestSleepingMachinesAreNotWoken(t *testing.T) {
	exit := func(code int, asked bool) []*flygo.MachineEvent {
		return []*flygo.MachineEvent{{Type: "exit", Request: &flygo.MachineRequest{ExitEvent: &flygo.MachineExitEvent{ExitCode: code, RequestedStop: asked}}}}
	}
	table := []struct {
		state  string
		events []*flygo.MachineEvent
		skip   bool
	}{
		{"started", nil, false},
		{"starting", nil, false},
		{"failed", nil, false},
		{"stopped", nil, true},
		{"stopped", exit(0, false), true},
		{"stopped", exit(137, true), true},
		{"stopped", exit(1, false), false},
		{"stopped", []*flygo.MachineEvent{{Type: "exit", Request: &flygo.MachineRequest{MonitorEvent: &flygo.MachineMonitorEvent{ExitEvent: &flygo.MachineExitEvent{ExitCode: 1}}}}}, false},
		{"stopped", []*flygo.MachineEvent{{Type: "exit"}}, true},
		{"suspended", nil, true},
		{"stopping", nil, true},
		{"created", nil, false},
		{"replacing", nil, false},
	}
	for _, row := range table {
		a, _ := deployed(t, worker)
		a.o.Machines[0].State, a.o.Machines[0].Events = row.state, row.events
		u := stepsOf(mustDiff(t, a.o, intent(t, worker+"env: {A: b}\n")))[0].(plan.UpdateMachine)
		if u.SkipLaunch != row.skip {
			t.Errorf("%s: skip launch is %v", row.state, u.SkipLaunch)
		}
	}
}

// TestAFirstDeployThatWasCutOffIsFinished loses what high availability adds, and then a machine that
// somebody took away after an update, which is theirs to decide.
func TestAFirstDeployThatWasCutOffIsFinished(t *testing.T) {
	for yaml, want := range map[string]string{
		web + "ha: true\n":    "first of each group\n  create machine shop-app-ams-1 in ams",
		worker + "ha: true\n": "standbys\n  create machine shop-worker-ams-1 in ams: standby for shop-worker-ams-0",
	} {
		a, ha := deployed(t, yaml)
		a.o.Machines = a.o.Machines[:1]
		p := mustDiff(t, a.o, ha)
		wantShape(t, p, want)
		a.applyAll(p)
		changed := intent(t, strings.ReplaceAll(yaml, "source:", "kill_signal: SIGTERM\nsource:"))
		a.applyAll(mustDiff(t, a.o, changed))
		a.o.Machines = a.o.Machines[:1]
		if p := mustDiff(t, a.o, changed); !p.Empty() {
			t.Errorf("the count is Fly's, and the plan is %v", p.Summary())
		}
	}
}

// TestAJobRemembersWhatWasBeforeIt updates a machine twice in one job, and once in another.
func TestAJobRemembersWhatWasBeforeIt(t *testing.T) {
	a, _ := deployed(t, worker)
	update := func(job, value string) map[string]string {
		want := intent(t, worker+"env: {A: "+value+"}\n")
		want.Metadata[plan.MetaJob] = job
		u := stepsOf(mustDiff(t, a.o, want))[0].(plan.UpdateMachine)
		a.update(u)
		a.o.Machines[0].InstanceID += "+"
		if p := mustDiff(t, a.o, want); !p.Empty() {
			t.Errorf("there is still to do: %v", p.Summary())
		}
		want.Metadata[plan.MetaJob] = "another"
		if p := mustDiff(t, a.o, want); !p.Empty() {
			t.Errorf("another job alone makes a plan: %v", p.Summary())
		}
		return a.o.Machines[0].Config.Metadata
	}
	a.o.Machines[0].InstanceID = "v"
	for _, row := range []struct{ job, value, want string }{{"one", "1", "v"}, {"one", "2", "v"}, {"two", "3", "v++"}} {
		if m := update(row.job, row.value); m[plan.MetaJob] != row.job || m[plan.MetaPrevious] != row.want {
			t.Errorf("job %s wrote %s, version %s; want %s", row.job, m[plan.MetaJob], m[plan.MetaPrevious], row.want)
		}
	}
}

// TestAReplacementThatWasCutOffIsNotDoneTwice kills the deployer between the new machine and the end of
// the old one.
func TestAReplacementThatWasCutOffIsNotDoneTwice(t *testing.T) {
	a, _ := deployed(t, worker)
	for _, text := range []string{"", "env: {A: b}\n"} {
		want := intent(t, disk+text)
		for _, step := range stepsOf(mustDiff(t, a.o, want)) {
			switch s := step.(type) {
			case plan.ReplaceMachine:
				a.create(s.Create)
			case plan.DestroyMachine:
			default:
				a.apply(s)
			}
		}
		if n := len(a.o.Machines); n != 2 {
			t.Fatalf("%d machines, want the old one and the new one", n)
		}
	}
	want := intent(t, disk+"env: {A: b}\n")
	wantShape(t, mustDiff(t, a.o, want), "surplus\n  destroy machine m001 in ams: machine shop-worker-ams-1 (m003) has taken its place")
	a.applyAll(mustDiff(t, a.o, want))
	if err := plan.Proven(a.o, want); err != nil {
		t.Error(err)
	}
}

// TestContainersThatAreNoLongerNamedGo keeps their old image from running on under the new one's name.
func TestContainersThatAreNoLongerNamedGo(t *testing.T) {
	a, _ := deployed(t, worker+`machine_config: '{"containers": [{"name": "app"}, {"name": "side", "image": "redis:7"}]}'`+"\n")
	if n := len(a.o.Machines[0].Config.Containers); n != 2 {
		t.Fatalf("%d containers, want 2", n)
	}
	a.applyAll(mustDiff(t, a.o, intent(t, worker)))
	if n := len(a.o.Machines[0].Config.Containers); n != 0 {
		t.Errorf("%d containers are left", n)
	}
}
