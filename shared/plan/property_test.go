package plan_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/plan"
)

// deploys applies an intent, as far as it gets, or ends the check where it is one that FlyCD refuses.
func (a *account) deploys(t *rapid.T, want plan.Intent) {
	diff(t, a.o, want)
	a.provide(want)
	a.deploy(t, want)
}

func TestApplyingAPlanLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		for _, label := range []string{"first", "second"} {
			want := intents(t, label)
			a.deploys(t, want)
			for _, again := range []plan.Intent{want, later(want)} {
				if left := diff(t, a.o, again); !left.Empty() {
					t.Fatalf("after the %s deploy there is still to do for %s:\n%s", label, again.Job, lines(left))
				}
				if err := plan.Proven(a.o, again); err != nil {
					t.Fatalf("the %s deploy is not unchanged: %v", label, err)
				}
			}
			for _, m := range a.o.Machines {
				if a.hidden[m.ID] {
					t.Fatalf("after the %s deploy machine %s is hidden", label, m.Name)
				}
			}
		}
	})
}

func TestACutOffDeployIsFinishedByTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, straight account
		first, second := intents(t, "first"), intents(t, "second")
		for _, each := range []*account{&a, &straight} {
			each.deploys(t, first)
		}
		straight.deploys(t, second)
		a.writes = new(rapid.IntRange(0, 12).Draw(t, "cut"))
		a.deploys(t, second)
		a.writes = nil
		if rapid.Bool().Draw(t, "by another job") {
			second = later(second)
		}
		a.deploys(t, second)
		if left := diff(t, a.o, second); !left.Empty() {
			t.Fatalf("there is still to do:\n%s", lines(left))
		}
		for _, m := range a.o.Machines {
			if a.hidden[m.ID] {
				t.Fatalf("machine %s is hidden", m.Name)
			}
		}
		if second.Target.PrimaryRegion == "" {
			return // which of several regions is left is then nobody's wish
		}
		if got, want := census(a.o), census(straight.o); got != want {
			t.Fatalf("cut off: %s\nstraight: %s", got, want)
		}
		if got, want := possessions(a.o), possessions(straight.o); got != want {
			t.Fatalf("cut off:\n%s\nstraight:\n%s", got, want)
		}
	})
}

// TestACutOffDeployIsOvertakenByAnother lets another wish come after a deploy that was killed.
func TestACutOffDeployIsOvertakenByAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		a.deploys(t, intents(t, "first"))
		a.writes = new(rapid.IntRange(0, 12).Draw(t, "cut"))
		a.deploys(t, intents(t, "second"))
		a.writes = nil
		third := intents(t, "third")
		a.deploys(t, third)
		if left := diff(t, a.o, later(third)); !left.Empty() {
			t.Fatalf("there is still to do:\n%s", lines(left))
		}
		for _, m := range a.o.Machines {
			if a.hidden[m.ID] || m.Config.Metadata[plan.MetaCanary] != "" {
				t.Fatalf("machine %s is left over", m.Name)
			}
		}
	})
}

func TestPlansAreTheSameEachTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		a.deploys(t, intents(t, "first"))
		want := intents(t, "second")
		o := a.snapshot()
		o.Machines = rapid.Permutation(o.Machines).Draw(t, "machines")
		o.Volumes = rapid.Permutation(o.Volumes).Draw(t, "volumes")
		o.IPs = rapid.Permutation(o.IPs).Draw(t, "addresses")
		o.Secrets = rapid.Permutation(o.Secrets).Draw(t, "secrets")
		o.Certs = rapid.Permutation(o.Certs).Draw(t, "certificates")
		o.Addons = rapid.Permutation(o.Addons).Draw(t, "add-ons")
		want.Secrets = rapid.Permutation(want.Secrets).Draw(t, "wanted secrets")
		if got, want := lines(diff(t, o, want)), lines(diff(t, a.o, want)); got != want {
			t.Fatalf("what is listed in another order gives another plan:\n%s\n\n%s", got, want)
		}
	})
}

func TestUndoPutsEverythingBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		first, second := intents(t, "first"), intents(t, "second")
		a.deploys(t, first)
		before, there := census(a.o), idsOf(a.o)
		second.Confirm = false // what is lost for good cannot be put back
		var begun []plan.Step
		a.watch = func(step plan.Step) { begun = append(begun, step) }
		a.writes = new(rapid.IntRange(0, 16).Draw(t, "cut"))
		a.deploys(t, second)
		a.watch = nil
		undo := plan.Undo(a.o, begun)
		for _, step := range stepsOf(undo) {
			switch s := step.(type) {
			case plan.DestroyMachine:
				if slices.Contains(there, s.Machine.ID) {
					t.Fatalf("undo destroys what was there before: %s", plan.Line(step))
				}
			case plan.CreateMachine, plan.UpdateMachine, plan.Uncordon, plan.UpdateVolume:
			default:
				t.Fatalf("undo has a step %s", plan.Line(step))
			}
		}
		a.applyAll(undo)
		if after := census(a.o); after != before {
			t.Fatalf("before: %s\nafter: %s", before, after)
		}
		for _, m := range a.o.Machines {
			if a.hidden[m.ID] {
				t.Fatalf("machine %s is hidden", m.Name)
			}
		}
		if err := plan.ProofOfUndo("shop", begun).Met(a.o); err != nil {
			t.Fatal(err)
		}
	})
}

func idsOf(o plan.Observed) []string {
	var ids []string
	for _, m := range o.Machines {
		ids = append(ids, m.ID)
	}
	return ids
}

// TestSomebodyAlwaysAnswers follows a deploy step by step: a group that answers before and after answers
// all the time, whoever restarts.
func TestSomebodyAlwaysAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		a.deploys(t, intents(t, "first"))
		second := intents(t, "second")
		answering := func() map[string]int {
			n := map[string]int{}
			for _, m := range a.o.Machines {
				if !a.hidden[m.ID] && len(m.Config.Standbys) == 0 && m.Config.Metadata[plan.MetaCanary] == "" {
					n[m.Config.ProcessGroup()]++
				}
			}
			return n
		}
		before := answering()
		least := answering()
		a.watch = func(plan.Step) {
			now := answering()
			for group := range before {
				least[group] = min(least[group], now[group])
			}
		}
		a.deploys(t, second)
		for group, n := range answering() {
			if enough := min(n, before[group]); least[group] < enough {
				t.Fatalf("group %s had %d machines, has %d, and had %d meanwhile", group, before[group], n, least[group])
			}
		}
	})
}

func TestNothingIsLostWithoutAConfirmation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		a.deploys(t, intents(t, "first"))
		want, before := intents(t, "second"), a.snapshot()
		a.watch = func(step plan.Step) {
			allowed := want.Confirm && want.Target.Prune
			switch s := step.(type) {
			case plan.DestroyVolume, plan.DestroyAddon, plan.RemoveCert:
			case plan.ReleaseIP:
				shared := slices.ContainsFunc(before.IPs, func(ip plan.IP) bool { return ip.Address == s.Address && (ip.Shared || ip.Private) })
				allowed = want.Target.PruneIPs && (want.Confirm || shared)
			default:
				allowed = true
			}
			if !allowed {
				t.Fatalf("without a word: %s", plan.Line(step))
			}
		}
		a.deploys(t, want)
	})
}
