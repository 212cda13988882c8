package fly

import (
	"bytes"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// stored is a world with a machine that has a volume, and another volume that nobody has.
func stored(t *testing.T) (*world, *Change) {
	t.Helper()
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	for i := range 2 {
		apply(t, ch, plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams", Ordinal: i})
	}
	db := create("shop-db-ams-0", imageOne)
	db.Config.Mounts, db.Volume = append(db.Config.Mounts, mount()), "data"
	apply(t, ch, db)
	if _, err := ch.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.road.written()
	return w, ch
}

func TestVolumeGrowsAndIsKeptAsWanted(t *testing.T) {
	w, ch := stored(t)
	v := ch.Observed().Volumes[0]
	days, off := 21, false
	grow := plan.ExtendVolume{App: testApp, Volume: v, SizeGB: 5}
	keep := plan.UpdateVolume{App: testApp, Volume: v, SnapshotRetention: &days, ScheduledSnapshots: &off}
	apply(t, ch, grow, keep, grow, keep)
	if got := w.road.written(); len(got) != 2 {
		t.Errorf("writes: %v, want two", got)
	}
	for _, now := range w.observed(t).Volumes {
		if now.ID == v.ID && (now.SizeGb != 5 || now.SnapshotRetention != 21 || now.AutoBackupEnabled) {
			t.Errorf("volume: %+v", now)
		}
	}
	_ = ch.Close()
	apply(t, begin(t, w.client(t)), grow, keep)
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("the next change wrote %v", got)
	}
}

func TestVolumeThatAMachineHasIsNeverDestroyed(t *testing.T) {
	w, ch := stored(t)
	for _, v := range ch.Observed().Volumes {
		step := plan.DestroyVolume{App: testApp, Volume: v}
		err := ch.Apply(t.Context(), step)
		if v.IsAttached() {
			if err == nil || !strings.Contains(err.Error(), "a machine has it") {
				t.Errorf("destroy an attached volume: %v", err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
		}
		apply(t, ch, step)
	}
	if got := w.road.written(); len(got) != 1 {
		t.Errorf("writes: %v, want one", got)
	}
	if o := w.observed(t); len(o.Volumes) != 1 || !o.Volumes[0].IsAttached() {
		t.Errorf("volumes that are left: %+v", o.Volumes)
	}
}

func TestVolumeThatIsGoneIsASentence(t *testing.T) {
	_, ch := stored(t)
	v := ch.Observed().Volumes[0]
	v.ID = "vol_gone"
	var out bytes.Buffer
	ch.Output = &out
	for _, step := range []plan.Step{plan.ExtendVolume{App: testApp, Volume: v, SizeGB: 5}, plan.UpdateVolume{App: testApp, Volume: v}} {
		if err := ch.Apply(t.Context(), step); err == nil || !strings.Contains(err.Error(), "it is gone") {
			t.Errorf("%T: %v", step, err)
		}
	}
}

// TestMachineThatIsPutBackGetsItsOwnVolume: among volumes of one name, the one that its config names, also where
// the machine that held it has gone only just now.
func TestMachineThatIsPutBackGetsItsOwnVolume(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	for n := range 3 {
		apply(t, ch, plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams", Ordinal: n})
	}
	own := ch.volumesNamed("data", "ams")[2].ID
	back := create("shop-app-ams-1", imageOne)
	back.Volume, back.Config.Mounts = "data", []flygo.MachineMount{{Name: "data", Path: "/data", Volume: own}}
	mounted := func() string {
		for _, m := range w.machines(t) {
			if m.Name == "shop-app-ams-1" {
				return m.Config.Mounts[0].Volume
			}
		}
		return "none"
	}
	apply(t, ch, back)
	if got := mounted(); got != own {
		t.Errorf("it mounts %s, and its own is %s", got, own)
	}
	_ = ch.Close()
	ch = begin(t, w.client(t))
	held, _ := ch.named("shop-app-ams-1")
	other := back
	other.Name = "shop-app-ams-2"
	if err := ch.Apply(t.Context(), other); err == nil || !strings.Contains(err.Error(), own) {
		t.Errorf("a machine whose volume another one holds: %v", err)
	}
	apply(t, ch, plan.DestroyMachine{App: testApp, Machine: held}, back)
	if got := mounted(); got != own {
		t.Errorf("made again, it mounts %s, and its own is %s", got, own)
	}
}

// Somebody destroys the machine that holds a volume: while it goes the volume is free already, so that the next
// machine waits for it and does not get an empty one.
func TestVolumeOfAMachineThatGoesIsFree(t *testing.T) {
	w := newWorld(t, flysim.Options{Settle: time.Hour})
	ch := begin(t, w.client(t))
	apply(t, ch, plan.CreateApp{App: testApp, Org: "personal"}, plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"})
	db := create("shop-db-ams-0", imageOne)
	db.Config.Mounts, db.Volume = append(db.Config.Mounts, mount()), "data"
	apply(t, ch, db)
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	before := w.observed(t)
	if len(before.Volumes) != 1 || !before.Volumes[0].IsAttached() {
		t.Fatalf("volumes: %+v", before.Volumes)
	}
	if err := w.client(t).flaps.Destroy(t.Context(), testApp, flygo.RemoveMachineInput{ID: before.Machines[0].ID, Kill: true}, ""); err != nil {
		t.Fatal(err)
	}
	after := w.observed(t)
	if len(after.Machines) != 0 || len(after.Volumes) != 1 || after.Volumes[0].IsAttached() {
		t.Errorf("machines %d, volumes %+v", len(after.Machines), after.Volumes)
	}
}
