package plan_test

import (
	"errors"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

func TestSchedulesHaveOneMachineEach(t *testing.T) {
	yaml := worker + "schedules: [{name: clean, command: clean up, every: daily}, {name: report, command: report, every: hourly}]\n"
	a, want := deployed(t, yaml)
	if len(a.o.Machines) != 3 {
		t.Fatalf("%d machines", len(a.o.Machines))
	}
	m := a.o.Machines[1]
	if c := m.Config; m.Name != "shop-clean-ams-0" || m.State != "started" || c.Schedule != "daily" || c.Metadata[plan.MetaSchedule] != "clean" ||
		c.Metadata["fly_process_group"] != "" || c.Metadata["fly_platform_version"] != "" || len(c.Services) != 0 || c.Restart.Policy != "no" || c.Image != want.Image {
		t.Errorf("the machine of a schedule is %s, %s, %+v", m.Name, m.State, c)
	}
	a.o.Machines[1].State = "stopped"
	if err := plan.Proven(a.o, want); err != nil {
		t.Errorf("a schedule that rests: %v", err)
	}
	fewer := intent(t, strings.ReplaceAll(worker+"schedules: [{name: report, command: report, every: hourly}]\n", "ams", "fra"))
	fewer.Image = image("2")
	wantShape(t, mustDiff(t, a.o, fewer), `
first of each group
  create machine shop-worker-fra-0 in fra
schedules
  create machine shop-report-fra-0 in fra
surplus
  destroy machine m001 in ams: the manifest does not name region ams
  destroy machine m003 in ams: the manifest does not name region ams
  destroy machine m002 in ams: the manifest has no schedule "clean"`)
	want.Image = image("2")
	u := stepsOf(mustDiff(t, a.o, want))[1].(plan.UpdateMachine)
	if !u.SkipLaunch || u.Machine.Name != "shop-clean-ams-0" {
		t.Errorf("the schedule is updated as %+v", u)
	}
}

func TestOthersSchedulesAreLeftAlone(t *testing.T) {
	a, want := deployed(t, worker)
	a.o.Machines = append(a.o.Machines, echo(&flygo.Machine{ID: "theirs", State: "stopped"}, map[string]any{"schedule": "daily", "metadata": map[string]any{}}))
	if p := mustDiff(t, a.o, want); !p.Empty() || len(p.Notes) != 1 {
		t.Errorf("plan %v, notes %q", p.Summary(), p.Notes)
	}
}

const sized = disk + "volumes: [{name: data, size_gb: 3, snapshot_retention: 7}]\n"

func TestVolumesGrowAndAreKeptAsTheManifestSays(t *testing.T) {
	a, _ := deployed(t, sized)
	if v := a.o.Volumes[0]; v.SizeGb != 3 || v.SnapshotRetention != 7 {
		t.Fatalf("it is made with %+v", v)
	}
	larger := intent(t, strings.Replace(strings.Replace(sized, "size_gb: 3", "size_gb: 5", 1), ": 7", ": 9", 1))
	p := mustDiff(t, a.o, larger)
	wantShape(t, p, `
volumes
  extend volume data (vol_001) in ams: size_gb: 3 → 5
  update volume data (vol_001) in ams: snapshot_retention: 7 → 9`)
	a.deploy(fatal{t}, larger)
	if p := mustDiff(t, a.o, larger); !p.Empty() {
		t.Errorf("it is not at rest: %v", p.Summary())
	}
	undo := plan.Undo(a.o, stepsOf(p))
	wantShape(t, undo, "put back\n  update volume data (vol_001) in ams: snapshot_retention: 9 → 7")
	if len(undo.Notes) != 1 || !strings.Contains(undo.Notes[0], "extended to 5 GB and stays") {
		t.Errorf("notes %q", undo.Notes)
	}
	if p := mustDiff(t, a.o, intent(t, disk)); !p.Empty() {
		t.Errorf("the size of new volumes changes one that is there: %v", p.Summary())
	}
}

func TestVolumesNeverShrink(t *testing.T) {
	a, _ := deployed(t, sized)
	smaller := intent(t, strings.Replace(sized, "size_gb: 3", "size_gb: 2", 1))
	var refused *plan.Refused
	if _, err := plan.Diff(a.o, smaller); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "has 3 GB and the manifest wants 2") {
		t.Errorf("got %v", err)
	}
	smaller.Target.Groups[0].Config.Mounts[0].AddSizeGb = 1
	for _, step := range stepsOf(mustDiff(t, a.o, smaller)) {
		if _, ok := step.(plan.ExtendVolume); ok {
			t.Error("one that has grown by itself is extended")
		}
	}
}

