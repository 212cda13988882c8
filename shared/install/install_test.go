package install_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/install"
	"github.com/gigurra/flycd/shared/job"
)

func TestOneRunInstallsAllAndCheckingItFindsNothing(t *testing.T) {
	w := newWorld(t, options{real: true})
	p, r := w.install(t, w.want())
	if len(r.Done) == 0 || p.Empty() {
		t.Errorf("done: %v", r.Done)
	}
	w.check(t, w.want())
	for _, repo := range w.forge.State().Repos {
		for _, h := range repo.Hooks {
			if len(h.Deliveries) == 0 || h.Deliveries[0].Code > 299 {
				t.Errorf("the ping of %s: %+v", repo.Repo, h.Deliveries)
			}
		}
	}
	for _, c := range w.configs() {
		for _, secret := range []string{flyToken, gitToken, "redis://", "FlyV1"} {
			if strings.Contains(c, secret) {
				t.Errorf("a machine's config tells %s: %s", secret, c)
			}
		}
	}
}

func TestRemovalLeavesNothing(t *testing.T) {
	w := newWorld(t, options{real: true})
	nothing := w.holdings(t)
	w.install(t, w.want())
	in := w.installer(t)
	p, err := in.PlanRemoval(t.Context(), w.want(), install.Removal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := w.holdings(t); got != nothing {
		t.Errorf("there is\n%s", got)
	}
	if p, err = in.PlanRemoval(t.Context(), w.want(), install.Removal{}); err != nil || !p.Empty() {
		t.Errorf("removing again: %+v, %v", p.Steps, err)
	}
}

func TestRemovalTouchesDeployedAppsOnlyWhenThatIsConfirmed(t *testing.T) {
	for _, c := range []struct {
		how  install.Removal
		told bool
		gone bool
	}{
		{install.Removal{}, true, false},
		{install.Removal{KeepApps: true}, false, false},
		{install.Removal{KeepApps: true, ConfirmApps: true}, false, false},
		{install.Removal{ConfirmApps: true}, true, true},
	} {
		w := newWorld(t, options{})
		w.install(t, w.want())
		w.machine(t, "shop", "flycd_app")
		w.machine(t, "by-hand", "somebody")
		in := w.installer(t)
		p, err := in.PlanRemoval(t.Context(), w.want(), c.how)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(p.Steps, func(s install.Step) bool { return s.Name == "app shop" })
		if got := w.holdings(t); told != c.told || strings.Contains(got, "app shop ") == c.gone || !strings.Contains(got, "app by-hand ") || strings.Contains(got, "flycd") {
			t.Errorf("%+v: told %t\n%s", c.how, told, got)
		}
	}
}

func TestRemovalKilledAtAnyCallIsFinishedByTheNext(t *testing.T) {
	removing := func(w *world) func(context.Context, *install.Installer) error {
		return func(ctx context.Context, in *install.Installer) error {
			p, err := in.PlanRemoval(ctx, w.want(), install.Removal{})
			if err == nil {
				_, err = in.Apply(ctx, p)
			}
			return err
		}
	}
	whole := newWorld(t, options{})
	nothing := whole.holdings(t)
	whole.install(t, whole.want())
	before := whole.calls.Load()
	if err := removing(whole)(t.Context(), whole.installer(t)); err != nil {
		t.Fatal(err)
	}
	each(t, int(whole.calls.Load()-before), func(t *testing.T, n int, after bool) {
		t.Helper()
		w := newWorld(t, options{})
		w.install(t, w.want())
		w.killedAt(t, n, after, removing(w))
		if err := removing(w)(t.Context(), w.installer(t)); err != nil {
			t.Fatal(err)
		}
		if got := w.holdings(t); got != nothing {
			t.Errorf("there is\n%s", got)
		}
	})
}

func TestWhatBelongsToSomebodyElseIsRefusedBeforeAnythingIsMade(t *testing.T) {
	w := newWorld(t, options{})
	w.machineIn(t, "rival", "rivals")
	for name, change := range map[string]func(*install.Want){
		"name":         func(r *install.Want) { r.App = "somebody-elses" },
		"runner":       func(r *install.Want) { r.RunnerApp = "somebody-elses" },
		"organisation": func(r *install.Want) { r.App = "rivals" },
		"nobody":       func(r *install.Want) { r.Org = "nobody" },
		"one app":      func(r *install.Want) { r.App, r.RunnerApp = "flycd", "flycd" },
		"own secret":   func(r *install.Want) { r.Dispatcher = secretsOf(map[string]string{"FLY_API_TOKEN": "x"}) },
	} {
		want := w.want()
		change(&want)
		before := w.holdings(t)
		if _, err := w.installer(t).Plan(t.Context(), want); !errors.Is(err, job.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
		if got := w.holdings(t); got != before {
			t.Errorf("%s: there is\n%s", name, got)
		}
	}
}

func TestPlanOfNothingTellsEveryCommand(t *testing.T) {
	w := newWorld(t, options{})
	p, err := install.Describe(w.want(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, s := range p.Steps {
		if s.Command == "" {
			t.Errorf("%s has no command", s.Name)
		}
		commands = append(commands, s.Command)
	}
	all := strings.Join(commands, "\n")
	for _, want := range []string{
		"fly apps create flycd-acme --org acme", "fly apps create flycd-acme-runner --org acme", "fly redis create --org acme", "fly tokens create deploy -a flycd-acme-runner -x 8760h",
		"fly secrets set -a flycd-acme-runner --stage FLYCD_DIGEST_KEY=", "FLYCD_WEBHOOK_SECRET=$SECRET", "flycd sync http://",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not among\n%s", want, all)
		}
	}
}
