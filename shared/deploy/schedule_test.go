package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// appWith is hello whose image and text may change too.
type appWith struct {
	helloApp
	write func(image, text string)
}

func appOf(t *testing.T, o flysim.Options) appWith {
	t.Helper()
	a := helloApp{bench: newBench(t, o)}
	repo := a.Repo("config")
	a.tree = job.Config{Repo: repo.URL}
	return appWith{a, func(image, text string) {
		repo.Commit(map[string]string{"hello/app.yaml": manifestOf(image, "hi") + text})
	}}
}

// scheduled is the machine of a schedule, once it is at rest.
func (b *bench) scheduled(name string) flysim.MachineState {
	b.tb.Helper()
	for range 200 {
		var found []flysim.MachineState
		for _, m := range b.alive() {
			if m.Metadata["flycd_schedule"] == name {
				found = append(found, m)
			}
		}
		switch {
		case len(found) != 1:
			b.tb.Fatalf("schedule %s has %d machines", name, len(found))
		case found[0].State == "stopped":
			return found[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.tb.Fatalf("the machine of schedule %s does not rest", name)
	return flysim.MachineState{}
}

const nightly = "schedules: [{name: nightly, command: %s, every: %s}, {name: other, command: other, every: hourly}]\n"

func TestScheduleFollowsTheRelease(t *testing.T) {
	a := appOf(t, flysim.Options{})
	one, two := a.Image("hello:1"), a.Image("hello:2")
	a.write(one, fmt.Sprintf(nightly, "tidy", "daily"))
	a.expect(a.run(), job.Created)
	first, other := a.scheduled("nightly"), a.scheduled("other")
	if first.Launches != 1 || !strings.Contains(string(first.Config), `"schedule":"daily"`) {
		t.Errorf("it ran %d times: %s", first.Launches, first.Config)
	}
	a.rests(t)

	changes := []struct{ image, text, want string }{
		{one, fmt.Sprintf(nightly, "sweep", "daily"), `"sweep"`},
		{two, fmt.Sprintf(nightly, "sweep", "daily"), `hello:2@sha256:`},
		{two, fmt.Sprintf(nightly, "sweep", "weekly"), `"schedule":"weekly"`},
	}
	for _, c := range changes {
		a.write(c.image, c.text)
		a.expect(a.run(), job.Updated)
		m := a.scheduled("nightly")
		if m.ID != first.ID || m.Launches != 1 || !strings.Contains(string(m.Config), c.want) {
			t.Errorf("want %s in machine %s, which ran %d times: %s", c.want, m.ID, m.Launches, m.Config)
		}
		if o := a.scheduled("other"); o.ID != other.ID || o.Launches != 1 {
			t.Errorf("the other ran %d times", o.Launches)
		}
		a.rests(t)
	}

	a.Sim.Advance(8 * 24 * time.Hour)
	if m := a.scheduled("nightly"); m.Launches < 2 {
		t.Errorf("it ran %d times in more than a week", m.Launches)
	}
	a.rests(t)

	a.write(two, "schedules: [{name: other, command: other, every: hourly}]\n")
	res := a.run()
	a.expect(res, job.Updated)
	left := slices.DeleteFunc(a.alive(), func(m flysim.MachineState) bool { return m.Metadata["flycd_schedule"] == "" })
	if len(left) != 1 || left[0].ID != other.ID || !strings.Contains(strings.Join(res.Changes, "\n"), `no schedule "nightly"`) {
		t.Errorf("left are %v, changes %q", left, res.Changes)
	}
	a.rests(t)
}

// Nobody waits for what a schedule runs, and nobody cares how it ended.
func TestScheduleProvesNothing(t *testing.T) {
	a := appOf(t, flysim.Options{Command: time.Hour})
	img := a.Image("hello:1")
	a.write(img, fmt.Sprintf(nightly, "tidy", "daily"))
	a.expect(a.run(), job.Created)
	a.rests(t)
	a.order(a.machineOf("nightly"), "kill")
	a.rests(t)
}

// machineOf is the id of a schedule's machine, whatever it does.
func (b *bench) machineOf(schedule string) string {
	b.tb.Helper()
	for _, m := range b.alive() {
		if m.Metadata["flycd_schedule"] == schedule {
			return m.ID
		}
	}
	b.tb.Fatalf("schedule %s has no machine", schedule)
	return ""
}

const checked = "machines: {count: 2}\nmachine_checks: [{image: CHECK, command: [look]}]\n"

func TestMachineCheckThatFailsPutsTheReleaseBack(t *testing.T) {
	a, one := appOf(t, flysim.Options{}), 1
	img, check, failing := a.Image("hello:1"), a.Image("check:1"), a.Image("failing:1")
	a.spoil(failing, flysim.Behavior{Exit: &one, Output: []string{"nothing here"}})
	a.write(img, strings.ReplaceAll(checked, "CHECK", check))
	a.expect(a.run(), job.Created)
	if n := a.ran("hello-check-"); n != 2 {
		t.Errorf("%d checks ran beside two machines", n)
	}
	a.rests(t)
	before := a.shape("hello")

	a.write(a.Image("hello:2"), strings.ReplaceAll(checked, "CHECK", failing))
	res := a.run()
	a.expect(res, job.Failed)
	if after := a.shape("hello"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	for _, want := range []string{"machine check", "nothing here", "put back"} {
		if !strings.Contains(res.Detail, want) {
			t.Errorf("%q is not in %q", want, res.Detail)
		}
	}
	if n := a.ran("hello-check-"); n != 3 {
		t.Errorf("%d checks ran, want no more beside the others", n)
	}

	a.write(a.Image("hello:3"), strings.ReplaceAll(checked, "CHECK", check))
	a.expect(a.run(), job.Updated)
	if n := a.ran("hello-check-"); n != 5 {
		t.Errorf("%d checks ran, want one more beside each", n)
	}
	a.rests(t)
}

// ran counts how often machines whose names begin so were started.
func (b *bench) ran(prefix string) int {
	n := 0
	for _, a := range b.Sim.State().Apps {
		for _, m := range a.Machines {
			if strings.HasPrefix(m.Name, prefix) {
				n += m.Launches
			}
		}
	}
	return n
}

func TestSeedRunsOnceOnly(t *testing.T) {
	a := appOf(t, flysim.Options{})
	img := a.Image("hello:1")
	seeded := "deploy: {seed_command: fill}\n"
	a.write(img, seeded)
	req := jobOf("the one", "hello", a.tree, job.Result{})
	for range 2 { // a second attempt at the job runs it no more
		res, err := a.deployer.Deploy(t.Context(), req)
		if err != nil || res.Outcome != job.Created {
			t.Fatalf("%+v, %v", res, err)
		}
		if n := a.ran("hello-seed-"); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	}
	a.rests(t)
	a.write(a.Image("hello:2"), seeded+"machines: {count: 2}\n")
	a.expect(a.run(), job.Updated)
	a.deploy("hello", a.tree, func(r *deploy.Request) { r.Force = true })
	if n := a.ran("hello-seed-"); n != 1 {
		t.Errorf("it ran %d times over three releases", n)
	}
}
