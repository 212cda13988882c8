package fly

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

func redis() machine.Addon {
	return machine.Addon{Type: "redis", Name: "shop-redis", Region: "ams", Secret: "REDIS_URL"}
}

func bucket() machine.Addon { return machine.Addon{Type: "tigris", Name: "shop-files"} }

func postgres() machine.Addon {
	return machine.Addon{Type: "postgres", Name: "shop-db", Region: "ams", Plan: "Starter", Secret: "DATABASE_URL"}
}

func addonScope() plan.Scope {
	return plan.Scope{Addons: []machine.Addon{redis(), bucket(), postgres()}, Secrets: true}
}

// scoped is what the simulator holds, whatever the road is like.
func (w *world) scoped(t *testing.T, scope plan.Scope) plan.Observed {
	t.Helper()
	hidden := w.road.faults
	w.road.breaks()
	defer w.road.breaks(hidden...)
	o, err := w.client(t).Observe(t.Context(), testApp, scope)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAddonIsMadeOnceAndTellsItsSecrets(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t), addonScope())
	for _, a := range []machine.Addon{redis(), bucket(), postgres()} {
		apply(t, ch, plan.CreateAddon{App: testApp, Org: "personal", Addon: a}, plan.CreateAddon{App: testApp, Org: "personal", Addon: a})
	}
	if got := w.road.written(); len(got) != 4 {
		t.Errorf("writes: %v, want three that make, and one that attaches", got)
	}
	o, err := ch.Look(t.Context())
	if err != nil || len(o.Addons) != 3 {
		t.Fatalf("add-ons: %+v, %v", o.Addons, err)
	}
	for _, a := range o.Addons {
		if !a.Ready || a.ID == "" {
			t.Errorf("%s is %s", a.Name, a.State)
		}
	}
	if v := o.Addons[0].Values["DATABASE_URL"].Reveal(); !strings.HasPrefix(v, "postgres") || !strings.Contains(v, "@") {
		t.Errorf("DATABASE_URL is %q", v)
	}
	if v := o.Addons[1].Values["REDIS_URL"].Reveal(); !strings.HasPrefix(v, "redis://") {
		t.Errorf("REDIS_URL is %q", v)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "BUCKET_NAME"} {
		if o.Addons[2].Values[name].IsZero() {
			t.Errorf("the bucket does not tell %s", name)
		}
	}
	// Fly tells a bucket's keys only once, and the other addresses whenever it is asked
	later := w.scoped(t, addonScope())
	if later.Addons[0].Values == nil || later.Addons[1].Values == nil || later.Addons[2].Values != nil {
		t.Errorf("later: %v, %v and %v", later.Addons[0].Values, later.Addons[1].Values, later.Addons[2].Values)
	}
	for _, a := range o.Addons[:2] {
		apply(t, ch, plan.DestroyAddon{App: testApp, Addon: a}, plan.DestroyAddon{App: testApp, Addon: a})
	}
	if later = w.scoped(t, addonScope()); len(later.Addons) != 1 || later.Addons[0].Type != "tigris" {
		t.Errorf("left: %+v", later.Addons)
	}
}

func TestObserveAsksOncePerKindOfAddon(t *testing.T) {
	w := deployed(t, flysim.Options{})
	w.road.all = nil
	w.scoped(t, plan.Scope{Secrets: true, Certs: true, Commands: true, Egress: true, Addons: []machine.Addon{
		redis(), {Type: "redis", Name: "shop-cache", Secret: "CACHE_URL"}, bucket(),
	}})
	if got, want := len(w.road.all), 9; got != want {
		t.Errorf("%d requests, want %d: %v", got, want, w.road.all)
	}
}

