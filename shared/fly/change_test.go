package fly

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

func firstSteps() []plan.Step {
	return []plan.Step{
		plan.CreateApp{App: testApp, Org: "personal"},
		plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v6"}},
		plan.AllocateIP{App: testApp, IP: machine.IP{Type: "shared_v4"}},
		plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"},
		create("shop-app-ams-0", imageOne),
		create("shop-app-ams-1", imageOne),
	}
}

func TestFirstDeployIsProvenAndRepeatingItChangesNothing(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	ch := begin(t, w.client(t))
	if ch.Observed().Exists {
		t.Fatal("the app exists before it was made")
	}
	apply(t, ch, firstSteps()...)
	for _, name := range []string{"shop-app-ams-0", "shop-app-ams-1"} {
		if err := ch.Prove(t.Context(), proof(name, imageOne)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := len(w.road.written()), len(firstSteps()); got != want {
		t.Errorf("writes: %d, want %d", got, want)
	}
	apply(t, ch, firstSteps()...)
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("repeating wrote %v", got)
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	again := begin(t, w.client(t))
	apply(t, again, firstSteps()...)
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("repeating in another change wrote %v", got)
	}
	o := again.Observed()
	if len(o.Machines) != 2 || len(o.Volumes) != 1 || len(o.IPs) != 2 || o.Org != "personal" {
		t.Errorf("observed %d machines, %d volumes, %d addresses in %q", len(o.Machines), len(o.Volumes), len(o.IPs), o.Org)
	}
}

func TestObserveAsksOncePerKind(t *testing.T) {
	w := deployed(t, flysim.Options{})
	w.road.mu.Lock()
	w.road.reads = nil
	w.road.mu.Unlock()
	if _, err := w.client(t).Observe(t.Context(), testApp, plan.Scope{}); err != nil {
		t.Fatal(err)
	}
	if got := len(w.road.reads); got != 4 {
		t.Errorf("requests: %v, want app, machines, volumes, ip_assignments", w.road.reads)
	}
}

func TestUpdateKeepsWhatIsUnknown(t *testing.T) {
	w := deployed(t, flysim.Options{})
	m := w.machines(t)[0]
	raw := strings.Replace(string(m.Raw), `{`, `{"from_the_future":{"depth":[1,{"a":12345678901234567890}]},`, 1)
	ch := begin(t, w.client(t))
	step := update(m, imageOne)
	step.Raw = []byte(raw)
	apply(t, ch, step)
	m = w.machines(t)[0]
	if !strings.Contains(string(m.Raw), "12345678901234567890") {
		t.Fatalf("the unknown key was not sent as it was given: %s", m.Raw)
	}
	apply(t, ch, update(m, imageTwo))
	m = w.machines(t)[0]
	if !strings.Contains(string(m.Raw), "12345678901234567890") || m.Config.Image != imageTwo {
		t.Errorf("the update lost the unknown key or the image: %s", m.Raw)
	}
	if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageTwo)); err != nil {
		t.Error(err)
	}
}

func TestUpdateIsSentOnce(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	step := update(ch.Observed().Machines[0], imageTwo)
	apply(t, ch, step, step)
	if got := w.road.written(); len(got) != 1 {
		t.Errorf("writes: %v, want one update", got)
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	apply(t, begin(t, w.client(t)), update(w.machines(t)[0], imageTwo))
	if got := w.machines(t)[0].Config.Image; got != imageTwo {
		t.Errorf("image %s", got)
	}
}

func TestTwoFirstDeploysMakeOneApp(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			c := w.client(t, func(o *Options) { o.LeaseWait = 30 * time.Second })
			ch, err := c.Begin(t.Context(), testApp, plan.Scope{})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = ch.Close() }()
			for _, s := range []plan.Step{plan.CreateApp{App: testApp, Org: "personal"}, create("shop-app-ams-0", imageOne)} {
				if err := ch.Apply(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
			if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageOne)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.machines(t); len(got) != 1 {
		t.Errorf("%d machines, want 1", len(got))
	}
}

func TestReplaceLeavesTheOldOneUntilTheNewOneIsProven(t *testing.T) {
	code := 1
	w := deployed(t, flysim.Options{Images: map[string]flysim.Behavior{imageTwo: {Exit: &code}}})
	ch := begin(t, w.client(t))
	old := ch.Observed().Machines[0]
	err := ch.Apply(t.Context(), plan.ReplaceMachine{Old: old, Create: create("shop-app-ams-1", imageTwo)})
	if !errors.Is(err, ErrUnproven) {
		t.Fatalf("replace by a machine that crashes: %v", err)
	}
	if got := w.machines(t); len(got) != 1 || got[0].ID != old.ID {
		t.Fatalf("the old machine is not the one that is left: %d", len(got))
	}
	apply(t, ch, plan.ReplaceMachine{Old: old, Create: create("shop-app-ams-2", imageOne)})
	got := w.machines(t)
	if len(got) != 1 || got[0].Name != "shop-app-ams-2" {
		t.Errorf("machines after replace: %d", len(got))
	}
	apply(t, ch, plan.DestroyMachine{App: testApp, Machine: got[0]}, plan.DestroyMachine{App: testApp, Machine: got[0]}, plan.DestroyApp{App: testApp})
	if o := w.observed(t); o.Exists {
		t.Error("the app still exists")
	}
}

func TestStandbyAndVolumeAreFilledIn(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	standby := create("shop-app-ams-1", imageOne)
	standby.StandbyFor, standby.SkipLaunch = "shop-app-ams-0", true
	apply(t, ch, standby)
	for i := range 2 {
		apply(t, ch, plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams", Ordinal: i})
	}
	var wg sync.WaitGroup
	for _, name := range []string{"shop-db-ams-0", "shop-db-ams-1"} {
		wg.Go(func() {
			db := create(name, imageOne)
			db.Config.Mounts = append(db.Config.Mounts, mount())
			db.Volume = "data"
			if err := ch.Apply(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.road.written()
	_ = ch.Close()
	ch = begin(t, w.client(t))
	for _, name := range []string{"shop-db-ams-1", "shop-db-ams-0"} {
		db := create(name, imageOne)
		db.Config.Mounts, db.Volume = append(db.Config.Mounts, mount()), "data"
		apply(t, ch, db)
	}
	apply(t, ch, standby)
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("repeating wrote %v", got)
	}
	mounted := map[string]bool{}
	for _, m := range w.machines(t) {
		switch m.Name {
		case "shop-app-ams-1":
			first, _ := ch.named("shop-app-ams-0")
			if len(m.Config.Standbys) != 1 || m.Config.Standbys[0] != first.ID || m.Config.Env["FLY_STANDBY_FOR"] != first.ID {
				t.Errorf("standby: %s", m.Raw)
			}
		case "shop-db-ams-0", "shop-db-ams-1":
			mounted[m.Config.Mounts[0].Volume] = true
		}
	}
	if len(mounted) != 2 || mounted[""] {
		t.Errorf("mounted volumes: %v", mounted)
	}
	p := proof("shop-app-ams-1", imageOne)
	p.Machines[0].Stopped = true
	if err := ch.Prove(t.Context(), p); err != nil {
		t.Error(err)
	}
}
