package fly

import (
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

func intent(image string) plan.Intent {
	c := config("")
	delete(c.Metadata, "flycd_digest")
	db := config("")
	db.Metadata = map[string]string{"fly_process_group": "db", "fly_platform_version": "v2"}
	db.Services, db.Mounts = nil, append(db.Mounts, mount())
	return plan.Intent{
		Image:    image,
		Metadata: map[string]string{"flycd_digest": image, "flycd_commit": "c-" + image},
		Env:      map[string]string{"FLYCD_APP_VERSION": image},
		Target: machine.Target{
			App: testApp, Org: "personal", PrimaryRegion: "ams", DefaultIPs: "shared",
			Groups: []machine.Group{
				{Name: "app", Config: c, GuestSet: true, Regions: []string{"ams"}, Create: 2},
				{Name: "db", Config: db, GuestSet: true, Regions: []string{"ams"}, Create: 1},
			},
			Volumes: []machine.Volume{{Group: "db", Name: "data", SizeGB: 1}},
		},
	}
}

// TestPlanIsEmptyOnceItWasApplied: what plan decides, this package makes true, and proves.
func TestPlanIsEmptyOnceItWasApplied(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	for _, image := range []string{imageOne, imageTwo} {
		ch := begin(t, w.client(t))
		want := intent(image)
		p, err := plan.Diff(ch.Observed(), want)
		if err != nil || p.Empty() {
			t.Fatalf("plan for %s: empty %v, %v", image, p.Empty(), err)
		}
		for _, stage := range p.Stages {
			apply(t, ch, stage.Steps...)
		}
		if err := ch.Prove(t.Context(), plan.ProofOf(ch.Observed(), want)); err != nil {
			t.Fatal(err)
		}
		if err := ch.Close(); err != nil {
			t.Fatal(err)
		}
		w.road.written()
		o := w.observed(t)
		if err := plan.Proven(o, want); err != nil {
			t.Error(err)
		}
		again, err := plan.Diff(o, want)
		if err != nil || !again.Empty() {
			t.Errorf("after it was applied: %v, %v", again.Summary(), err)
		}
		ch = begin(t, w.client(t))
		for _, stage := range p.Stages {
			apply(t, ch, stage.Steps...)
		}
		if err := ch.Prove(t.Context(), plan.ProofOf(ch.Observed(), want)); err != nil {
			t.Error(err)
		}
		if got := w.road.written(); len(got) > 0 {
			t.Errorf("applying the plan again wrote %v", got)
		}
		_ = ch.Close()
	}
	if o := w.observed(t); len(o.Machines) != 3 || len(o.Volumes) != 1 || len(o.IPs) != 2 {
		t.Errorf("machines %d, volumes %d, addresses %d", len(o.Machines), len(o.Volumes), len(o.IPs))
	}
}
