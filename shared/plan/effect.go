package plan

import (
	"fmt"
	"slices"

	flygo "github.com/superfly/fly-go"
)

// Counts are the steps of a plan by what becomes of things, for people. A canary, which comes and
// goes, is in none of them.
type Counts struct {
	// Created, Changed, Replaced and Destroyed count machines and all else: addresses, volumes, secrets.
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Replaced  int `json:"replaced"`
	Destroyed int `json:"destroyed"`
	// Restarted are the machines that run and are started again, each of which is also Changed.
	Restarted int `json:"restarted"`
	// Downtime are the steps during which nobody answers for a group.
	Downtime int `json:"downtime"`
	// Commands are those that run.
	Commands int `json:"commands"`
}

// Counts counts what the plan does.
func (p Plan) Counts() Counts {
	var c Counts
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			c.count(step)
		}
	}
	return c
}

func (c *Counts) count(step Step) {
	c.Restarted += yes(Restarts(step))
	c.Downtime += yes(Downtime(step) != "")
	switch s := step.(type) {
	case CreateMachine:
		c.Created += yes(s.Config.Metadata[MetaCanary] == "")
	case DestroyMachine:
		c.Destroyed += yes(s.Machine.ID != "")
	case CreateApp, AllocateIP, CreateVolume, CreateAddon, AddCert:
		c.Created++
	case UpdateMachine, ExtendVolume, UpdateVolume:
		c.Changed++
	case SetSecrets:
		c.Changed += len(s.Set)
		c.Destroyed += len(s.Unset)
	case ReplaceMachine:
		c.Replaced++
	case ReleaseIP, DestroyApp, DestroyAddon, RemoveCert, DestroyVolume:
		c.Destroyed++
	case RunCommand:
		c.Commands++
	case Cordon, Uncordon:
	}
}

// Restarts reports whether the step starts again a machine that runs. Any update does.
func Restarts(step Step) bool {
	u, ok := step.(UpdateMachine)
	return ok && u.Machine.Machine != nil && u.Machine.State == flygo.MachineStateStarted
}

// Downtime says what does not answer during the step, or after it; empty where others of the group do.
func Downtime(step Step) string {
	switch s := step.(type) {
	case UpdateMachine:
		return s.Downtime
	case DestroyMachine:
		return s.Downtime
	case DestroyApp:
		return "the app is gone"
	default:
		return ""
	}
}

// downtime writes into the steps of each group whether others answer meanwhile.
func (all *decisions) downtime(want Intent) {
	for i := range all.groups {
		all.groups[i].downtime(want.Target.Strategy == "immediate")
	}
	left := map[string]bool{}
	for i, s := range all.removed {
		if group := s.Machine.ProcessGroup(); group != "" && !left[group] {
			left[group] = true
			all.removed[i].Downtime = fmt.Sprintf("group %s is gone", group)
		}
	}
}

// downtime is about one group. Machines that the proxy has stopped answer as soon as they are asked.
func (dec *decision) downtime(atOnce bool) {
	answers := func(m Machine) bool {
		return reachable(m) && !isStandby(m) && (m.State == flygo.MachineStateStarted || m.State != "failed" && wakes(m) && !crashed(m))
	}
	total := 0
	for _, m := range slices.Concat(dec.staying(), gone(dec.destroys), replacedOf(dec.replaces)) {
		total += yes(answers(m))
	}
	restarting := 0
	for _, u := range dec.updates {
		restarting += yes(Restarts(u) && answers(u.Machine))
	}
	for i, u := range dec.updates {
		if !Restarts(u) || !answers(u.Machine) {
			continue
		}
		switch {
		case total == 1:
			dec.updates[i].Downtime = fmt.Sprintf("group %s has no other machine that answers while it restarts", dec.group.Name)
		case atOnce && restarting == total:
			dec.updates[i].Downtime = fmt.Sprintf("all machines of group %s restart at once", dec.group.Name)
		}
	}
	if total > 0 && len(dec.staying())+len(dec.creates)+len(dec.greens)+len(dec.replaces) == 0 && len(dec.destroys) > 0 {
		dec.destroys[len(dec.destroys)-1].Downtime = fmt.Sprintf("group %s has no machine any more", dec.group.Name)
	}
}

func gone(all []DestroyMachine) []Machine {
	out := make([]Machine, len(all))
	for i, s := range all {
		out[i] = s.Machine
	}
	return out
}

func replacedOf(all []ReplaceMachine) []Machine {
	out := make([]Machine, len(all))
	for i, s := range all {
		out[i] = s.Old
	}
	return out
}

// wakes is true of machines that Fly's proxy starts when somebody asks.
func wakes(m Machine) bool {
	return m.Config != nil && slices.ContainsFunc(m.Config.Services, func(s flygo.MachineService) bool { return s.Autostart != nil && *s.Autostart })
}
