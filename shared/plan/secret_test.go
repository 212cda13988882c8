package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/plan"
)

// withSecrets is an app of two machines with a secret that is deployed.
func withSecrets(tb testing.TB) (*account, plan.Intent) {
	tb.Helper()
	a, want := &account{}, intent(tb, worker+"machines: {count: 2}\n")
	want.Secrets = secretsOf(map[string]string{"TOKEN": "x", "KEY": "k"})
	a.provide(want)
	a.deploy(fatal{tb}, want)
	return a, want
}

// fatal is a test as a fataler.
type fatal struct{ testing.TB }

func TestSecretsAreSealedIntoMachines(t *testing.T) {
	a, want := withSecrets(t)
	for _, m := range a.o.Machines {
		if got, want := m.Config.Metadata[plan.MetaSecrets], "KEY=mack.flyk TOKEN=macx.flyx"; got != want {
			t.Errorf("the seal of %s is %q, want %q", m.Name, got, want)
		}
	}
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("secrets that are as they were have plan %v", p.Summary())
	}
}

func TestChangedSecretRestartsEachMachineOnce(t *testing.T) {
	a, want := withSecrets(t)
	want.Secrets = secretsOf(map[string]string{"TOKEN": "y", "KEY": "k"})
	want.Target.Groups[0].Config.Env["A"] = "b"
	wantShape(t, mustDiff(t, a.o, want), `
secrets
  set secrets: TOKEN
first of each group
  update machine m001 in ams: env.A: + b; secrets.TOKEN changed
rest
  update machine m002 in ams: env.A: + b; secrets.TOKEN changed`)
	updates := map[string]int{}
	a.watch = func(step plan.Step) {
		if u, ok := step.(plan.UpdateMachine); ok {
			updates[u.Machine.ID]++
		}
	}
	a.provide(want)
	a.deploy(fatal{t}, want)
	if updates["m001"] != 1 || updates["m002"] != 1 {
		t.Errorf("the machines restart %v times", updates)
	}
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("it is not at rest: %v", p.Summary())
	}
}

func TestSecretSetByHandIsSetAgain(t *testing.T) {
	a, want := withSecrets(t)
	a.o.Secrets[0].Digest = "somebody's"
	name := a.o.Secrets[0].Name
	if got, want := plan.Line(stepsOf(mustDiff(t, a.o, want))[0]), "set secrets: "+name; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSecretOfAKilledDeployIsSetAgain(t *testing.T) {
	a, want := withSecrets(t)
	want.Secrets = secretsOf(map[string]string{"TOKEN": "y", "KEY": "k"})
	a.provide(want)
	a.writes = new(1)
	if a.deploy(fatal{t}, want) {
		t.Fatal("it was not killed")
	}
	a.writes = nil
	p := mustDiff(t, a.o, want)
	if got := plan.Line(stepsOf(p)[0]); got != "set secrets: TOKEN" || len(stepsOf(p)) != 3 {
		t.Errorf("got %v", p.Summary())
	}
}

// TestHalfRestartedSecretIsNotSetAgain kills the deploy behind the first machine: that one vouches for the
// value.
func TestHalfRestartedSecretIsNotSetAgain(t *testing.T) {
	a, want := withSecrets(t)
	want.Secrets = secretsOf(map[string]string{"TOKEN": "y", "KEY": "k"})
	a.provide(want)
	a.writes = new(2)
	a.deploy(fatal{t}, want)
	wantShape(t, mustDiff(t, a.o, want), `
first of each group
  update machine m002 in ams: secrets.TOKEN changed`)
}

func TestWithoutAKeyTheDigestSpeaksForSecrets(t *testing.T) {
	a, want := &account{}, intent(t, worker)
	want.Secrets = []plan.WantedSecret{{Name: "TOKEN"}}
	a.values = map[string]string{"TOKEN": "x"}
	a.deploy(fatal{t}, want)
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("the same digest has plan %v", p.Summary())
	}
	want.Metadata = map[string]string{plan.MetaDigest: "another"}
	if got := plan.Line(stepsOf(mustDiff(t, a.o, want))[0]); got != "set secrets: TOKEN" {
		t.Errorf("another digest begins with %q", got)
	}
}

func TestUnknownSecretStays(t *testing.T) {
	a, want := withSecrets(t)
	want.Secrets = []plan.WantedSecret{{Name: "TOKEN", Unknown: true}, {Name: "KEY", MAC: "mack"}}
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("it changes: %v", p.Summary())
	}
}

// TestSecretsThatFlyToldOnceAreMissed holds for those of a service that is there.
func TestSecretsThatFlyToldOnceAreMissed(t *testing.T) {
	a, want := withSecrets(t)
	bucket := intent(t, worker+"machines: {count: 2}\naddons: [{type: tigris, name: files}]\n")
	bucket.Metadata, bucket.Secrets = want.Metadata, append(slices.Clone(want.Secrets), plan.WantedSecret{Name: "AWS_REGION", Unknown: true})
	a.o.Addons = []plan.Addon{{Type: "tigris", Name: "files", Ready: true}}
	var refused *plan.Refused
	if _, err := plan.Diff(a.o, bucket); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "tigris files") || !strings.Contains(refused.Reason, "fly secrets set AWS_REGION=") {
		t.Errorf("got %v", err)
	}
	a.o.Addons = nil
	if p := mustDiff(t, a.o, bucket); !slices.Contains(p.Summary(), "set secrets: AWS_REGION") {
		t.Errorf("with a service that is about to be made the plan is %v", p.Summary())
	}
}

