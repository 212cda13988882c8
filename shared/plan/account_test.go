package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// account is a small model of what Fly holds for one app and of how it echoes configs: it fills in
// guest defaults, restart, dns, sizes of mounts, and stamps of its own.
type account struct {
	o    plan.Observed
	next int
	// values are what the secrets are set to, hidden the ids of machines that the proxy does not see.
	values map[string]string
	hidden map[string]bool
	// writes is the number of steps that may still be applied; then the deployer is killed.
	writes *int
	// watch is called after each step.
	watch func(plan.Step)
}

func (a *account) applyAll(p plan.Plan) {
	for _, step := range stepsOf(p) {
		a.apply(step)
	}
}

// deploy goes the way of the corridor: it makes the plan again where the plan says so. It reports false
// if it was killed.
func (a *account) deploy(tb fataler, want plan.Intent) bool {
	for range 8 {
		p, err := plan.Diff(a.snapshot(), want)
		if err != nil {
			tb.Fatalf("the deploy is refused: %v", err)
		}
		now, again := p.Cut()
		for _, step := range stepsOf(now) {
			if a.writes != nil {
				if *a.writes == 0 {
					return false
				}
				*a.writes--
			}
			a.apply(step)
			if a.watch != nil {
				a.watch(step)
			}
		}
		if !again {
			return true
		}
		want = want.After(stepsOf(now))
	}
	tb.Fatalf("the plan is made again and again")
	return false
}

// fataler is a test, or a check of rapid's.
type fataler interface {
	Fatalf(format string, args ...any)
}

// apply makes one step true; one that is already true does nothing.
func (a *account) apply(step plan.Step) {
	switch s := step.(type) {
	case plan.CreateApp:
		a.o.Exists, a.o.App, a.o.Org = true, s.App, s.Org
	case plan.DestroyApp:
		a.o = plan.Observed{}
	case plan.AllocateIP:
		a.next++
		ip := plan.IP{Address: fmt.Sprintf("10.0.0.%d", a.next), Region: s.IP.Region, Shared: s.IP.Type == "shared_v4", Private: s.IP.Type == "private_v6"}
		if strings.HasSuffix(s.IP.Type, "v6") {
			ip.Address = fmt.Sprintf("fd::%d", a.next)
		}
		if s.IP.Type == "egress" {
			ip.Egress = true
			a.o.IPs = append(a.o.IPs, plan.IP{Address: fmt.Sprintf("fe::%d", a.next), Region: s.IP.Region, Egress: true})
		}
		a.o.IPs = append(a.o.IPs, ip)
	case plan.ReleaseIP:
		a.o.IPs = slices.DeleteFunc(a.o.IPs, func(ip plan.IP) bool { return ip.Address == s.Address })
	case plan.CreateVolume:
		a.createVolume(s)
	case plan.CreateMachine:
		a.create(s)
	case plan.UpdateMachine:
		a.update(s)
	case plan.ReplaceMachine:
		a.create(s.Create)
		a.destroy(s.Old.ID)
	case plan.DestroyMachine:
		if s.Machine.ID == "" {
			a.destroy(a.byName(s.Machine.Name).ID)
			return
		}
		a.destroy(s.Machine.ID)
	default:
		a.applyOther(step)
	}
}

func (a *account) createVolume(s plan.CreateVolume) {
	n := 0
	for _, v := range a.o.Volumes {
		if v.Name == s.Volume.Name && (s.Region == "" || v.Region == s.Region) {
			n++
		}
	}
	if n > s.Ordinal {
		return
	}
	a.next++
	a.o.Volumes = append(a.o.Volumes, flygo.Volume{
		ID: fmt.Sprintf("vol_%03d", a.next), Name: s.Volume.Name, Region: a.place(s.Region), SizeGb: s.Volume.SizeGB, State: "created", HostStatus: "ok",
		SnapshotRetention: 5, AutoBackupEnabled: true,
	})
	v := &a.o.Volumes[len(a.o.Volumes)-1]
	if n := s.Volume.SnapshotRetention; n != nil {
		v.SnapshotRetention = *n
	}
	if on := s.Volume.ScheduledSnapshots; on != nil {
		v.AutoBackupEnabled = *on
	}
}

// place is where Fly puts what names no region.
func (a *account) place(region string) string {
	if region == "" {
		return "iad"
	}
	return region
}

