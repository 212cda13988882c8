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
	ch, err := w.client(t, hurried).Begin(t.Context(), testApp, plan.Scope{})
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
