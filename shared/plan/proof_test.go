package plan_test

import (
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// TestProofFailsWhereOneThingIsWrong is invariant 8 as a table: one thing is made wrong, and the
// error names it.
func TestProofFailsWhereOneThingIsWrong(t *testing.T) {
	table := map[string]struct {
		yaml  string
		wrong func(a *account)
		want  string
	}{
		"image": {web, func(a *account) { a.o.Machines[0].Config.Image = "nginx@" + digest("0") }, "runs image"},
		"tag": {web, func(a *account) {
			a.o.Machines[0].ImageRef.Digest = digest("0")
			a.o.Machines[0].Config.Image = "nginx"
		}, "runs image"},
		"no image":  {web, func(a *account) { a.o.Machines[0].ImageRef.Digest = ""; a.o.Machines[0].Config.Image = "nginx" }, "runs image nginx"},
		"config":    {web, func(a *account) { a.edit(0, func(c map[string]any) { at(c, "env")["GREETING"] = "x" }) }, "env.GREETING"},
		"digest":    {web, func(a *account) { a.edit(0, func(c map[string]any) { at(c, "metadata")["flycd_digest"] = "x" }) }, "metadata.flycd_digest"},
		"check":     {web, func(a *account) { a.o.Machines[0].Checks[0].Status = flygo.Critical }, "check all is critical"},
		"unchecked": {web, func(a *account) { a.o.Machines[0].Checks = nil }, "have not run yet"},
		"compat":    {web, func(a *account) { a.o.Machines[0].Checks[0].Name = "bg_deployments_compat" }, "have not run yet"},
		"stopped":   {worker, func(a *account) { a.o.Machines[0].State = "stopped" }, "is stopped and should be started"},
		"starting":  {web, func(a *account) { a.o.Machines[0].State = "starting" }, "is starting"},
		"failed":    {web, func(a *account) { a.o.Machines[0].State = "failed" }, "crashed"},
		"crashed": {web, func(a *account) {
			a.o.Machines[0].State = "stopped"
			a.o.Machines[0].Events = []*flygo.MachineEvent{{Type: "exit", Request: &flygo.MachineRequest{ExitEvent: &flygo.MachineExitEvent{ExitCode: 1}}}}
		}, "crashed"},
		"gone":      {web, func(a *account) { a.o.Machines = nil }, "is not there"},
		"destroyed": {web, func(a *account) { a.o.Machines[0].State = "destroyed" }, "is not there"},
		"unseen":    {web, func(a *account) { a.o.Machines[0].Config = nil }, "cannot be seen"},
	}
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			a, want := deployed(t, row.yaml)
			proof := plan.ProofOf(plan.Observed{}, want)
			if err := proof.Met(a.o); err != nil {
				t.Fatal(err)
			}
			row.wrong(a)
			if err := proof.Met(a.o); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got error %v, want one with %q", err, row.want)
			}
			if err := plan.Proven(a.o, want); err == nil && name != "stopped" {
				t.Error("the app counts as unchanged")
			}
		})
	}
}

func TestStoppedIsAllowedWhereFlyMayStop(t *testing.T) {
	a, want := deployed(t, web)
	for _, state := range []string{"stopped", "suspended"} {
		a.o.Machines[0].State, a.o.Machines[0].Checks = state, nil
		a.o.Machines[0].Events = []*flygo.MachineEvent{{Type: "start"}, {Type: "launch"}}
		if err := plan.ProofOf(plan.Observed{}, want).Met(a.o); err != nil {
			t.Error(err)
		}
	}
	once := intent(t, worker+"restart: [{policy: never, processes: [worker]}]\n")
	var b account
	b.applyAll(mustDiff(t, b.o, once))
	b.o.Machines[0].State = "stopped"
	b.o.Machines[0].Events = []*flygo.MachineEvent{{Type: "exit", Request: &flygo.MachineRequest{ExitEvent: &flygo.MachineExitEvent{ExitCode: 1}}}}
	if err := plan.Proven(b.o, once); err != nil {
		t.Errorf("a process that is not restarted may end: %v", err)
	}
}

// TestWhatFlyMayStopMustHaveStarted holds that a machine which was just made, or just updated, is not
// taken for one that the proxy stopped.
func TestWhatFlyMayStopMustHaveStarted(t *testing.T) {
	a, want := deployed(t, web)
	for _, state := range []string{"created", "stopped", "suspended"} {
		for _, last := range []string{"launch", "update"} {
			a.o.Machines[0].State, a.o.Machines[0].Checks = state, nil
			a.o.Machines[0].Events = []*flygo.MachineEvent{{Type: last}, {Type: "exit"}, {Type: "start"}}
			if plan.ProofOf(plan.Observed{}, want).Met(a.o) == nil {
				t.Errorf("%s after %s counts as proven", state, last)
			}
		}
	}
	a.o.Machines[0].State = "created"
	if plan.Proven(a.o, want) == nil {
		t.Error("a machine on its way counts as unchanged")
	}
}

