package flysim_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestExitFollowsRestartPolicy(t *testing.T) {
	for name, tc := range map[string]struct {
		code     int
		restart  *flygo.MachineRestart
		auto     bool
		state    string
		launches int
	}{
		"no":                  {1, &flygo.MachineRestart{Policy: "no"}, false, "stopped", 1},
		"failure, by default": {1, nil, false, "stopped", 11},
		"failure, limited":    {1, &flygo.MachineRestart{Policy: "on-failure", MaxRetries: 2}, false, "stopped", 3},
		"success":             {0, nil, false, "stopped", 1},
		"auto destroy":        {0, &flygo.MachineRestart{Policy: "no"}, true, "destroyed", 1},
		"failed, destroyed":   {3, &flygo.MachineRestart{Policy: "no"}, true, "destroyed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"once": {Exit: &tc.code, After: 10}}})
			s.Freeze()
			c := newApp(t, url, "exits")
			cfg := config("once:1")
			cfg.Restart, cfg.AutoDestroy = tc.restart, tc.auto
			m := launch(t, c, "exits", flygo.LaunchMachineInput{Config: cfg})
			s.Advance(2 * time.Minute)
			got := get(t, c, "exits", m.ID)
			if got.State != tc.state {
				t.Errorf("state %s, want %s", got.State, tc.state)
			}
			if n := machineIn(t, s, m.ID).Launches; n != tc.launches {
				t.Errorf("launched %d times, want %d", n, tc.launches)
			}
			exit := got.GetLatestEventOfType("exit")
			if exit == nil {
				t.Fatal("no exit event")
			}
			if code, err := exit.Request.GetExitCode(); err != nil || code != tc.code || exit.Request.ExitEvent.RequestedStop {
				t.Errorf("exit event %+v %v", exit.Request.ExitEvent, err)
			}
		})
	}
}

func TestAlwaysRestartsForever(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"once": {Exit: ptr(0), After: 10}}})
	s.Freeze()
	c := newApp(t, url, "exits")
	cfg := config("once")
	cfg.Restart = &flygo.MachineRestart{Policy: "always"}
	m := launch(t, c, "exits", flygo.LaunchMachineInput{Config: cfg})
	s.Advance(time.Hour)
	if n := machineIn(t, s, m.ID).Launches; n < 100 {
		t.Errorf("launched %d times in an hour", n)
	}
}

func TestScheduleStartsAgain(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"cron": {Exit: ptr(0), After: 100}}})
	s.Freeze()
	c := newApp(t, url, "cron")
	cfg := config("cron")
	cfg.Schedule = "hourly"
	m := launch(t, c, "cron", flygo.LaunchMachineInput{Config: cfg})
	s.Advance(time.Second)
	if got := machineIn(t, s, m.ID); got.Launches != 1 || got.State != "stopped" {
		t.Errorf("at first: %d launches, %s", got.Launches, got.State)
	}
	s.Advance(5 * time.Hour)
	if got := machineIn(t, s, m.ID); got.Launches != 6 {
		t.Errorf("after five hours: %d launches, want 6", got.Launches)
	}
}

func TestStandbyTakesOver(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "pair")
	first := launch(t, c, "pair", flygo.LaunchMachineInput{Name: "first", Config: config("worker")})
	cfg := config("worker")
	cfg.Standbys = []string{first.ID}
	second := launch(t, c, "pair", flygo.LaunchMachineInput{Name: "second", Config: cfg, SkipLaunch: true})
	waitFor(t, c, "pair", first.ID, "started")
	waitFor(t, c, "pair", second.ID, "stopped")
	control(t, http.MethodPost, url+"/_sim/machines/first/host", `{"status":"unreachable"}`)
	waitFor(t, c, "pair", second.ID, "started")
	lost := get(t, c, "pair", first.ID)
	if lost.Config != nil || lost.IncompleteConfig == nil || lost.HostStatus != "unreachable" {
		t.Errorf("a machine on a lost host has no config: %+v", lost)
	}
	if got := machineIn(t, s, second.ID); got.Launches != 1 {
		t.Errorf("%d launches of the standby", got.Launches)
	}
}