func (a *account) create(s plan.CreateMachine) {
	if slices.ContainsFunc(a.o.Machines, func(m plan.Machine) bool { return m.Name == s.Name }) {
		return
	}
	a.next++
	m := &flygo.Machine{ID: fmt.Sprintf("m%03d", a.next), Name: s.Name, Region: a.place(s.Region), HostStatus: "ok", State: "started", CreatedAt: fmt.Sprintf("2026-01-01T00:00:%03dZ", a.next)}
	if s.SkipLaunch {
		m.State = "stopped"
	}
	if s.Hidden {
		a.hide(m.ID, true)
	}
	config := configOf(s.Config)
	if s.StandbyFor != "" {
		id := a.byName(s.StandbyFor).ID
		config["standbys"] = []any{id}
		config["env"].(map[string]any)["FLY_STANDBY_FOR"] = id
	}
	if s.Volume != "" {
		a.attach(config, s, m.ID)
	}
	a.o.Machines = append(a.o.Machines, echo(m, config))
}

func (a *account) byName(name string) plan.Machine {
	i := slices.IndexFunc(a.o.Machines, func(m plan.Machine) bool { return m.Name == name })
	return a.o.Machines[i]
}

func (a *account) attach(config map[string]any, s plan.CreateMachine, id string) {
	mount := config["mounts"].([]any)[0].(map[string]any)
	for i, v := range a.o.Volumes {
		if v.AttachedMachine == nil && v.Name == s.Volume && v.Region == a.place(s.Region) && (mount["volume"] == nil || mount["volume"] == v.ID) {
			a.o.Volumes[i].AttachedMachine = &id
			mount["volume"], mount["size_gb"], mount["encrypted"] = v.ID, v.SizeGb, true
			return
		}
	}
	panic("no free volume " + s.Volume + " in " + s.Region)
}

func (a *account) update(s plan.UpdateMachine) {
	for i, m := range a.o.Machines {
		if m.ID != s.Machine.ID {
			continue
		}
		var config map[string]any
		if err := json.Unmarshal(s.Raw, &config); err != nil {
			panic(err)
		}
		copied := *m.Machine
		switch {
		case !s.SkipLaunch:
			copied.State = "started"
		case copied.State == "suspended":
			copied.State = "stopped" // what it remembered is of the old version
		}
		a.o.Machines[i] = echo(&copied, config)
	}
}

func (a *account) destroy(id string) {
	a.o.Machines = slices.DeleteFunc(a.o.Machines, func(m plan.Machine) bool { return m.ID == id })
	for i, v := range a.o.Volumes {
		if v.AttachedMachine != nil && *v.AttachedMachine == id {
			a.o.Volumes[i].AttachedMachine = nil
		}
	}
}

func configOf(config *flygo.MachineConfig) map[string]any {
	raw, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// echo gives the machine as Fly would answer it.
func echo(m *flygo.Machine, config map[string]any) plan.Machine {
	config["dns"], config["brand_new"] = map[string]any{}, "kept"
	if config["restart"] == nil {
		config["restart"] = map[string]any{"policy": "on-failure", "max_retries": 10}
	}
	if config["guest"] == nil {
		config["guest"] = map[string]any{"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
	}
	if guest := config["guest"].(map[string]any); guest["gpu_kind"] != nil {
		guest["gpus"] = 1
	}
	for _, section := range []string{"services", "metrics", "checks", "statics"} {
		if config[section] == nil {
			config[section] = map[string]any(nil)
		}
	}
	metadata := config["metadata"].(map[string]any)
	metadata["fly_release_id"], metadata["fly_release_version"] = "r1", "7"
	raw, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	typed := &flygo.MachineConfig{}
	if err := json.Unmarshal(raw, typed); err != nil {
		panic(err)
	}
	m.Config = typed
	_, m.ImageRef.Digest, _ = strings.Cut(typed.Image, "@")
	m.Checks = nil
	if len(typed.Checks) > 0 || slices.ContainsFunc(typed.Services, func(s flygo.MachineService) bool { return len(s.Checks) > 0 }) {
		m.Checks = []*flygo.MachineCheckStatus{{Name: "all", Status: flygo.Passing}}
	}
	return plan.Machine{Machine: m, Raw: raw}
}
