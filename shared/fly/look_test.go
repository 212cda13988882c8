package fly

import (
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// TestLookSeesOwnWorkThroughLateLists: lists show the app as it was a minute ago, and still what this
// change did counts.
func TestLookSeesOwnWorkThroughLateLists(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	apply(t, ch, create("shop-app-ams-1", imageOne))
	w.sim.SetLag(flysim.Lag{List: time.Minute})
	first := ch.Observed().Machines[0]
	apply(t, ch,
		create("shop-app-ams-2", imageOne),
		plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"},
		update(first, imageTwo))
	second, _ := ch.named("shop-app-ams-1")
	apply(t, ch, plan.DestroyMachine{App: testApp, Machine: second})
	o, err := ch.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]string{}
	for _, m := range o.Machines {
		images[m.Name] = m.Config.Image
	}
	if len(images) != 2 || images["shop-app-ams-0"] != imageTwo || images["shop-app-ams-2"] != imageOne || len(o.Volumes) != 1 {
		t.Errorf("seen: %v and %d volumes", images, len(o.Volumes))
	}
}

func TestLookLeasesMachinesThatAreNew(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	other, err := w.client(t).flaps.Launch(t.Context(), testApp, flygo.LaunchMachineInput{Name: "by-hand", Region: "ams", Config: config(imageOne)})
	if err != nil {
		t.Fatal(err)
	}
	o, err := ch.Look(t.Context())
	if err != nil || len(o.Machines) != 2 {
		t.Fatalf("%d machines, %v", len(o.Machines), err)
	}
	if _, held := ch.leases.nonce(other.ID); !held {
		t.Error("the new machine is not leased")
	}
	apply(t, ch, plan.DestroyMachine{App: testApp, Machine: plan.Machine{Machine: &flygo.Machine{Name: "by-hand"}}})
	if got := w.machines(t); len(got) != 1 {
		t.Errorf("%d machines after one was destroyed by its name", len(got))
	}
}

func TestHiddenMachineServesNobodyUntilItIsShown(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	green := create("shop-app-ams-1", imageTwo)
	green.Hidden = true
	apply(t, ch, green)
	if !w.state(t, green.Name).Cordoned || w.state(t, "shop-app-ams-0").Cordoned {
		t.Fatal("the green machine is shown, or the blue one is not")
	}
	blue := ch.Observed().Machines[0].ID
	show, hide := plan.Uncordon{App: testApp, Name: green.Name}, plan.Cordon{App: testApp, Machine: blue}
	w.road.written()
	apply(t, ch, show, show, hide, hide)
	if got := w.road.written(); len(got) != 2 {
		t.Errorf("writes: %v, want two", got)
	}
	if w.state(t, green.Name).Cordoned || !w.state(t, "shop-app-ams-0").Cordoned {
		t.Error("the green machine is hidden, or the blue one is not")
	}
	apply(t, ch, plan.Uncordon{App: testApp, Machine: blue})
	if w.state(t, "shop-app-ams-0").Cordoned {
		t.Error("the blue machine is still hidden")
	}
	if err := ch.Apply(t.Context(), plan.Uncordon{App: testApp, Name: "nobody"}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("show nobody: %v", err)
	}
}