func TestChecksPassAfterAWhile(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"sick": {Checks: "critical"}}})
	s.Freeze()
	c := newApp(t, url, "checks")
	cfg := func(image string) *flygo.MachineConfig {
		out := config(image)
		out.Checks = map[string]flygo.MachineCheck{"alive": {Type: ptr("tcp"), Port: ptr(9000)}}
		out.Services = []flygo.MachineService{{Protocol: "tcp", InternalPort: 8080, Checks: []flygo.MachineServiceCheck{{Type: ptr("http"), HTTPPath: ptr("/")}}}}
		return out
	}
	m := launch(t, c, "checks", flygo.LaunchMachineInput{Config: cfg("nginx")})
	sick := launch(t, c, "checks", flygo.LaunchMachineInput{Config: cfg("sick")})
	s.Advance(40 * time.Millisecond)
	if got := get(t, c, "checks", m.ID); got.AllHealthChecks().Critical != 2 || got.Checks[1].Name != "servicecheck-00-http-8080" {
		t.Errorf("just started: %+v", got.Checks)
	}
	s.Advance(time.Second)
	if got := get(t, c, "checks", m.ID).AllHealthChecks(); !got.AllPassing() || got.Total != 2 {
		t.Errorf("later: %+v", got)
	}
	if got := get(t, c, "checks", sick.ID).AllHealthChecks(); got.Critical != 2 {
		t.Errorf("sick: %+v", got)
	}
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/checks", `{"status":"critical"}`)
	if got := get(t, c, "checks", m.ID).AllHealthChecks(); got.Critical != 2 {
		t.Errorf("held: %+v", got)
	}
}

func TestStartOfUnsettledMachineIsRefused(t *testing.T) {
	s, url := start(t, flysim.Options{})
	s.Freeze()
	c := newApp(t, url, "unsettled")
	m := launch(t, c, "unsettled", flygo.LaunchMachineInput{Config: config("nginx")})
	_, err := c.Start(t.Context(), "unsettled", m.ID, "")
	wantStatus(t, err, 412, "unable to start machine from current state: 'created'")
	s.Advance(time.Second)
	_, err = c.Update(t.Context(), "unsettled", flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx:2")}, "")
	need(t, err)
	_, err = c.Start(t.Context(), "unsettled", m.ID, "")
	wantStatus(t, err, 412, "unable to start machine from current state: 'replacing'")
}

func TestSkippedLaunchStaysStopped(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "skips")
	m := launch(t, c, "skips", flygo.LaunchMachineInput{Config: config("nginx"), SkipLaunch: true})
	waitFor(t, c, "skips", m.ID, "stopped")
	updated, err := c.Update(t.Context(), "skips", flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx:2"), SkipLaunch: true}, "")
	need(t, err)
	waitFor(t, c, "skips", m.ID, "stopped")
	if updated.InstanceID == m.InstanceID || machineIn(t, s, m.ID).Launches != 0 {
		t.Error("an update with skip_launch makes a version that does not run")
	}
	_, err = c.Start(t.Context(), "skips", m.ID, "")
	need(t, err)
	waitFor(t, c, "skips", m.ID, "started")
}

func TestProxyStopsAndWakes(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "idle")
	cfg := config("nginx")
	cfg.Services = []flygo.MachineService{{Protocol: "tcp", InternalPort: 80, Autostop: ptr(flygo.MachineAutostopSuspend)}}
	m := launch(t, c, "idle", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "idle", m.ID, "started")
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/autostop", "")
	waitFor(t, c, "idle", m.ID, "suspended")
	l, err := c.AcquireLease(t.Context(), "idle", m.ID, ptr(10))
	need(t, err)
	if status, _ := raw(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/autostart", ""); status != http.StatusConflict {
		t.Errorf("a leased machine was woken: %d", status)
	}
	need(t, c.ReleaseLease(t.Context(), "idle", m.ID, l.Data.Nonce))
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/autostart", "")
	waitFor(t, c, "idle", m.ID, "started")
}

