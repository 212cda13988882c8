package fly

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/plan"
)

const (
	testToken = "fo1_a-token-that-nobody-may-see"
	testApp   = "shop"
	imageOne  = "registry.fly.io/shop@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	imageTwo  = "registry.fly.io/shop@sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

type world struct {
	sim  *flysim.Server
	road *road
	url  string
}

func newWorld(t *testing.T, o flysim.Options) *world {
	t.Helper()
	o.Tokens = []string{testToken}
	sim := flysim.New(o)
	w := &world{sim: sim, road: &road{to: sim}}
	srv := httptest.NewUnstartedServer(w.road)
	srv.Config.ErrorLog = nil
	srv.Start()
	w.url = srv.URL
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// client is a deployer in a hurry.
func (w *world) client(t *testing.T, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{
		Token: testToken, BaseURL: w.url, LeaseTTL: 30 * time.Second, LeaseWait: 20 * time.Second,
		Smoke: 30 * time.Millisecond, Lag: 150 * time.Millisecond, Poll: 20 * time.Millisecond,
		Transport: &http.Transport{},
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func begin(t *testing.T, c *Client, scope ...plan.Scope) *Change {
	t.Helper()
	ch, err := c.Begin(t.Context(), testApp, append(scope, plan.Scope{})[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.Close() })
	return ch
}

func apply(t *testing.T, ch *Change, steps ...plan.Step) {
	t.Helper()
	for _, s := range steps {
		if err := ch.Apply(t.Context(), s); err != nil {
			t.Fatalf("%T: %v", s, err)
		}
	}
}

func config(image string) *flygo.MachineConfig {
	port, kind, path := 8080, "http", "/"
	return &flygo.MachineConfig{
		Image: image,
		Env:   map[string]string{"GREETING": "hello"},
		Guest: &flygo.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256},
		Metadata: map[string]string{
			"fly_process_group": "app", "fly_platform_version": "v2", "flycd_digest": image,
		},
		Services: []flygo.MachineService{{
			Protocol: "tcp", InternalPort: 8080,
			Ports:  []flygo.MachinePort{{Port: &port, Handlers: []string{"http"}}},
			Checks: []flygo.MachineServiceCheck{{Type: &kind, HTTPPath: &path}},
		}},
	}
}

func create(name, image string) plan.CreateMachine {
	return plan.CreateMachine{App: testApp, Name: name, Group: "app", Region: "ams", Config: config(image)}
}

func proof(name, image string) plan.Proof {
	return plan.Proof{App: testApp, WaitTimeout: 5 * time.Second, Machines: []plan.ProofMachine{{
		Name: name, Group: "app", Digest: image[len("registry.fly.io/shop@"):], Config: config(image),
	}}}
}

// impatient lets the time of a lease pass as soon as somebody is refused it.
func (w *world) impatient() {
	w.road.held = func() { w.sim.Advance(31 * time.Second) }
}

// deployed is a world with one machine that runs image one, and nobody at work.
func deployed(t *testing.T, o flysim.Options) *world {
	t.Helper()
	w := newWorld(t, o)
	ch := begin(t, w.client(t))
	apply(t, ch, plan.CreateApp{App: testApp, Org: "personal"}, create("shop-app-ams-0", imageOne))
	if len(o.Images) == 0 {
		if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageOne)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	w.road.written()
	return w
}

// machines are the simulator's, whatever the road is like.
func (w *world) machines(t *testing.T) []plan.Machine {
	t.Helper()
	return w.observed(t).Machines
}

func (w *world) observed(t *testing.T) plan.Observed {
	t.Helper()
	srv := httptest.NewServer(w.sim)
	defer srv.Close()
	c, err := New(t.Context(), Options{Token: testToken, BaseURL: srv.URL, Transport: &http.Transport{DisableKeepAlives: true}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Observe(t.Context(), testApp, plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func update(m plan.Machine, image string) plan.UpdateMachine {
	return plan.UpdateMachine{App: testApp, Machine: m, Config: config(image)}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
