package fly

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

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
	_, err := w.client(t).Observe(t.Context(), testApp, plan.Scope{})
	if !errors.Is(err, job.ErrRejected) || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "belongs to somebody else") {
		t.Errorf("observe: %v", err)
	}
	if _, err := w.client(t).Begin(t.Context(), "../apps", plan.Scope{}); !errors.Is(err, job.ErrRejected) {
		t.Errorf("a name that is a path: %v", err)
	}
	_, err = w.client(t, func(o *Options) { o.Token = "fo1_wrong" }).Observe(t.Context(), testApp, plan.Scope{})
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
	_, err := c.Observe(t.Context(), testApp, plan.Scope{})
	if err == nil || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "Fly did not answer") {
		t.Errorf("observe: %v", err)
	}
}
