package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// apps draws manifests of one app that differ in everything but the names of their volumes.
func apps(t *rapid.T) *manifest.App {
	app := &manifest.App{Name: "shop", PrimaryRegion: rapid.SampledFrom([]string{"ams", "fra", ""}).Draw(t, "primary")}
	if app.PrimaryRegion != "" {
		app.ExtraRegions = rapid.SampledFrom([][]string{nil, {"arn"}, {"arn", "iad"}}).Draw(t, "extra")
	}
	app.HA = new(rapid.Bool().Draw(t, "ha"))
	app.Env = rapid.MapOfN(rapid.SampledFrom([]string{"A", "B"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 2).Draw(t, "env")
	app.Machines.Count = counts(t, "count")
	if rapid.Bool().Draw(t, "sized") {
		app.Machines.RAMMB = new(512)
	}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"app", "web", "worker"}), 1, 3, rapid.ID).Draw(t, "groups")
	app.Processes, app.Machines.Groups = map[string]string{}, map[string]manifest.Guest{}
	for _, name := range names {
		app.Processes[name] = rapid.SampledFrom([]string{"", "run it", "serve"}).Draw(t, "command")
		app.Machines.Groups[name] = manifest.Guest{Count: counts(t, name+" count")}
		if rapid.Bool().Draw(t, name+" mounts") {
			app.Mounts = append(app.Mounts, manifest.Mount{Source: name + "_data", Destination: rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "path"), Processes: []string{name}})
		}
		if rapid.Bool().Draw(t, name+" serves") {
			app.Services = append(app.Services, service(t, name))
		}
		if rapid.Bool().Draw(t, name+" restarts") {
			app.Restart = append(app.Restart, manifest.Restart{Policy: rapid.SampledFrom([]string{"always", "never", "on-failure"}).Draw(t, "policy"), Processes: []string{name}})
		}
	}
	if rapid.Bool().Draw(t, "files") {
		app.Files = []manifest.File{{GuestPath: "/etc/x", RawValue: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "content")}}
	}
	section := &manifest.DeploySection{Strategy: rapid.SampledFrom([]string{"", "rolling", "immediate", "bluegreen"}).Draw(t, "strategy")}
	section.MaxUnavailable = new(rapid.SampledFrom([]float64{0.33, 0.9, 1, 3}).Draw(t, "unavailable"))
	app.DeploySection = section
	return app
}

func counts(t *rapid.T, label string) *int {
	if rapid.Bool().Draw(t, label+" written") {
		return nil
	}
	return new(rapid.IntRange(0, 4).Draw(t, label))
}

func service(t *rapid.T, group string) manifest.Service {
	stop := manifest.Autostop(rapid.SampledFrom([]string{"off", "stop", "suspend"}).Draw(t, "autostop"))
	return manifest.Service{
		Protocol: "tcp", InternalPort: rapid.SampledFrom([]int{80, 8080}).Draw(t, "port"), Processes: []string{group}, AutoStopMachines: &stop,
		Ports: []manifest.Port{{Port: new(80), Handlers: []string{"http"}}},
		HTTPChecks: []manifest.HTTPCheck{{
			Path: new("/"), Interval: new(manifest.Duration(15 * time.Second)),
			Headers: map[string]string{"B": "1", "A": "2"},
		}},
	}
}

func intents(t *rapid.T, label string) plan.Intent {
	app := apps(t)
	target, err := machine.Translate(app, machine.Inputs{})
	if err != nil {
		t.Fatalf("translate %s: %v", label, err)
	}
	return intentOf(target, rapid.SampledFrom([]string{"1", "2"}).Draw(t, label+" image"))
}

func intentOf(target machine.Target, tag string) plan.Intent {
	return plan.Intent{
		Target: target, Image: image(tag),
		Metadata: map[string]string{"flycd_digest": tag, "flycd_commit": "c" + tag},
		Env:      map[string]string{"FLYCD_APP_VERSION": "c" + tag},
	}
}