func TestWedgedMachineDoesNotMove(t *testing.T) {
	s, url := start(t, flysim.Options{})
	s.Freeze()
	c := newApp(t, url, "wedged")
	m := launch(t, c, "wedged", flygo.LaunchMachineInput{Config: config("nginx")})
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/wedge", "")
	s.Advance(time.Hour)
	if got := get(t, c, "wedged", m.ID); got.State == "started" {
		t.Errorf("it is %s", got.State)
	}
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/unwedge", "")
	s.Advance(time.Second)
	if got := get(t, c, "wedged", m.ID); got.State != "started" {
		t.Errorf("unwedged it is %s", got.State)
	}
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/kill", `{"oom":true}`)
	exit := get(t, c, "wedged", m.ID).GetLatestEventOfType("exit")
	if exit == nil || !exit.Request.ExitEvent.OOMKilled || exit.Request.ExitEvent.ExitCode != 137 || !exit.Request.ExitEvent.Restarting {
		t.Errorf("killed: %+v", exit)
	}
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/vanish", "")
	if got := get(t, c, "wedged", m.ID); got.State != "destroyed" {
		t.Errorf("vanished it is %s", got.State)
	}
}

func TestStartIsKnownByItsEvents(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "events")
	m := launch(t, c, "events", flygo.LaunchMachineInput{Config: config("nginx")})
	waitFor(t, c, "events", m.ID, "started")
	if at, err := get(t, c, "events", m.ID).MostRecentStartTimeAfterLaunch(); err != nil || at.IsZero() {
		t.Errorf("started at %s %v", at, err)
	}
	_, err := c.Update(t.Context(), "events", flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx:2")}, "")
	need(t, err)
	waitFor(t, c, "events", m.ID, "started")
	var kinds []string
	for _, e := range get(t, c, "events", m.ID).Events {
		kinds = append(kinds, e.Type)
	}
	if want := []string{"start", "launch", "update", "start", "launch"}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

func TestConfigIsEchoedWithQuirks(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "echo")
	v, err := c.CreateVolume(t.Context(), "echo", flygo.CreateVolumeRequest{Name: "data", Region: "ams", SizeGb: ptr(3)})
	need(t, err)
	body := `{"region":"ams","config":{"image":"registry.fly.io/echo:7@sha256:` + sum + `","new_key":{"a":[1]},"services":[{"protocol":"tcp","internal_port":80,"autostop":"stop","force_instance_key":null}],
		"mounts":[{"volume":"` + v.ID + `","path":"/data"}],"guest":{"cpus":2,"memory_mb":512}}}`
	status, text := raw(t, http.MethodPost, url+"/v1/apps/echo/machines", body)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	m := decode[flygo.Machine](t, []byte(text))
	if m.ImageRef.Digest != "sha256:"+sum || m.ImageRef.Tag != "7" || m.ImageRef.Repository != "echo" || m.ImageRef.Registry != "registry.fly.io" {
		t.Errorf("image %+v", m.ImageRef)
	}
	got := decode[map[string]any](t, machineIn(t, s, m.ID).Config)
	want := decode[map[string]any](t, []byte(`{"image":"registry.fly.io/echo:7@sha256:`+sum+`","dns":{},"init":{},"new_key":{"a":[1]},"services":[{"protocol":"tcp","internal_port":80,"autostop":true,"force_instance_key":null}],
		"mounts":[{"volume":"`+v.ID+`","path":"/data","name":"data","encrypted":true,"size_gb":3}],"guest":{"cpu_kind":"shared","cpus":2,"memory_mb":512}}`))
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