func TestSpareVolumesAreMadeAndFound(t *testing.T) {
	yaml := strings.Replace(sized, "size_gb: 3", "size_gb: 3, count: 3", 1)
	a, want := deployed(t, yaml)
	if len(a.o.Volumes) != 3 {
		t.Fatalf("%d volumes", len(a.o.Volumes))
	}
	a.destroy(a.o.Machines[0].ID)
	wantShape(t, mustDiff(t, a.o, want), "first of each group\n  create machine shop-worker-ams-0 in ams")
}

func TestWhatIsLostForGoodWantsAConfirmation(t *testing.T) {
	full := disk + "certs: [{hostname: a.example.com}]\naddons: [{type: redis}]\nsync: {prune: true}\nnetwork: {ips: [{v: v4}, {v: v4}, {v: v6, private: true}], auto_prune_ips: true}\n"
	a, _ := deployed(t, full)
	if len(a.o.Certs)+len(a.o.Addons)+len(a.o.IPs)+len(a.o.Volumes) != 6 {
		t.Fatalf("got %+v", a.o)
	}
	less := intent(t, worker+"sync: {prune: true}\nnetwork: {ips: [{v: v4}], auto_prune_ips: true}\n")
	p := mustDiff(t, a.o, less)
	if c := p.Counts(); c.Destroyed != 1 || c.Replaced != 1 || len(p.Notes) != 4 {
		t.Errorf("counts %+v, notes %q, plan %v", c, p.Notes, p.Summary())
	}
	for _, note := range p.Notes {
		if !strings.Contains(note, "--confirm") {
			t.Errorf("note %q", note)
		}
	}
	less.Confirm = true
	p = mustDiff(t, a.o, less)
	if now, again := p.Cut(); !again || strings.Contains(shape(now), "destroy volume") {
		t.Errorf("an attached volume is destroyed at once: %s", shape(now))
	}
	a.deploy(fatal{t}, less)
	if len(a.o.Certs)+len(a.o.Addons)+len(a.o.Volumes) != 0 || len(a.o.IPs) != 1 {
		t.Errorf("left are %v %v %v %v", a.o.Certs, a.o.Addons, a.o.Volumes, a.o.IPs)
	}
}

func TestServicesOfOthersAreNotPruned(t *testing.T) {
	a, want := deployed(t, worker+"sync: {prune: true}\n")
	want.Confirm = true
	a.o.Addons = []plan.Addon{{Type: "redis", Name: "shop-redis", Ready: true}}
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("got %v", p.Summary())
	}
}

func TestServiceThatIsNotReadyIsWaitedFor(t *testing.T) {
	a, want := deployed(t, worker+"addons: [{type: postgres}]\n")
	a.o.Addons[0].Ready = false
	if got := plan.Line(stepsOf(mustDiff(t, a.o, want))[0]); got != "create postgres shop-postgres in ams" {
		t.Errorf("got %q", got)
	}
}

func TestRecordedServices(t *testing.T) {
	a, _ := deployed(t, worker+"addons: [{type: redis}, {type: tigris, name: files}]\n")
	got := plan.Recorded(a.o.Machines)
	if len(got) != 2 || got[0] != (machine.Addon{Type: "redis", Name: "shop-redis"}) || got[1] != (machine.Addon{Type: "tigris", Name: "files"}) {
		t.Errorf("got %+v", got)
	}
	if s := plan.ScopeOf(intent(t, worker+"sync: {prune: true}\n").Target); !s.Recorded || !s.Certs {
		t.Errorf("scope %+v", s)
	}
}

