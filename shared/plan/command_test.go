package plan_test

import (
	"regexp"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

const commanding = web + two + `
deploy: {release_command: migrate --all, seed_command: load defaults}
machine_checks: [{command: [test, it]}, {command: [test, that]}]
`

// job gives the intent its job, as the corridor does.
func job(want plan.Intent, id string) plan.Intent {
	want = later(want)
	want.Job, want.Metadata[plan.MetaJob] = id, id
	return want
}

func commandsOf(p plan.Plan) []plan.RunCommand {
	var all []plan.RunCommand
	for _, step := range stepsOf(p) {
		if c, ok := step.(plan.RunCommand); ok {
			all = append(all, c)
		}
	}
	return all
}

func TestCommandsRunWhereTheyBelong(t *testing.T) {
	want := job(intent(t, commanding), "abcdefghijklmnopqrstuvwxyz")
	want.First = true
	p := mustDiff(t, plan.Observed{}, want)
	var stages []string
	for _, s := range p.Stages {
		stages = append(stages, s.Name)
	}
	if got := strings.Join(stages, ", "); got != "app, addresses, release command, first of each group, machine checks, rest, machine checks, seed command" {
		t.Errorf("stages %s", got)
	}
	all := commandsOf(p)
	first, last := all[0], all[len(all)-1]
	if !strings.HasPrefix(first.Name, "shop-release-opqrstuvwxyz-") || first.Kind != plan.ReleaseCommand || first.Region != "ams" || first.Timeout == 0 {
		t.Errorf("the release command is %+v", first)
	}
	if c := first.Config; c.Image != want.Image || c.Guest == nil || c.Metadata[plan.MetaJob] != want.Job || strings.Join(c.Init.Cmd, " ") != "migrate --all" {
		t.Errorf("its config is %+v", c)
	}
	if last.Name != "shop-seed-opqrstuvwxyz" || last.Kind != plan.SeedCommand || len(all) != 6 {
		t.Errorf("%d commands, the last is %+v", len(all), last)
	}
	if c := all[1]; c.Kind != plan.MachineCheck || c.Beside != "shop-app-ams-0" || c.Config.Image != "" || c.Config.Guest != nil {
		t.Errorf("the first check is %+v", c)
	}
}

func TestNamesOfCommandsAreLabelsOfTheirOwn(t *testing.T) {
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	for _, app := range []string{"a", "shop", strings.Repeat("long-", 12) + "app"} {
		for _, id := range []string{"", "x", "UPPER_case.and-more", strings.Repeat("k", 26)} {
			want := job(intent(t, commanding), id)
			want.First, want.Target.App = true, app
			names := map[string]bool{}
			for _, c := range commandsOf(mustDiff(t, plan.Observed{}, want)) {
				if !label.MatchString(c.Name) {
					t.Errorf("app %s, job %q: %q is no DNS label", app, id, c.Name)
				}
				names[c.Name] = true
			}
			if len(names) != 6 {
				t.Errorf("app %s, job %q: the names are %v", app, id, names)
			}
		}
	}
}

func TestCommandRunsOnceForAJob(t *testing.T) {
	a, want := &account{}, job(intent(t, commanding), "j1")
	want.First = true
	a.writes = new(5) // app, two addresses, release command, the first machine
	a.deploy(fatal{t}, want)
	a.writes = nil
	all := commandsOf(mustDiff(t, a.o, want))
	if len(all) != 5 || all[0].Kind != plan.MachineCheck {
		t.Errorf("the next attempt runs %d commands, first a %s", len(all), all[0].Kind)
	}
	if all[0].Beside != "shop-app-ams-0" {
		t.Errorf("the checks that are owed are beside %s", all[0].Beside)
	}
	if another := commandsOf(mustDiff(t, a.o, job(want, "j2"))); another[0].Kind != plan.ReleaseCommand {
		t.Errorf("another job begins with a %s", another[0].Kind)
	}
	ran := map[string]bool{}
	a.watch = func(step plan.Step) {
		if c, ok := step.(plan.RunCommand); ok {
			ran[c.Kind] = true
		}
	}
	a.deploy(fatal{t}, want)
	if ran[plan.ReleaseCommand] || !ran[plan.SeedCommand] {
		t.Errorf("the next attempt ran %v", ran)
	}
	if err := plan.Proven(a.o, want); err != nil {
		t.Error(err)
	}
}

func TestCommandThatFailedIsStillThere(t *testing.T) {
	a, want := &account{}, job(intent(t, commanding), "j1")
	a.applyAll(plan.Plan{Stages: mustDiff(t, a.o, want).Stages[:3]})
	a.o.Commands[0].Events[0].Request.ExitEvent.ExitCode = 1
	if all := commandsOf(mustDiff(t, a.o, want)); all[0].Kind != plan.ReleaseCommand {
		t.Error("a release command that failed counts as done")
	}
	a.o.Commands[0].Events[0].Request.MonitorEvent = &flygo.MachineMonitorEvent{ExitEvent: &flygo.MachineExitEvent{ExitCode: 0}}
	if all := commandsOf(mustDiff(t, a.o, want)); all[0].Kind == plan.ReleaseCommand {
		t.Error("the monitor's exit code does not count")
	}
}

func TestNoCommandRunsWhereNoMachineMoves(t *testing.T) {
	a, want := deployed(t, commanding)
	want.Target.Certs = []string{"example.com"}
	if all := commandsOf(mustDiff(t, a.o, want)); len(all) != 0 {
		t.Errorf("for a certificate run %v", all)
	}
}

func TestStoppedMachineIsNotChecked(t *testing.T) {
	a, want := deployed(t, commanding)
	a.o.Machines[0].State, a.o.Machines[1].State = "stopped", "stopped"
	want.Image = image("2")
	if all := commandsOf(mustDiff(t, a.o, want)); len(all) != 1 {
		t.Errorf("%d commands run", len(all))
	}
}

// TestOwedChecksAreNoDrift lets a machine that was stopped be started by the proxy right after the deploy.
func TestOwedChecksAreNoDrift(t *testing.T) {
	a, want := deployed(t, commanding)
	a.o.Machines[0].State = "stopped"
	want = job(want, "j2")
	want.Image = image("2")
	a.deploy(fatal{t}, want)
	a.o.Machines[0].State = "started"
	if err := plan.Proven(a.o, want); err != nil {
		t.Error(err)
	}
}

// TestOnlyANewAppIsSeeded keeps the defaults away from an app that somebody had deployed before.
func TestOnlyANewAppIsSeeded(t *testing.T) {
	a, want := byFlyctl(t, commanding)
	want = job(want, "j1")
	want.First, want.Image = true, image("2")
	for _, c := range commandsOf(mustDiff(t, a.o, want)) {
		if c.Kind == plan.SeedCommand {
			t.Error("an app that others deployed gets defaults")
		}
	}
}

func TestFirstIsKnownFromTheMachines(t *testing.T) {
	var a account
	want := job(intent(t, commanding), "j1")
	if !plan.FirstOf(a.o, "j1") {
		t.Error("an empty account is not the first")
	}
	a.writes = new(5)
	a.deploy(fatal{t}, want)
	if !plan.FirstOf(a.o, "j1") || plan.FirstOf(a.o, "j2") || plan.FirstOf(a.o, "") {
		t.Error("the machines of an attempt that was cut off are the job's own")
	}
	flyctls, _ := byFlyctl(t, web)
	if !plan.FirstOf(flyctls.o, "j1") {
		t.Error("an app that flyctl deployed was deployed by FlyCD")
	}
}

func TestImmediateAsksNoChecks(t *testing.T) {
	want := job(intent(t, strings.Replace(commanding, "deploy: {", "deploy: {strategy: immediate, ", 1)), "j1")
	for _, c := range commandsOf(mustDiff(t, plan.Observed{}, want)) {
		if c.Kind == plan.MachineCheck {
			t.Fatal("a check runs")
		}
	}
}

// A job that is tried again after its tag has moved runs the release command of the image that it deploys.
func TestReleaseCommandRunsOnceForEachImageOfAJob(t *testing.T) {
	want := job(intent(t, commanding), "abcdefghijklmnopqrstuvwxyz")
	first := commandsOf(mustDiff(t, plan.Observed{}, want))[0]
	again := commandsOf(mustDiff(t, plan.Observed{}, want))[0]
	want.Image = image("2")
	other := commandsOf(mustDiff(t, plan.Observed{}, want))[0]
	if first.Name != again.Name || first.Name == other.Name {
		t.Errorf("%s, again %s, for another image %s", first.Name, again.Name, other.Name)
	}
}
