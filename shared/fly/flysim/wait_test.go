package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestWaitExpires(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"stuck": {Stuck: true}}})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("stuck:1")})
	s.Freeze()
	over := make(chan error, 1)
	go func() { over <- c.Wait(t.Context(), "waits", m.ID, flaps.WithWaitTimeout(30*time.Second)) }()
	for range 100 {
		s.Advance(time.Second) // the wait began somewhere in these
		time.Sleep(time.Millisecond)
	}
	wantStatus(t, <-over, http.StatusRequestTimeout, "machine failed to reach desired state, started, currently created")
}

func TestWaitRefusesBadQuestions(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("nginx")})
	for query, text := range map[string]string{
		"timeout=0": "timeout must be between", "timeout=61": "timeout must be between", "timeout=soon": "timeout must be between", "state=happy": "unsupported state",
	} {
		status, body := raw(t, http.MethodGet, url+"/v1/apps/waits/machines/"+m.ID+"/wait?"+query, "")
		if status != http.StatusBadRequest || !strings.Contains(body, text) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	if status, _ := raw(t, http.MethodGet, url+"/v1/apps/waits/machines/beef/wait", ""); status != http.StatusNotFound {
		t.Errorf("unknown machine: %d", status)
	}
}

func TestWaitForVersionIgnoresTheOldOne(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("nginx:1")})
	waitFor(t, c, "waits", m.ID, "started")
	s.Freeze()
	updated, err := c.Update(t.Context(), "waits", flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx:2")}, "")
	need(t, err)
	over := make(chan error, 1)
	go func() {
		over <- c.Wait(t.Context(), "waits", m.ID, flaps.WithWaitStates("settled"), flaps.WithWaitVersion(updated.InstanceID), flaps.WithWaitTimeout(20*time.Second))
	}()
	if got := get(t, c, "waits", m.ID); got.State != "replacing" {
		t.Errorf("state %s while the clock stands still", got.State)
	}
	s.Advance(time.Second)
	need(t, <-over)
	if got := get(t, c, "waits", m.ID); got.State != "started" || got.InstanceID != updated.InstanceID || got.ImageRef.Tag != "2" {
		t.Errorf("after the swap: %s %s %s", got.State, got.InstanceID, got.ImageRef.Tag)
	}
}

func TestWaitForReplacedVersionExpires(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("nginx:1")})
	waitFor(t, c, "waits", m.ID, "started")
	_, err := c.Update(t.Context(), "waits", flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx:2")}, "")
	need(t, err)
	waitFor(t, c, "waits", m.ID, "started")
	err = c.Wait(t.Context(), "waits", m.ID, flaps.WithWaitVersion(m.InstanceID), flaps.WithWaitTimeout(time.Second))
	wantStatus(t, err, http.StatusRequestTimeout, "failed to reach desired state")
}

func TestWaitForEventSeesWhatIsOver(t *testing.T) {
	_, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"job": {Exit: ptr(0)}}})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("job")})
	waitFor(t, c, "waits", m.ID, "stopped")
	events := get(t, c, "waits", m.ID).Events
	if len(events) == 0 {
		t.Fatal("no events")
	}
	need(t, c.Wait(t.Context(), "waits", m.ID, flaps.WithWaitStates("started"), flaps.WithWaitFromEventID("0"), flaps.WithWaitTimeout(time.Second)))
}

func TestWaitOnDestroyedMachineIsNotFound(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "waits")
	m := launch(t, c, "waits", flygo.LaunchMachineInput{Config: config("nginx")})
	need(t, c.Destroy(t.Context(), "waits", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, ""))
	waitFor(t, c, "waits", m.ID, "destroyed")
	wantStatus(t, c.Wait(t.Context(), "waits", m.ID, flaps.WithWaitTimeout(time.Second)), http.StatusNotFound, "destroyed")
}