// TestServiceThatWasThereBeforeIsNeverTakenAway: other apps may use a service that the deploy only found.
func TestServiceThatWasThereBeforeIsNeverTakenAway(t *testing.T) {
	a, want := deployed(t, worker)
	a.o.Addons = []plan.Addon{{Type: "redis", Name: "cache", ID: "1", Ready: true}}
	found := intent(t, worker+"env: {A: b}\naddons: [{type: redis, name: cache}]\n")
	a.deploy(t, found)
	if got := plan.Recorded(a.o.Machines); len(got) != 0 {
		t.Errorf("recorded as made for the app: %+v", got)
	}
	want.Target.Prune, want.Confirm = true, true
	for _, step := range stepsOf(mustDiff(t, a.o, want)) {
		if s, ok := step.(plan.DestroyAddon); ok {
			t.Errorf("plans %s", plan.Line(s))
		}
	}
}

// TestServiceIsMadeWhereTheAppIs: also where the manifest says another organisation, in which it would not be found
// again.
func TestServiceIsMadeWhereTheAppIs(t *testing.T) {
	a, _ := deployed(t, worker)
	a.o.Org = "acme"
	want := intent(t, worker+"org: other\naddons: [{type: redis}]\n")
	if s, ok := stepsOf(mustDiff(t, a.o, want))[0].(plan.CreateAddon); !ok || s.Org != "acme" {
		t.Errorf("got %+v", s)
	}
}

func TestAddressesOfAKindAreCounted(t *testing.T) {
	v6ams, v6 := plan.IP{Address: "fd::1", Region: "ams"}, plan.IP{Address: "fd::2", Region: "global"}
	pair := []plan.IP{{Address: "fe::1", Region: "ams", Egress: true}, {Address: "5.6.7.8", Region: "ams", Egress: true}}
	want := intent(t, worker)
	table := []struct {
		have   []plan.IP
		wanted []machine.IP
		steps  []plan.AllocateIP
	}{
		{[]plan.IP{v6ams, v6}, []machine.IP{{Type: "v6"}, {Type: "v6", Region: "ams"}}, nil},
		{[]plan.IP{v6}, []machine.IP{{Type: "v6"}, {Type: "v6"}, {Type: "v6"}}, []plan.AllocateIP{{IP: machine.IP{Type: "v6"}, Ordinal: 1}, {IP: machine.IP{Type: "v6"}, Ordinal: 2}}},
		{nil, []machine.IP{{Type: "v4"}, {Type: "v4"}}, []plan.AllocateIP{{IP: machine.IP{Type: "v4"}}, {IP: machine.IP{Type: "v4"}, Ordinal: 1}}},
		{pair, []machine.IP{{Type: "egress", Region: "ams"}}, nil},
		{pair, []machine.IP{{Type: "egress", Region: "ams"}, {Type: "egress", Region: "ams"}, {Type: "v4"}}, []plan.AllocateIP{{IP: machine.IP{Type: "egress", Region: "ams"}, Ordinal: 1}, {IP: machine.IP{Type: "v4"}}}},
	}
	for i, row := range table {
		want.Target.IPs = row.wanted
		var got []plan.AllocateIP
		for _, step := range stepsOf(mustDiff(t, plan.Observed{Exists: true, App: "shop", IPs: row.have}, want)) {
			if s, ok := step.(plan.AllocateIP); ok {
				s.App = ""
				got = append(got, s)
			}
		}
		if len(got) != len(row.steps) {
			t.Errorf("%d: got %v, want %v", i, got, row.steps)
			continue
		}
		for j := range got {
			if got[j] != row.steps[j] {
				t.Errorf("%d: got %v, want %v", i, got[j], row.steps[j])
			}
		}
	}
	want.Target.IPs, want.Target.PruneIPs, want.Confirm = []machine.IP{{Type: "v4"}}, true, true
	var released int
	for _, step := range stepsOf(mustDiff(t, plan.Observed{Exists: true, App: "shop", IPs: pair}, want)) {
		if s, ok := step.(plan.ReleaseIP); ok && s.Egress {
			released++
		}
	}
	if released != 2 {
		t.Errorf("%d egress addresses are given back", released)
	}
}