// TestOnlyWhatIsWellRests looks at machines without a manifest.
func TestOnlyWhatIsWellRests(t *testing.T) {
	exited := func(code int) []*flygo.MachineEvent {
		return []*flygo.MachineEvent{{Type: "exit", Request: &flygo.MachineRequest{ExitEvent: &flygo.MachineExitEvent{ExitCode: code}}}, {Type: "start"}, {Type: "launch"}}
	}
	wakes := web + "  auto_start_machines: true\n"
	table := []struct {
		name, yaml, state string
		events            []*flygo.MachineEvent
		rests             bool
	}{
		{"runs", wakes, "started", nil, true},
		{"sleeps", wakes, "stopped", exited(0), true},
		{"crashed where it may sleep", wakes, "stopped", exited(1), false},
		{"is on its way", wakes, "created", nil, false},
		{"sleeps and nobody wakes it", web, "stopped", exited(0), false},
		{"was stopped by hand", worker, "stopped", exited(0), false},
	}
	for _, row := range table {
		a, _ := deployed(t, row.yaml)
		m := a.o.Machines[0]
		m.State, m.Events = row.state, row.events
		if err := plan.Rests(m); (err == nil) != row.rests {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	a, _ := deployed(t, wakes)
	a.o.Machines[0].Checks = nil
	if plan.Rests(a.o.Machines[0]) == nil {
		t.Error("a machine whose checks have not run rests")
	}
}

func TestProofNamesEveryMachine(t *testing.T) {
	a, _ := deployed(t, worker+"machines: {count: 2}\n")
	want := intent(t, disk+"machines: {count: 3}\nenv: {A: b}\n")
	var got []string
	for _, m := range plan.ProofOf(a.o, want).Machines {
		got = append(got, m.ID+m.Name)
	}
	if s := strings.Join(got, " "); s != "shop-worker-ams-2 shop-worker-ams-3 shop-worker-ams-4" {
		t.Errorf("the proof is of %s", s)
	}
}

func TestUndoMakesWhatIsGoneAgain(t *testing.T) {
	a, _ := deployed(t, disk)
	old := a.o.Machines[0]
	begun := stepsOf(mustDiff(t, a.o, intent(t, disk+"machines: {count: 0}\n")))
	a.applyAll(plan.Plan{Stages: []plan.Stage{{Steps: begun}}})
	undo := plan.Undo(a.o, begun)
	wantShape(t, undo, `
put back
  create machine shop-worker-ams-0 in ams`)
	if c := stepsOf(undo)[0].(plan.CreateMachine); c.Volume != "data" || c.Config.Mounts[0].Volume != old.Config.Mounts[0].Volume {
		t.Errorf("it comes back as %+v", c)
	}
}

func TestUndoSaysWhatStays(t *testing.T) {
	begun := stepsOf(mustDiff(t, plan.Observed{}, intent(t, strings.ReplaceAll(web, "primary_region", "mounts: [{source: d, destination: /d}]\nprimary_region"))))
	var a account
	for _, step := range begun {
		a.apply(step)
	}
	p := plan.Undo(a.o, append(begun, plan.ReleaseIP{Address: "1.2.3.4"}, plan.DestroyApp{App: "shop"}))
	wantShape(t, p, "take away\n  destroy machine m004 in ams: the deploy that made it failed")
	if len(p.Notes) != 6 {
		t.Errorf("notes %q", p.Notes)
	}
	if !plan.Undo(plan.Observed{}, begun).Empty() {
		t.Error("what never happened is taken back")
	}
}

func TestZeroPlanChangesNothing(t *testing.T) {
	var p plan.Plan
	if !p.Empty() || len(p.Summary()) != 0 || !strings.Contains(lines(p), `"stages": []`) || p.Counts() != (plan.Counts{}) {
		t.Errorf("got %s", lines(p))
	}
}

// TestUndoPutsTheImageBackAndNotItsTag holds for machines of flyctl's, whose config names a tag alone.
func TestUndoPutsTheImageBackAndNotItsTag(t *testing.T) {
	a, _ := deployed(t, worker)
	a.edit(0, func(c map[string]any) { c["image"] = "nginx:1.27" })
	begun := stepsOf(mustDiff(t, a.o, intent(t, worker+"env: {A: b}\n")))
	a.applyAll(plan.Plan{Stages: []plan.Stage{{Steps: begun}}})
	u := stepsOf(plan.Undo(a.o, begun))[0].(plan.UpdateMachine)
	want := "nginx:1.27@" + begun[0].(plan.UpdateMachine).Machine.ImageRef.Digest
	if u.Config.Image != want || !strings.Contains(string(u.Raw), want) {
		t.Errorf("it is put back to %s (%s), want %s", u.Config.Image, u.Raw, want)
	}
}
