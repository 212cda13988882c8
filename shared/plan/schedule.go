package plan

import (
	"fmt"
	"maps"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// schedule decides on the one machine of a schedule. It belongs to no process group, so that flyctl's
// deploys leave it alone. It runs once when it is made: Fly's cycle begins with a machine's first start
// (Fly's docs of fly machine run). Afterwards nobody starts it but Fly's clock, so whether it runs proves
// nothing.
func (d *decider) schedule(g machine.Group, have []Machine) (decision, error) {
	if len(have) > 0 && d.ignore.covers("schedules", g.Name) {
		return decision{group: g, config: g.Config, kept: have}, nil
	}
	config, err := clone(g.Config)
	if err != nil {
		return decision{}, err
	}
	config.Schedule = g.Schedule
	config.Metadata = union(config.Metadata, map[string]string{MetaSchedule: g.Name})
	maps.DeleteFunc(config.Metadata, func(key, _ string) bool {
		return key == flygo.MachineConfigMetadataKeyFlyProcessGroup || key == flygo.MachineConfigMetadataKeyFlyPlatformVersion
	})
	g.Config, g.Count, g.CountIn, g.Standby = config, new(1), nil, false
	dec, err := d.settle(g, have)
	for i := range dec.replaces {
		dec.replaces[i].Create.SkipLaunch = false
	}
	return dec, err
}

// decideSchedules decides on all schedules, and on machines of those that the manifest has no more.
func (d *decider) decideSchedules(members members) (all []decision, removed []DestroyMachine, err error) {
	for _, g := range d.want.Target.Schedules {
		dec, err := d.schedule(g, members.schedules[g.Name])
		if err != nil {
			return nil, nil, err
		}
		all = append(all, dec)
	}
	for _, m := range members.unscheduled {
		removed = append(removed, DestroyMachine{
			App: d.want.Target.App, Machine: m, Why: fmt.Sprintf("the manifest has no schedule %q", m.GetMetadataByKey(MetaSchedule)),
		})
	}
	return all, removed, nil
}
