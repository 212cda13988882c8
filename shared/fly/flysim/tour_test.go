package flysim_test

import (
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestMachineLivesAndDies(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "tour")
	m := launch(t, c, "tour", flygo.LaunchMachineInput{Name: "one", Config: config("nginx:1.27")})
	if m.State != "created" || m.InstanceID == "" || m.Config.Guest.MemoryMB != 256 || m.Config.DNS == nil {
		t.Errorf("created: %+v %+v", m, m.Config)
	}
	waitFor(t, c, "tour", m.ID, "started")
	need(t, c.Stop(t.Context(), "tour", flygo.StopMachineInput{ID: m.ID}, ""))
	waitFor(t, c, "tour", m.ID, "stopped")
	_, err := c.Start(t.Context(), "tour", m.ID, "")
	need(t, err)
	waitFor(t, c, "tour", m.ID, "started")
	need(t, c.Suspend(t.Context(), "tour", m.ID, ""))
	waitFor(t, c, "tour", m.ID, "suspended")
	_, err = c.Start(t.Context(), "tour", m.ID, "")
	need(t, err)
	waitFor(t, c, "tour", m.ID, "started")

	in := flygo.LaunchMachineInput{ID: m.ID, Region: "ams", Config: config("nginx:1.28")}
	updated, err := c.Update(t.Context(), "tour", in, "")
	need(t, err)
	if updated.InstanceID == m.InstanceID || updated.State != "replacing" {
		t.Errorf("update answers before the swap, with a new version: %s %s", updated.State, updated.InstanceID)
	}
	waitFor(t, c, "tour", m.ID, "started")
	need(t, c.Restart(t.Context(), "tour", flygo.RestartMachineInput{ID: m.ID, Timeout: time.Second}, ""))
	waitFor(t, c, "tour", m.ID, "started")

	err = c.Destroy(t.Context(), "tour", flygo.RemoveMachineInput{ID: m.ID}, "")
	wantStatus(t, err, 412, "not currently stopped")
	need(t, c.Destroy(t.Context(), "tour", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, ""))
	waitFor(t, c, "tour", m.ID, "destroyed")
	if got := get(t, c, "tour", m.ID); got.State != "destroyed" {
		t.Errorf("a destroyed machine can still be read, got %s", got.State)
	}
	list, err := c.List(t.Context(), "tour", "")
	need(t, err)
	if len(list) != 0 {
		t.Errorf("lists leave destroyed machines out, got %d", len(list))
	}
	s.Advance(time.Hour)
	_, err = c.Get(t.Context(), "tour", m.ID)
	wantStatus(t, err, 404, "machine not found")
}