func TestAddonThatTheMachinesNameIsObservedWhereItIsAskedFor(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	marked := create("shop-app-ams-1", imageOne)
	marked.Config.Metadata[plan.MetaAddons] = "redis/shop-redis tigris/shop-files"
	apply(t, ch, plan.CreateAddon{App: testApp, Org: "personal", Addon: redis()}, marked)
	if o := w.scoped(t, plan.Scope{}); len(o.Addons) != 0 {
		t.Errorf("nobody asked, and there is %+v", o.Addons)
	}
	if o := w.scoped(t, plan.Scope{Recorded: true}); len(o.Addons) != 1 || o.Addons[0].Name != "shop-redis" || o.Addons[0].Values != nil {
		t.Errorf("recorded: %+v", o.Addons)
	}
	if o := w.scoped(t, plan.Scope{Recorded: true, Addons: []machine.Addon{redis()}}); len(o.Addons) != 1 || o.Addons[0].Values == nil {
		t.Errorf("recorded and wanted: %+v", o.Addons)
	}
}

func TestPlanOfAnAddonIsFoundByWhatItIsCalled(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	a := redis()
	a.Plan = "fixed_250mb"
	apply(t, ch, plan.CreateAddon{App: testApp, Org: "personal", Addon: a})
	a.Name, a.Plan = "other", "enormous"
	err := ch.Apply(t.Context(), plan.CreateAddon{App: testApp, Org: "personal", Addon: a})
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "Pay-as-you-go, Fixed 250MB") {
		t.Errorf("plan that does not exist: %v", err)
	}
}

func TestBucketNameOfSomebodyElseIsRejected(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	ch := begin(t, w.client(t))
	apply(t, ch, plan.CreateApp{App: testApp, Org: "personal"})
	other, err := w.client(t).Begin(t.Context(), "other", plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, other, plan.CreateApp{App: "other", Org: "team"}, plan.CreateAddon{App: "other", Org: "team", Addon: bucket()})
	_ = other.Close()
	err = ch.Apply(t.Context(), plan.CreateAddon{App: testApp, Org: "personal", Addon: bucket()})
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "belongs to somebody else") {
		t.Errorf("create: %v", err)
	}
}

func TestLostAnswerMakesNoSecondAddonAndKeepsTheKeys(t *testing.T) {
	for _, a := range []machine.Addon{redis(), bucket(), postgres()} {
		for _, status := range []int{0, 408, 500, 503} {
			w := deployed(t, flysim.Options{})
			ch := begin(t, w.client(t), addonScope())
			w.road.breaks(
				&fault{method: http.MethodPost, path: `/graphql$`, says: "createAddOn", nth: 1, status: status, after: true},
				&fault{method: http.MethodPost, path: `/postgresv2$`, nth: 1, status: status, after: true},
			)
			apply(t, ch, plan.CreateAddon{App: testApp, Org: "personal", Addon: a})
			o, err := ch.Look(t.Context())
			if err != nil || len(o.Addons) != 1 || len(o.Addons[0].Values) == 0 {
				t.Errorf("%s after %d: %+v, %v", a.Type, status, o.Addons, err)
			}
		}
	}
}

func TestEgressAddressesAreAllocatedByRegionAndGivenBack(t *testing.T) {
	w := deployed(t, flysim.Options{})
	for _, scope := range []plan.Scope{{Egress: true}, {}} {
		ch := begin(t, w.client(t), scope)
		step := plan.AllocateIP{App: testApp, IP: machine.IP{Type: "egress", Region: "ams"}}
		apply(t, ch, step, step, plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v6"}})
		_ = ch.Close()
	}
	if got := w.road.written(); len(got) != 2 {
		t.Errorf("writes: %v, want one pair and one address", got)
	}
	ch := begin(t, w.client(t), plan.Scope{Egress: true})
	pair := 0
	for _, ip := range ch.Observed().IPs {
		if !ip.Egress {
			continue
		}
		pair++
		if ip.Region != "ams" {
			t.Errorf("address %+v", ip)
		}
		apply(t, ch, plan.ReleaseIP{App: testApp, Address: ip.Address})
	}
	if o := w.scoped(t, plan.Scope{Egress: true}); pair != 2 || len(o.IPs) != 1 || o.IPs[0].Egress {
		t.Errorf("%d egress addresses, then %+v", pair, o.IPs)
	}
}
