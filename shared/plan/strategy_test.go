package plan_test

import (
	"errors"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

const two = "machines: {count: 2}\n"

func TestCanaryIsProvenAndGoes(t *testing.T) {
	canary := web + two + "deploy: {strategy: canary}\nmachine_checks: [{command: [test, it]}]\n"
	a, _ := deployed(t, canary)
	if len(a.o.Machines) != 2 {
		t.Fatalf("a first deploy makes %d machines", len(a.o.Machines))
	}
	want := intent(t, canary+"vm_size: shared-cpu-2x\n")
	want.Job = "job-abc"
	p := mustDiff(t, a.o, want)
	got := shape(p)
	for _, part := range []string{
		"canary\n  create machine shop-app-canary-ams-0 in ams\nmachine checks\n  run machine check shop-check-job-abc-",
		" in ams beside shop-app-canary-ams-0\ncanary away\n  destroy machine shop-app-canary-ams-0 in ams: the canary has proven the version\nfirst of each group\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("got plan\n%s\nwithout\n%s", got, part)
		}
	}
	made := p.Stages[0].Steps[0].(plan.CreateMachine)
	if !made.Config.DNS.SkipRegistration || made.Config.Metadata[plan.MetaCanary] != "true" || made.Hidden {
		t.Errorf("the canary is %+v", made)
	}
	if proof := p.Stages[0].Proof(want); len(proof.Machines) != 1 || proof.Machines[0].Name != made.Name {
		t.Errorf("the canary's stage proves %+v", proof)
	}
	if c := p.Counts(); c.Created != 0 || c.Destroyed != 0 || c.Changed != 2 || c.Restarted != 2 || c.Commands != 3 {
		t.Errorf("counts %+v", c)
	}
	a.deploy(fatal{t}, want)
	if len(a.o.Machines) != 2 {
		t.Errorf("%d machines are left", len(a.o.Machines))
	}
}

func TestCanaryThatStayedBehindGoes(t *testing.T) {
	canary := web + two + "deploy: {strategy: canary}\n"
	a, want := deployed(t, canary)
	want.Image = image("2")
	a.writes = new(1)
	a.deploy(fatal{t}, want)
	a.writes = nil
	if len(a.o.Machines) != 3 {
		t.Fatalf("%d machines", len(a.o.Machines))
	}
	back := intent(t, canary)
	wantShape(t, mustDiff(t, a.o, back), "surplus\n  destroy machine m005 in ams: a canary that an earlier deploy has left")
	a.deploy(fatal{t}, want)
	if p := mustDiff(t, a.o, want); !p.Empty() || len(a.o.Machines) != 2 {
		t.Errorf("%d machines, plan %v", len(a.o.Machines), p.Summary())
	}
}

func TestFailedCanaryIsTakenAwayInAnyCase(t *testing.T) {
	canary := web + two + "deploy: {strategy: canary}\n"
	a, want := deployed(t, canary)
	want.Image = image("2")
	begun := stepsOf(mustDiff(t, a.o, want))[:1]
	a.apply(begun[0])
	for _, p := range []plan.Plan{plan.Undo(a.o, begun), plan.Tidy(a.o, begun)} {
		wantShape(t, p, "take away\n  destroy machine m005 in ams: the deploy that made it failed")
	}
}

const turned = web + two + "deploy: {strategy: bluegreen}\n"

func TestBluegreenTurnsAllAtOnce(t *testing.T) {
	a, want := deployed(t, turned)
	a.o.Machines[1].State = "stopped"
	want.Image = image("2")
	p := mustDiff(t, a.o, want)
	wantShape(t, p, `
greens
  create machine shop-app-ams-2 in ams
  create machine shop-app-ams-3 in ams
shown
  show machine shop-app-ams-2
  show machine shop-app-ams-3
hidden
  hide machine m003
  hide machine m004
surplus
  destroy machine m003 in ams: a green machine has taken its place
  destroy machine m004 in ams: a green machine has taken its place`)
	first, second := p.Stages[0].Steps[0].(plan.CreateMachine), p.Stages[0].Steps[1].(plan.CreateMachine)
	if !first.Hidden || first.SkipLaunch || !second.SkipLaunch || first.Config.Metadata[plan.MetaGreen] != "m003 m004" {
		t.Errorf("got %+v and %+v", first, second)
	}
	if !p.Stages[2].Unproven || len(p.Stages[2].Proof(want).Machines) != 0 {
		t.Error("hidden machines are proven")
	}
	a.deploy(fatal{t}, want)
	want.Image = image("3")
	if got := stepsOf(mustDiff(t, a.o, want))[0].(plan.CreateMachine).Name; got != "shop-app-ams-0" {
		t.Errorf("the next green is %s", got)
	}
}

// TestBluegreenShowsThatChecksPass starts one green although all blue ones are stopped.
func TestBluegreenShowsThatChecksPass(t *testing.T) {
	a, want := deployed(t, turned)
	for i := range a.o.Machines {
		a.o.Machines[i].State = "stopped"
	}
	want.Image = image("2")
	steps := stepsOf(mustDiff(t, a.o, want))
	if steps[0].(plan.CreateMachine).SkipLaunch || !steps[1].(plan.CreateMachine).SkipLaunch {
		t.Errorf("got %v", steps[:2])
	}
}

