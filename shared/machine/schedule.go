package machine

import (
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// MetaSchedule is the metadata that names the schedule which a machine belongs to.
const MetaSchedule = "flycd_schedule"

// schedules gives a group of one machine for each schedule, in the order of their names. Such a machine
// has no process group and no platform version, so that flyctl's deploys leave it alone.
func (t *translator) schedules(groups []Group) []Group {
	var all []Group
	for _, s := range t.app.Schedules {
		all = append(all, t.schedule(s, groups))
	}
	slices.SortFunc(all, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (t *translator) schedule(s manifest.Schedule, groups []Group) Group {
	key := "schedules." + s.Name
	if !slices.Contains([]string{"hourly", "daily", "weekly", "monthly"}, s.Every) {
		t.bad(key+".every", "is %q; it can be hourly, daily, weekly or monthly", s.Every)
	}
	config := &flygo.MachineConfig{
		Schedule:   s.Every,
		Restart:    &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo},
		Init:       flygo.MachineInit{Cmd: t.split(key+".command", s.Command), SwapSizeMB: t.app.SwapSizeMB},
		Metadata:   map[string]string{MetaSchedule: s.Name},
		Env:        merged(t.env(""), s.Env),
		StopConfig: t.stopConfig(),
	}
	delete(config.Env, "FLY_PROCESS_GROUP")
	if len(config.Init.Cmd) == 0 {
		t.bad(key+".command", "is missing; say what runs")
	}
	if e := t.app.Experimental; e != nil {
		config.Init.Entrypoint = e.Entrypoint
	}
	g := Group{
		Name: s.Name, Config: config, Schedule: s.Every, Count: new(1), Create: 1,
		Regions: []string{first(s.Region, t.primaryRegion())},
	}
	g.NewGuest, g.GuestSet = t.siblingGuest(groups)
	if s.VM != nil {
		g.NewGuest, g.GuestSet = t.vmGuest(key+".vm", *s.VM), true
	}
	if g.GuestSet {
		config.Guest = g.NewGuest
	}
	return g
}

// siblingGuest is what a machine of the default group gets, and whether the manifest says so: the same image
// wants the same room. A schedule that needs a GPU has to say so.
func (t *translator) siblingGuest(groups []Group) (guest *flygo.MachineGuest, set bool) {
	name := DefaultGroup(t.groupNames())
	for _, g := range groups {
		if g.Name == name && g.NewGuest.GPUKind == "" {
			same := *g.NewGuest
			return &same, g.GuestSet
		}
	}
	return t.vmGuest("vm", manifest.VM{}), false
}
