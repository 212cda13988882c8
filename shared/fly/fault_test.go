package fly

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

func mount() flygo.MachineMount { return flygo.MachineMount{Name: "data", Path: "/data"} }

// hurried gives up soon.
func hurried(o *Options) { o.LeaseWait, o.Lag = 5*time.Second, 60*time.Millisecond }

// faultsOf is every way in which one request can go wrong. Nth says which of the request's repeats.
func faultsOf(method, path string) []*fault {
	var out []*fault
	bodies := map[int]string{
		408: `{"error":"request timed out"}`,
		409: `{"error":"aborted: conflict"}`,
		412: `{"error":"failed_precondition: min_secrets_version 3 is not yet available on this app"}`,
		422: `{"error":"invalid_argument: no"}`,
		429: `{"error":"rate limit exceeded"}`,
		500: `{"error":"internal"}`, 502: `<html>`, 503: ``, 0: ``,
	}
	for status, body := range bodies {
		for _, after := range []bool{false, true} {
			f := fault{method: method, path: path, nth: 1, status: status, body: body, after: after}
			if status == http.StatusTooManyRequests {
				f.header = http.Header{"Retry-After": {"0"}}
			}
			out = append(out, &f)
			if status == 0 || status == 429 || status == 503 {
				always := f
				always.nth = 0
				out = append(out, &always)
			}
		}
	}
	return out
}

func (f *fault) String() string {
	when, what, often := "before", fmt.Sprint(f.status), "once"
	if f.after {
		when = "after"
	}
	if f.status == 0 {
		what = "cut"
	}
	if f.nth == 0 {
		often = "always"
	}
	return what + " " + when + " " + often
}

// tried is a step that meets a fault.
type tried struct {
	name         string
	method, path string
	before       []plan.Step
	step         func(plan.Observed) plan.Step
	// counts is how many machines, volumes and addresses there are when it is true.
	machines, volumes, ips int
	image                  string
}

func triedSteps() []tried {
	app := []plan.Step{plan.CreateApp{App: testApp, Org: "personal"}}
	full := append(app, create("shop-app-ams-0", imageOne))
	return []tried{
		{
			name: "create machine", method: http.MethodPost, path: `/machines$`, before: app, machines: 1, image: imageOne,
			step: func(plan.Observed) plan.Step { return create("shop-app-ams-0", imageOne) },
		},
		{
			name: "update", method: http.MethodPost, path: `/machines/[0-9a-f]{14}$`, before: full, machines: 1, image: imageTwo,
			step: func(o plan.Observed) plan.Step { return update(o.Machines[0], imageTwo) },
		},
		{
			name: "destroy", method: http.MethodDelete, path: `/machines/[0-9a-f]{14}$`, before: full,
			step: func(o plan.Observed) plan.Step {
				if len(o.Machines) == 0 {
					return nil
				}
				return plan.DestroyMachine{App: testApp, Machine: o.Machines[0]}
			},
		},
		{
			name: "create volume", method: http.MethodPost, path: `/volumes$`, before: full, machines: 1, volumes: 1, image: imageOne,
			step: func(plan.Observed) plan.Step {
				return plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"}
			},
		},
		{
			name: "allocate address", method: http.MethodPost, path: `/ip_assignments$`, before: full, machines: 1, ips: 1, image: imageOne,
			step: func(plan.Observed) plan.Step { return plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v4"}} },
		},
		{
			name: "create app", method: http.MethodPost, path: `/apps$`,
			step: func(plan.Observed) plan.Step { return plan.CreateApp{App: testApp, Org: "personal"} },
		},
		{
			name: "lease", method: http.MethodPost, path: `/lease$`, before: full, machines: 1, image: imageTwo,
			step: func(o plan.Observed) plan.Step { return update(o.Machines[0], imageTwo) },
		},
		{
			name: "list machines", method: http.MethodGet, path: `/machines$`, before: full, machines: 2, image: imageOne,
			step: func(plan.Observed) plan.Step { return create("shop-app-ams-1", imageOne) },
		},
	}
}

// TestFaultIsSuccessOrRepairedByTheNextRun: whatever becomes of a request, the step ends in success or
// in an error, and a run without faults repairs it; nothing is ever there twice.
func TestFaultIsSuccessOrRepairedByTheNextRun(t *testing.T) {
	// most of the time is spent waiting for leases to run out, so many run side by side
	slots, all := make(chan struct{}, 32), sync.WaitGroup{}
	for _, s := range triedSteps() {
		for _, f := range faultsOf(s.method, s.path) {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				t.Run(s.name+" "+f.String(), func(t *testing.T) { meet(t, s, f) })
			})
		}
	}
	all.Wait()
}

