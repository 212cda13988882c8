package fly

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/plan"
)

func TestProofFailsUnlessAllOfItIsTrue(t *testing.T) {
	one, zero := 1, 0
	cases := []struct {
		name  string
		sim   flysim.Options
		spoil func(*plan.Proof)
		says  string
	}{
		{"wrong digest", flysim.Options{}, func(p *plan.Proof) { p.Machines[0].Digest = "sha256:ab" }, "runs image"},
		{"wrong config", flysim.Options{}, func(p *plan.Proof) { p.Machines[0].Config.Env["GREETING"] = "bye" }, "env.GREETING"},
		{"config that is missing", flysim.Options{}, func(p *plan.Proof) { p.Machines[0].Config.Env["MORE"] = "x" }, "env.MORE"},
		{"config that should be gone", flysim.Options{}, func(p *plan.Proof) { delete(p.Machines[0].Config.Env, "GREETING") }, "env.GREETING"},
		{"failed check", flysim.Options{Images: map[string]flysim.Behavior{imageOne: {Checks: "critical"}}}, nil, "critical"},
		{"crash loop", flysim.Options{Images: map[string]flysim.Behavior{imageOne: {Exit: &one}}}, nil, "crash"},
		{"late crash", flysim.Options{Images: map[string]flysim.Behavior{imageOne: {Exit: &one, After: 60}}}, nil, "crash"},
		{"clean exit", flysim.Options{Images: map[string]flysim.Behavior{imageOne: {Exit: &zero}}}, nil, "stopped"},
		{"never boots", flysim.Options{Images: map[string]flysim.Behavior{imageOne: {Stuck: true}}}, nil, "created"},
		{"no such machine", flysim.Options{}, func(p *plan.Proof) { p.Machines[0].Name = "other" }, "does not exist"},
		{"impossible", flysim.Options{}, func(p *plan.Proof) { p.Machines[0].Impossible = "it cannot be" }, "it cannot be"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := deployed(t, c.sim)
			// as long as checks and crashes of the simulator need
			ch := begin(t, w.client(t, func(o *Options) { o.Smoke = 150 * time.Millisecond }))
			p := proof("shop-app-ams-0", imageOne)
			p.WaitTimeout = 2 * time.Second
			if c.spoil != nil {
				c.spoil(&p)
			}
			err := ch.Prove(t.Context(), p)
			if !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("proof: %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestProofAllowsWhatSleeps(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	m := ch.Observed().Machines[0]
	nonce, _ := ch.leases.nonce(m.ID)
	if err := ch.client.flaps.Stop(t.Context(), testApp, flygo.StopMachineInput{ID: m.ID}, nonce); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(time.Second)
	p := proof(m.Name, imageOne)
	p.WaitTimeout = 300 * time.Millisecond
	if err := ch.Prove(t.Context(), p); !errors.Is(err, ErrUnproven) {
		t.Errorf("a stopped machine that should run: %v", err)
	}
	p.Machines[0].Stopped = true
	if err := ch.Prove(t.Context(), p); err != nil {
		t.Errorf("a machine that may be stopped: %v", err)
	}
}

func TestSingleErrorsDoNotFailAProof(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	apply(t, ch, update(ch.Observed().Machines[0], imageTwo))
	w.road.breaks(
		&fault{method: http.MethodGet, path: `/machines/[0-9a-f]{14}$`, nth: 1, status: 500},
		&fault{method: http.MethodGet, path: `/machines/[0-9a-f]{14}$`, nth: 1, status: 404, body: `{"error":"machine not found"}`},
		&fault{method: http.MethodGet, path: `/machines/[0-9a-f]{14}$`, nth: 1},
		&fault{method: http.MethodGet, path: `/wait$`, nth: 1, status: 408},
		&fault{method: http.MethodGet, path: `/wait$`, nth: 1, status: 500},
	)
	if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageTwo)); err != nil {
		t.Error(err)
	}
}

func TestMachineThatWasLeftStoppedIsStarted(t *testing.T) {
	w := deployed(t, flysim.Options{LeaveStopped: true})
	ch := begin(t, w.client(t))
	m := ch.Observed().Machines[0]
	nonce, _ := ch.leases.nonce(m.ID)
	if err := ch.client.flaps.Stop(t.Context(), testApp, flygo.StopMachineInput{ID: m.ID}, nonce); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(time.Second)
	_ = ch.Close()
	ch = begin(t, w.client(t))
	apply(t, ch, update(ch.Observed().Machines[0], imageTwo))
	if err := ch.Prove(t.Context(), proof(m.Name, imageTwo)); err != nil {
		t.Error(err)
	}
}

func TestRestartBeginsTheWatchAnew(t *testing.T) {
	at := time.Unix(1000, 0)
	m := plan.Machine{Machine: &flygo.Machine{State: "started", InstanceID: "a", Events: []*flygo.MachineEvent{{Type: "start", Timestamp: 1}}}}
	var u uptime
	u.see(m, at)
	if got := u.see(m, at.Add(5*time.Second)); got != 5*time.Second {
		t.Errorf("up for %v, want 5s", got)
	}
	m.Events[0].Timestamp = 2
	if got := u.see(m, at.Add(6*time.Second)); got != 0 {
		t.Errorf("after a restart up for %v, want 0", got)
	}
	m.State = "stopped"
	u.see(m, at.Add(7*time.Second))
	m.State = "started"
	if got := u.see(m, at.Add(8*time.Second)); got != 0 {
		t.Errorf("after a stop up for %v, want 0", got)
	}
}

func exit(code, restarts int, requested, restarting bool) *flygo.MachineEvent {
	return &flygo.MachineEvent{Type: "exit", Request: &flygo.MachineRequest{
		RestartCount: restarts, ExitEvent: &flygo.MachineExitEvent{ExitCode: code, RequestedStop: requested, Restarting: restarting},
	}}
}

func TestJudge(t *testing.T) {
	start, launch := &flygo.MachineEvent{Type: "start"}, &flygo.MachineEvent{Type: "launch"}
	cases := []struct {
		name     string
		state    string
		events   []*flygo.MachineEvent
		stopped  bool
		proven   bool
		hopeless bool
	}{
		{"runs", "started", []*flygo.MachineEvent{start, launch}, false, true, false},
		{"an older version crashed", "started", []*flygo.MachineEvent{start, launch, exit(1, 9, false, true)}, false, true, false},
		{"crashed once and came back", "started", []*flygo.MachineEvent{start, exit(1, 1, false, true), launch}, false, true, false},
		{"keeps crashing", "started", []*flygo.MachineEvent{start, exit(1, 2, false, true), start, launch}, false, false, true},
		{"crashed three times", "started", []*flygo.MachineEvent{start, exit(1, 0, false, false), exit(1, 0, false, false), exit(1, 0, false, false), launch}, false, false, true},
		{"ended badly", "stopped", []*flygo.MachineEvent{exit(2, 0, false, false), start, launch}, false, false, true},
		{"ended badly, though it may be stopped", "stopped", []*flygo.MachineEvent{exit(2, 0, false, false), start, launch}, true, false, true},
		{"was stopped", "stopped", []*flygo.MachineEvent{exit(130, 0, true, false), start, launch}, true, true, false},
		{"was stopped and should not be", "stopped", []*flygo.MachineEvent{exit(0, 0, true, false), start, launch}, false, false, false},
		{"suspended", "suspended", nil, true, true, false},
		{"on its way", "replacing", nil, true, false, false},
		{"failed", "failed", nil, false, false, true},
		{"destroyed", "destroyed", nil, true, false, true},
	}
	for _, c := range cases {
		m := plan.Machine{Machine: &flygo.Machine{State: c.state, Events: c.events, Config: &flygo.MachineConfig{}}}
		v := judge(m, plan.ProofMachine{Config: m.Config, Stopped: c.stopped}, time.Second, time.Second)
		if v.proven != c.proven || v.hopeless != c.hopeless {
			t.Errorf("%s: proven %v, hopeless %v (%s)", c.name, v.proven, v.hopeless, v.why)
		}
	}
}

func TestOverlay(t *testing.T) {
	have := json.RawMessage(`{"image":"a","env":{"A":"1","B":"2"},"schedule":"daily","future":9007199254740993,
		"guest":{"cpus":2,"turbo":true},"init":{"tty":true,"odd":[]}}`)
	got, err := overlay(have, &flygo.MachineConfig{Image: "b", Env: map[string]string{"A": "3"}, Guest: &flygo.MachineGuest{CPUs: 1}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"image":"b","env":{"A":"3"},"future":9007199254740993,"guest":{"cpus":1,"turbo":true},"init":{"odd":[]}}`
	if !sameJSON(got, json.RawMessage(want)) {
		t.Errorf("overlay %s, want %s", got, want)
	}
}

// A release is not blamed for an outage of Fly's: with nothing seen, the proof may be tried again.
func TestOutageProvesNothing(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	p := proof("shop-app-ams-0", imageOne)
	p.WaitTimeout = 200 * time.Millisecond
	w.road.breaks(&fault{method: http.MethodGet, path: `/machines/[0-9a-f]{14}$`, status: 500, body: `{"error":"on fire"}`})
	err := ch.Prove(t.Context(), p)
	if err == nil || errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), "on fire") {
		t.Errorf("proof: %v, want one that may be tried again", err)
	}
	w.road.breaks()
	if err := ch.Prove(t.Context(), p); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}