// TestValuesThatCannotBeComparedStay holds for whoever looks without the key, as a plan on another computer does.
func TestValuesThatCannotBeComparedStay(t *testing.T) {
	a, want := withSecrets(t)
	want.Secrets = []plan.WantedSecret{{Name: "TOKEN"}, {Name: "KEY", Unknown: true}}
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("without a key the plan is %v", p.Summary())
	}
	want.Metadata = map[string]string{plan.MetaDigest: "another"}
	if got := plan.Line(stepsOf(mustDiff(t, a.o, want))[0]); got != "set secrets: TOKEN" {
		t.Errorf("another digest begins with %q", got)
	}
}

func TestUnlistedSecretsStayUnlessPruned(t *testing.T) {
	a, want := withSecrets(t)
	a.o.Secrets = append(a.o.Secrets, plan.Secret{Name: "OTHERS", Digest: "d"}, plan.Secret{Name: "REDIS_URL", Digest: "d"}, plan.Secret{Name: "MINE", Digest: "d"})
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("it changes: %v", p.Summary())
	}
	pruning := intent(t, worker+"machines: {count: 2}\nsecrets_prune: true\naddons: [{type: redis}]\nsync: {ignore: [secrets.MI*]}\n")
	pruning.Secrets, pruning.Made = want.Secrets, pruning.Target.Addons
	if got := plan.Line(stepsOf(mustDiff(t, a.o, pruning))[0]); got != "set secrets: remove OTHERS" {
		t.Errorf("got %q", got)
	}
}

func TestPlansTellNothingOfSecrets(t *testing.T) {
	a, want := withSecrets(t)
	want.Secrets = secretsOf(map[string]string{"TOKEN": "y", "NEW": "n"})
	for _, o := range []plan.Observed{a.o, {}} {
		text := lines(mustDiff(t, o, want)) + strings.Join(mustDiff(t, o, want).Summary(), "\n")
		for _, hidden := range []string{"macy", "macx", "flyx", "macn"} {
			if strings.Contains(text, hidden) {
				t.Errorf("the plan says %q: %s", hidden, text)
			}
		}
	}
}

func TestAppWithoutMachinesHasNobodyToVouch(t *testing.T) {
	a, want := &account{}, intent(t, worker+"machines: {count: 0}\n")
	want.Secrets = secretsOf(map[string]string{"TOKEN": "x"})
	a.provide(want)
	a.deploy(fatal{t}, want)
	if p := mustDiff(t, a.o, want); !p.Empty() || len(a.o.Secrets) != 1 {
		t.Errorf("secrets %v, plan %v", a.o.Secrets, p.Summary())
	}
}

// byFlyctl gives an app as flyctl has deployed it: nothing of FlyCD's is on its machines.
func byFlyctl(tb testing.TB, yaml string) (*account, plan.Intent) {
	tb.Helper()
	a, want := deployed(tb, yaml)
	for i := range a.o.Machines {
		a.edit(i, func(c map[string]any) {
			for _, key := range []string{"metadata", "env"} {
				for name := range at(c, key) {
					if strings.HasPrefix(strings.ToLower(name), "flycd_") {
						delete(at(c, key), name)
					}
				}
			}
		})
	}
	return a, want
}

func TestAdoptedAppHasAnEmptyPlan(t *testing.T) {
	a, want := byFlyctl(t, web)
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("it changes: %v", p.Summary())
	}
	if err := plan.Proven(a.o, want); err != nil {
		t.Error(err)
	}
	want.Image = image("2")
	a.deploy(fatal{t}, want)
	if m := a.o.Machines[0]; m.Config.Metadata[plan.MetaDigest] == "" {
		t.Errorf("with the next image it has %v", m.Config.Metadata)
	}
}

// TestListedSecretsOfAnAdoptedAppAreSet holds since nothing tells what value the machines have.
func TestListedSecretsOfAnAdoptedAppAreSet(t *testing.T) {
	a, want := byFlyctl(t, worker)
	a.o.Secrets = []plan.Secret{{Name: "TOKEN", Digest: "flyx"}}
	want.Secrets = secretsOf(map[string]string{"TOKEN": "x"})
	wantShape(t, mustDiff(t, a.o, want), `
secrets
  set secrets: TOKEN
first of each group
  update machine m001 in ams: secrets.TOKEN changed`)
	want.Secrets = []plan.WantedSecret{{Name: "TOKEN", Unknown: true}}
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("a value that nobody knows changes it: %v", p.Summary())
	}
}