func meet(t *testing.T, s tried, f *fault) {
	t.Helper()
	w := newWorld(t, flysim.Options{})
	w.impatient()
	for _, step := range s.before {
		ch := begin(t, w.client(t))
		apply(t, ch, step)
		_ = ch.Close()
	}
	w.road.breaks(f)
	first := w.run(t, s)
	w.check(t, s, f, first)
	w.road.breaks()
	if err := w.run(t, s); err != nil {
		t.Fatalf("the next run does not repair it: %v (before: %v)", err, first)
	}
	w.count(t, s)
}

func (w *world) run(t *testing.T, s tried) error {
	t.Helper()
	ch, err := w.client(t, hurried).Begin(t.Context(), testApp)
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	step := s.step(ch.Observed())
	if step == nil {
		return nil
	}
	return ch.Apply(t.Context(), step)
}

// check holds the first run to its word: success means that it happened, and no error tells secrets
// or is final where it should not be.
func (w *world) check(t *testing.T, s tried, f *fault, err error) {
	t.Helper()
	if err == nil {
		w.count(t, s)
		return
	}
	if got := errors.Is(err, job.ErrRejected); got != (f.status == 422) {
		t.Errorf("rejected: %v, by %v", got, err)
	}
	for _, secret := range []string{testToken, "GREETING"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %s: %v", secret, err)
		}
	}
	if f.nth == 1 && f.status != 422 && f.status != 409 && s.name != "lease" {
		t.Errorf("one passing fault fails the step: %v", err)
	}
}

func (w *world) count(t *testing.T, s tried) {
	t.Helper()
	o := w.observed(t)
	if !o.Exists || len(o.Machines) != s.machines || len(o.Volumes) != s.volumes || len(o.IPs) != s.ips {
		t.Errorf("exists %v, machines %d, volumes %d, addresses %d; want %d, %d, %d",
			o.Exists, len(o.Machines), len(o.Volumes), len(o.IPs), s.machines, s.volumes, s.ips)
	}
	for _, m := range o.Machines {
		if m.Config.Image != s.image {
			t.Errorf("machine %s has image %s", m.Name, m.Config.Image)
		}
	}
}

func TestGatewayErrorDoesNotDoubleAPost(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	w.road.breaks(&fault{method: http.MethodPost, path: `/machines/[0-9a-f]{14}$`, nth: 1, status: 503, after: true})
	apply(t, ch, update(ch.Observed().Machines[0], imageTwo))
	if got := w.road.written(); len(got) != 1 {
		t.Errorf("writes: %v, want one", got)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	w.road.breaks(&fault{
		method: http.MethodPost, path: `/machines/[0-9a-f]{14}$`, nth: 1, status: 429, header: http.Header{"Retry-After": {"1"}},
	})
	start := time.Now()
	apply(t, ch, update(ch.Observed().Machines[0], imageTwo))
	if took := time.Since(start); took < time.Second {
		t.Errorf("came again after %v", took)
	}
}

func TestLateListsAndNewMachinesThatHide(t *testing.T) {
	w := newWorld(t, flysim.Options{Lag: flysim.Lag{List: 50 * time.Millisecond, Create: 50 * time.Millisecond}})
	w.impatient()
	ch := begin(t, w.client(t))
	w.road.breaks(&fault{method: http.MethodPost, path: `/machines$`, nth: 1, after: true})
	apply(t, ch, plan.CreateApp{App: testApp, Org: "personal"})
	apply(t, ch, create("shop-app-ams-0", imageOne))
	if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageOne)); err != nil {
		t.Error(err)
	}
	if got := w.machines(t); len(got) != 1 {
		t.Errorf("%d machines, want 1", len(got))
	}
}