func TestBluegreenTakesUpWhatWasCutOff(t *testing.T) {
	for cut := range 9 {
		a, want := deployed(t, turned)
		want.Image = image("2")
		a.writes = new(cut)
		a.deploy(fatal{t}, want)
		for _, next := range []string{turned, web + two, web} {
			b := account{o: a.snapshot(), next: a.next, hidden: clone(a.hidden)}
			want := intent(t, next)
			want.Image = image("2")
			b.deploy(fatal{t}, want)
			if len(b.o.Machines) != 2 {
				t.Errorf("cut off after %d and deployed with %q there are %d machines", cut, next, len(b.o.Machines))
			}
			for _, m := range b.o.Machines {
				if b.hidden[m.ID] || m.ImageRef.Digest != digest("2") {
					t.Errorf("cut off after %d and deployed with %q machine %s is hidden=%v and runs %s", cut, next, m.ID, b.hidden[m.ID], m.Config.Image)
				}
			}
		}
	}
}

func clone(set map[string]bool) map[string]bool {
	out := map[string]bool{}
	for key, value := range set {
		out[key] = value
	}
	return out
}

func TestBluegreenKeepsGreensOfTheSameWish(t *testing.T) {
	a, want := deployed(t, turned)
	want.Image = image("2")
	a.writes = new(1)
	a.deploy(fatal{t}, want)
	wantShape(t, mustDiff(t, a.o, want), `
greens
  create machine shop-app-ams-3 in ams
shown
  show machine m005
  show machine shop-app-ams-3
hidden
  hide machine m003
  hide machine m004
surplus
  destroy machine m003 in ams: a green machine has taken its place
  destroy machine m004 in ams: a green machine has taken its place`)
}

func TestBluegreenIsTakenBackBeforeTheCut(t *testing.T) {
	a, want := deployed(t, turned)
	want.Image = image("2")
	var begun []plan.Step
	a.watch = func(s plan.Step) { begun = append(begun, s) }
	a.writes = new(5)
	a.deploy(fatal{t}, want)
	wantShape(t, plan.Undo(a.o, begun), `
put back
  show machine m003
take away
  destroy machine m006 in ams: the deploy that made it failed
  destroy machine m005 in ams: the deploy that made it failed`)
	if p := plan.Tidy(a.o, begun); !p.Empty() {
		t.Errorf("behind the cut the greens stay: %v", p.Summary())
	}
	if p := plan.Tidy(a.o, begun[:2]); len(stepsOf(p)) != 2 {
		t.Errorf("before the cut the greens go: %v", p.Summary())
	}
}

func TestStrategiesThatCannotBeAreRefused(t *testing.T) {
	mounted := strings.Replace(web, "http_service:", "mounts: [{source: data, destination: /data}]\nhttp_service:", 1)
	uncheckedWeb := source + "primary_region: ams\nhttp_service: {internal_port: 80}\n"
	for _, row := range []struct{ yaml, strategy, why string }{
		{mounted, "bluegreen", "does not go with mounts"},
		{mounted, "canary", "does not go with mounts"},
		{uncheckedWeb, "bluegreen", "needs a check"},
	} {
		a, _ := deployed(t, row.yaml)
		want := intent(t, row.yaml)
		want.Target.Strategy, want.Image = row.strategy, image("2")
		var refused *plan.Refused
		if _, err := plan.Diff(a.o, want); !errors.As(err, &refused) || !strings.Contains(refused.Reason, row.why) {
			t.Errorf("%s: got %v, want %q", row.strategy, err, row.why)
		}
		want.Image = image("1")
		if _, err := plan.Diff(a.o, want); err != nil {
			t.Errorf("%s is refused where nothing changes: %v", row.strategy, err)
		}
		if _, err := plan.Diff(plan.Observed{}, want); err != nil {
			t.Errorf("%s is refused at a first deploy: %v", row.strategy, err)
		}
	}
}

// TestSuccessorsInheritWhatOnlyTheMachineSays looks at greens and at machines that are replaced.
func TestSuccessorsInheritWhatOnlyTheMachineSays(t *testing.T) {
	a, want := deployed(t, turned)
	a.edit(0, func(c map[string]any) {
		at(c, "metadata")["team"] = "a"
		c["guest"] = map[string]any{"cpu_kind": "shared", "cpus": 2, "memory_mb": 1024}
		at(c, "init")["tty"] = true
	})
	want.Image = image("2")
	green := stepsOf(mustDiff(t, a.o, want))[0].(plan.CreateMachine).Config
	want.Target.Strategy = ""
	want.Target.Groups[0].Config.Mounts = []flygo.MachineMount{{Name: "data", Path: "/data"}}
	want.Target.Volumes = []machine.Volume{{Group: "app", Name: "data", SizeGB: 1}}
	p := mustDiff(t, a.o, want)
	replaced := p.Stages[1].Steps[0].(plan.ReplaceMachine).Create.Config
	for name, c := range map[string]*flygo.MachineConfig{"green": green, "replaced": replaced} {
		if c.Metadata["team"] != "a" || c.Guest.CPUs != 2 || !c.Init.Tty || c.Image != want.Image {
			t.Errorf("the %s machine has %+v", name, c)
		}
	}
	if len(green.Mounts) != 0 || len(replaced.Mounts) != 1 {
		t.Errorf("mounts %v and %v", green.Mounts, replaced.Mounts)
	}
}

func TestReplacedStandbyStaysOne(t *testing.T) {
	a, want := deployed(t, worker+"ha: true\n")
	if len(a.o.Machines) != 2 {
		t.Fatalf("%d machines", len(a.o.Machines))
	}
	a.o.Machines[1].HostStatus = "unreachable"
	for _, step := range stepsOf(mustDiff(t, a.o, want)) {
		if r, ok := step.(plan.ReplaceMachine); ok && (len(r.Create.Config.Standbys) != 1 || !r.Create.SkipLaunch) {
			t.Errorf("it becomes %+v", r.Create)
		}
	}
}