// diff gives the plan, or ends the check where the change is one that FlyCD refuses.
func diff(t *rapid.T, o plan.Observed, want plan.Intent) plan.Plan {
	p, err := plan.Diff(o, want)
	var refused *plan.Refused
	if errors.As(err, &refused) {
		t.SkipNow()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestApplyingAPlanLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		for _, label := range []string{"first", "second"} {
			want := intents(t, label)
			before := a.snapshot()
			a.applyAll(diff(t, before, want))
			if left := diff(t, a.o, want); !left.Empty() {
				t.Fatalf("after the %s deploy there is still to do:\n%s", label, lines(left))
			}
			if err := plan.ProofOf(before, want).Met(a.o); err != nil {
				t.Fatalf("the %s deploy is not proven: %v", label, err)
			}
			if err := plan.Proven(a.o, want); err != nil {
				t.Fatalf("the %s deploy is not unchanged: %v", label, err)
			}
		}
	})
}

func TestACutOffDeployIsFinishedByTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, straight account
		first, second := intents(t, "first"), intents(t, "second")
		for _, each := range []*account{&a, &straight} {
			each.applyAll(diff(t, each.o, first))
		}
		straight.applyAll(diff(t, straight.o, second))
		steps := stepsOf(diff(t, a.o, second))
		for _, step := range steps[:rapid.IntRange(0, len(steps)).Draw(t, "cut")] {
			a.apply(step)
		}
		a.applyAll(diff(t, a.o, second))
		if left := diff(t, a.o, second); !left.Empty() {
			t.Fatalf("there is still to do:\n%s", lines(left))
		}
		if second.Target.PrimaryRegion == "" {
			return // which of several regions is left is then nobody's wish
		}
		if got, want := census(a.o), census(straight.o); got != want {
			t.Fatalf("cut off: %s\nstraight: %s", got, want)
		}
	})
}

func TestPlansAreTheSameEachTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		a.applyAll(diff(t, a.o, intents(t, "first")))
		want := intents(t, "second")
		shuffled := a.snapshot()
		shuffled.Machines = rapid.Permutation(shuffled.Machines).Draw(t, "order")
		if got, want := lines(diff(t, shuffled, want)), lines(diff(t, a.o, want)); got != want {
			t.Fatalf("machines in another order give another plan:\n%s\n\n%s", got, want)
		}
	})
}

func TestUndoPutsEverythingBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		first, second := intents(t, "first"), intents(t, "second")
		a.applyAll(diff(t, a.o, first))
		before := census(a.o)
		begun := stepsOf(diff(t, a.o, second))
		begun = begun[:rapid.IntRange(0, len(begun)).Draw(t, "cut")]
		for _, step := range begun {
			a.apply(step)
		}
		a.applyAll(plan.Undo(a.o, begun))
		if after := census(a.o); after != before {
			t.Fatalf("before: %s\nafter: %s", before, after)
		}
		if err := plan.ProofOfUndo("shop", begun).Met(a.o); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNoGroupIsEmptiedWhileItChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		a.applyAll(diff(t, a.o, intents(t, "first")))
		p := diff(t, a.o, intents(t, "second"))
		surplus := slices.IndexFunc(p.Stages, func(s plan.Stage) bool { return s.Name == "surplus" })
		for i, stage := range p.Stages {
			for _, step := range stage.Steps {
				if _, ok := step.(plan.DestroyMachine); ok && i != surplus {
					t.Fatalf("stage %s destroys: %s", stage.Name, plan.Line(step))
				}
				_, creates := step.(plan.CreateMachine)
				_, updates := step.(plan.UpdateMachine)
				if surplus >= 0 && i > surplus && (creates || updates) {
					t.Fatalf("%s comes after something was destroyed", plan.Line(step))
				}
			}
		}
	})
}

func (a *account) snapshot() plan.Observed {
	o := a.o
	o.Machines, o.Volumes, o.IPs = slices.Clone(o.Machines), slices.Clone(o.Volumes), slices.Clone(o.IPs)
	return o
}

func lines(p plan.Plan) string {
	raw, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// census lists the machines by what they are, without the ids that only Fly chooses.
func census(o plan.Observed) string {
	var all []string
	for _, m := range o.Machines {
		c := m.Config
		ports := make([]int, len(c.Services))
		for i, s := range c.Services {
			ports[i] = s.InternalPort
		}
		all = append(all, fmt.Sprintf("%s %s %s env=%v cmd=%v ports=%v mounts=%d standby=%v digest=%s", c.ProcessGroup(), m.Region, m.ImageRef.Digest[:12], filtered(c.Env), c.Init.Cmd, ports, len(c.Mounts), len(c.Standbys) > 0, c.Metadata["flycd_digest"]))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

func filtered(env map[string]string) string {
	return fmt.Sprint(env["A"], "/", env["B"])
}