func TestRefusalsAreSentences(t *testing.T) {
	cases := []struct {
		name string
		f    fault
		step func(plan.Observed) plan.Step
		is   []error
		says string
	}{
		{
			"capacity",
			fault{method: http.MethodPost, path: `/machines$`, status: 412, body: `{"error":"insufficient resources to create new machine with existing volume","status":"insufficient_capacity"}`},
			func(plan.Observed) plan.Step { return create("shop-app-ams-1", imageOne) },
			[]error{ErrCapacity},
			"no room",
		},
		{
			"capacity by sentence",
			fault{method: http.MethodPost, path: `/machines$`, status: 503, body: `{"error":"unavailable: could not reserve resource for machine"}`},
			func(plan.Observed) plan.Step { return create("shop-app-ams-1", imageOne) },
			[]error{ErrCapacity},
			"no room",
		},
		{
			"invalid",
			fault{method: http.MethodPost, path: `/machines$`, status: 422, body: `{"error":"invalid_argument: guest.memory_mb is odd"}`},
			func(plan.Observed) plan.Step { return create("shop-app-ams-1", imageOne) },
			[]error{job.ErrRejected},
			"memory_mb is odd",
		},
		{
			"token",
			fault{method: http.MethodPost, path: `/machines$`, status: 401, body: `{"error":"unauthorized"}`},
			func(plan.Observed) plan.Step { return create("shop-app-ams-1", imageOne) },
			[]error{job.ErrRejected, ErrRefused},
			"FLY_API_TOKEN",
		},
		{
			"version",
			fault{method: http.MethodPost, path: `/machines/[0-9a-f]{14}$`, status: 412, body: `{"error":"machine version mismatch: current_version"}`},
			func(o plan.Observed) plan.Step { return update(o.Machines[0], imageTwo) }, nil, "version",
		},
		{
			"lease",
			fault{method: http.MethodPost, path: `/machines/[0-9a-f]{14}$`, status: 409, body: `{"error":"aborted: machine ID x lease currently held by y@tokens.fly.io"}`},
			func(o plan.Observed) plan.Step { return update(o.Machines[0], imageTwo) },
			[]error{ErrLeased},
			"somebody else",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := deployed(t, flysim.Options{})
			ch := begin(t, w.client(t))
			w.road.breaks(&c.f)
			err := ch.Apply(t.Context(), c.step(ch.Observed()))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want one that says %q", err, c.says)
			}
			for _, want := range c.is {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			if rejected := errors.Is(err, job.ErrRejected); rejected != (c.name == "invalid" || c.name == "token") {
				t.Errorf("rejected: %v (%v)", rejected, err)
			}
			if c.name != "token" && len(w.road.written()) != 1 {
				t.Error("a clear refusal was tried again")
			}
		})
	}
}

func TestNameOfSomebodyElseIsRejected(t *testing.T) {
	w := newWorld(t, flysim.Options{Foreign: []string{testApp}})
	_, err := w.client(t).Observe(t.Context(), testApp)
	if !errors.Is(err, job.ErrRejected) || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "belongs to somebody else") {
		t.Errorf("observe: %v", err)
	}
	if _, err := w.client(t).Begin(t.Context(), "../apps"); !errors.Is(err, job.ErrRejected) {
		t.Errorf("a name that is a path: %v", err)
	}
	_, err = w.client(t, func(o *Options) { o.Token = "fo1_wrong" }).Observe(t.Context(), testApp)
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "FLY_API_TOKEN") {
		t.Errorf("wrong token: %v", err)
	}
	if _, err := New(t.Context(), Options{}); !errors.Is(err, job.ErrRejected) {
		t.Errorf("no token: %v", err)
	}
}

func TestNameThatIsTakenIsRejected(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	ch := begin(t, w.client(t))
	w.sim.Foreign(testApp)
	err := ch.Apply(t.Context(), plan.CreateApp{App: testApp, Org: "personal"})
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("create app: %v", err)
	}
}

func TestFlyThatIsDownIsASentence(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	c := w.client(t, func(o *Options) { o.BaseURL = "http://127.0.0.1:1" })
	_, err := c.Observe(t.Context(), testApp)
	if err == nil || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "Fly did not answer") {
		t.Errorf("observe: %v", err)
	}
}
