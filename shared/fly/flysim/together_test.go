package flysim_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// together runs f many times at once.
func together(n int, f func()) {
	var all sync.WaitGroup
	gate := make(chan struct{})
	for range n {
		all.Go(func() {
			<-gate
			f()
		})
	}
	close(gate)
	all.Wait()
}

func TestOneOfManyCreatesWins(t *testing.T) {
	s, url := start(t, flysim.Options{})
	newApp(t, url, "race")
	var made, refused atomic.Int32
	together(20, func() {
		switch status, _ := raw(t, http.MethodPost, url+"/v1/apps/race/machines", `{"name":"r-1","config":{"image":"nginx"}}`); status {
		case 200:
			made.Add(1)
		case 409:
			refused.Add(1)
		}
	})
	if made.Load() != 1 || refused.Load() != 19 || len(s.State().Apps[0].Machines) != 1 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
}

func TestOneOfManyHoldsTheLease(t *testing.T) {
	s, url := start(t, flysim.Options{})
	newApp(t, url, "race")
	raw(t, http.MethodPost, url+"/v1/apps/race/machines", oneMachine)
	id := s.State().Apps[0].Machines[0].ID
	var held atomic.Int32
	together(20, func() {
		if status, _ := raw(t, http.MethodPost, url+"/v1/apps/race/machines/"+id+"/lease?ttl=30", ""); status == 201 {
			held.Add(1)
		}
	})
	if held.Load() != 1 {
		t.Errorf("%d hold the lease", held.Load())
	}
}

func TestCloseEndsWaits(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"stuck": {Stuck: true}}})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("stuck")})
	over := make(chan error, 1)
	go func() { over <- c.Wait(t.Context(), "waits", m.ID, flaps.WithWaitTimeout(time.Minute)) }()
	get(t, c, "waits", m.ID)
	need(t, s.Close())
	if err := <-over; err == nil {
		t.Error("the wait was met")
	}
}

// TestForeignClockIsFollowed: a clock that the simulator cannot hear moving is looked at.
func TestForeignClockIsFollowed(t *testing.T) {
	var offset atomic.Int64
	_, url := start(t, flysim.Options{
		Now: func() time.Time { return time.Unix(1_800_000_000+offset.Load(), 0) }, Boot: 10 * time.Second,
	})
	c := newApp(t, url, "clock")
	m := launch(t, c, "clock", flygo.LaunchMachineInput{Config: config("nginx")})
	if got := get(t, c, "clock", m.ID); got.State != "created" || got.CreatedAt != "2027-01-15T08:00:00Z" {
		t.Errorf("%s at %s", got.State, got.CreatedAt)
	}
	over := make(chan error, 1)
	go func() { over <- c.Wait(t.Context(), "clock", m.ID, flaps.WithWaitTimeout(time.Minute)) }()
	offset.Store(11)
	need(t, <-over)
}

func TestClockIsMovedOverTheWire(t *testing.T) {
	s, url := start(t, flysim.Options{})
	control(t, http.MethodPost, url+"/_sim/clock", `{"freeze":true}`)
	before := s.Now()
	control(t, http.MethodPost, url+"/_sim/clock", `{"advance":"90m"}`)
	if got := s.Now().Sub(before); got != 90*time.Minute {
		t.Errorf("moved by %s", got)
	}
	control(t, http.MethodPost, url+"/_sim/clock", `{"freeze":false}`)
	if s.Now().Before(before.Add(90 * time.Minute)) {
		t.Error("the clock fell back")
	}
	for _, body := range []string{`{"advance":"soon"}`, `{"advance":"-1s"}`, `[`} {
		if status, _ := raw(t, http.MethodPost, url+"/_sim/clock", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d", body, status)
		}
	}
}

func TestWorldIsChangedOverTheWire(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "world")
	control(t, http.MethodPut, url+"/_sim/images", `{"bad:1":{"exit":1,"after_ms":5},"none":{"missing":true}}`)
	control(t, http.MethodPost, url+"/_sim/foreign", `{"name":"theirs"}`)
	cfg := config("bad:1")
	cfg.Restart = &flygo.MachineRestart{Policy: "no"}
	m := launch(t, c, "world", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "world", m.ID, "stopped")
	_, err := c.Launch(t.Context(), "world", flygo.LaunchMachineInput{Region: "ams", Config: config("none:1")})
	wantStatus(t, err, 400, "manifest unknown")
	_, err = c.GetApp(t.Context(), "theirs")
	wantStatus(t, err, 403, "unauthorized")

	s.Freeze()
	control(t, http.MethodPut, url+"/_sim/lag", `{"list_ms":5000}`)
	list, err := c.List(t.Context(), "world", "")
	need(t, err)
	if len(list) != 1 {
		t.Errorf("lag hides what was there: %d machines", len(list))
	}
	if status, _ := raw(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/dance", ""); status != http.StatusNotFound {
		t.Errorf("unknown order: %d", status)
	}
	if status, _ := raw(t, http.MethodPost, url+"/_sim/machines/beef/kill", ""); status != http.StatusNotFound {
		t.Errorf("unknown machine: %d", status)
	}
	status, body := raw(t, http.MethodPost, url+"/_sim/tokens", `{"org":"personal"}`)
	token := decode[struct{ Token string }](t, []byte(body)).Token
	if status != 200 || token == "" {
		t.Fatalf("token: %d %s", status, body)
	}
	if status, _ := raw(t, http.MethodGet, url+"/v1/apps/world", ""); status != http.StatusUnauthorized {
		t.Errorf("without it: %d", status)
	}
	if status, _ := raw(t, http.MethodGet, url+"/v1/apps/world", "", "Authorization", "FlyV1 "+token); status != 200 {
		t.Errorf("with it: %d", status)
	}
}
