package plan

import (
	"fmt"
	"slices"
	"strconv"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// volumeSteps are what becomes of volumes that are there: they grow and are kept differently, and those
// that nothing names go.
type volumeSteps struct {
	change  []Step
	destroy []DestroyVolume
	notes   []string
	// later says that the plan has to be made again when the machines have gone that hold such a volume.
	later bool
}

// volumesOf looks at the volumes that the wanted machines hold or are about to take, after the groups were
// decided.
func (d *decider) volumesOf(all *decisions) (volumeSteps, error) {
	var out volumeSteps
	for _, v := range d.volumes {
		want, ok := d.volumeTarget(v, all)
		if !ok || v.HostStatus != "" && v.HostStatus != "ok" {
			continue
		}
		if err := d.resize(&out, v, want); err != nil {
			return out, err
		}
		d.retain(&out, v, want)
	}
	d.loseVolumes(&out)
	return out, nil
}

// volumeTarget gives what the manifest says of a volume in use.
func (d *decider) volumeTarget(v flygo.Volume, all *decisions) (machine.Volume, bool) {
	for _, want := range d.want.Target.Volumes {
		if want.Name == v.Name && (d.taken[v.ID] || all.holds(want.Group, v)) {
			return want, true
		}
	}
	return machine.Volume{}, false
}

// holds reports whether a machine of the group that stays has the volume.
func (all *decisions) holds(group string, v flygo.Volume) bool {
	return slices.ContainsFunc(all.groups, func(dec decision) bool {
		return dec.group.Name == group && slices.ContainsFunc(dec.staying(), func(m Machine) bool {
			return v.AttachedMachine != nil && *v.AttachedMachine == m.ID ||
				slices.ContainsFunc(mountsOf(m), func(mount flygo.MachineMount) bool { return mount.Volume == v.ID })
		})
	})
}

// resize grows a volume to its size in the manifest. One that is larger is refused where that size is
// the manifest's own, since Fly cannot shrink it; one that grows by itself may be.
func (d *decider) resize(out *volumeSteps, v flygo.Volume, want machine.Volume) error {
	if d.ignore.covers("volumes", "size_gb") || d.ignore.covers("volumes", v.Name, "size_gb") || v.SizeGb == 0 || !want.Fixed {
		return nil
	}
	switch {
	case v.SizeGb < want.SizeGB:
		out.change = append(out.change, ExtendVolume{App: d.want.Target.App, Volume: v, SizeGB: want.SizeGB})
	case v.SizeGb > want.SizeGB && !d.growsByItself(want.Group):
		return refused("volumes.size_gb: volume %s (%s) in %s has %d GB and the manifest wants %d: a volume cannot shrink; write %d, or move the data to a new volume", v.Name, v.ID, v.Region, v.SizeGb, want.SizeGB, v.SizeGb)
	}
	return nil
}

func (d *decider) growsByItself(group string) bool {
	return slices.ContainsFunc(d.want.Target.Groups, func(g machine.Group) bool {
		return g.Name == group && len(g.Config.Mounts) > 0 && g.Config.Mounts[0].AddSizeGb > 0
	})
}

// retain is about snapshots.
func (d *decider) retain(out *volumeSteps, v flygo.Volume, want machine.Volume) {
	step := UpdateVolume{App: d.want.Target.App, Volume: v}
	ignores := func(field string) bool {
		return d.ignore.covers("volumes", field) || d.ignore.covers("volumes", v.Name, field)
	}
	if n := want.SnapshotRetention; n != nil && *n != v.SnapshotRetention && !ignores("snapshot_retention") {
		step.SnapshotRetention = n
		step.Changes = append(step.Changes, Change{Key: "snapshot_retention", Old: strconv.Itoa(v.SnapshotRetention), New: strconv.Itoa(*n)})
	}
	if on := want.ScheduledSnapshots; on != nil && *on != v.AutoBackupEnabled && !ignores("scheduled_snapshots") {
		step.ScheduledSnapshots = on
		step.Changes = append(step.Changes, Change{Key: "scheduled_snapshots", Old: strconv.FormatBool(v.AutoBackupEnabled), New: strconv.FormatBool(*on)})
	}
	if len(step.Changes) > 0 {
		out.change = append(out.change, step)
	}
}

// loseVolumes gives the volumes whose name the manifest does not have. One that is attached is never
// among them, also where its machine goes: the next plan looks again.
func (d *decider) loseVolumes(out *volumeSteps) {
	t := d.want.Target
	if !t.Prune {
		return
	}
	for _, v := range d.volumes {
		if slices.ContainsFunc(t.Volumes, func(w machine.Volume) bool { return w.Name == v.Name }) || !present(v) || d.ignore.covers("volumes", v.Name) {
			continue
		}
		title := fmt.Sprintf("volume %s (%s, %d GB in %s)", v.Name, v.ID, v.SizeGb, v.Region)
		switch {
		case v.IsAttached() && !d.leaves(v): // somebody's machine holds it
		case v.IsAttached() && d.want.Confirm:
			out.later = true
			out.notes = append(out.notes, title+" is destroyed after its machine")
		case d.want.Confirm:
			out.destroy = append(out.destroy, DestroyVolume{App: t.App, Volume: v, Why: "the manifest no longer names it"})
		default:
			out.notes = append(out.notes, title+" would be destroyed, with all that is on it, since the manifest no longer names it: "+confirmHint)
		}
	}
}

// leaves reports whether the machine that holds the volume goes.
func (d *decider) leaves(v flygo.Volume) bool {
	return v.AttachedMachine != nil && d.going[*v.AttachedMachine]
}

// present is false of a volume that Fly is destroying.
func present(v flygo.Volume) bool {
	return v.State == "" || v.State == "created" || v.State == "hydrating"
}

// spare makes volumes up to the least number in each region that the manifest names.
func (d *decider) spare(config *flygo.MachineConfig, g machine.Group) {
	for _, want := range d.want.Target.Volumes {
		if want.Group != g.Name || want.Count == 0 || d.ignore.covers("volumes", "count") || d.ignore.covers("volumes", want.Name, "count") {
			continue
		}
		for _, region := range g.Regions {
			for n := d.countVolumes(want.Name, region); n < want.Count; n++ {
				d.makes = append(d.makes, CreateVolume{App: d.want.Target.App, Volume: want, Region: region, Ordinal: n, Config: config})
			}
		}
	}
}

// countVolumes counts those that are there and those that are to be made.
func (d *decider) countVolumes(name, region string) int {
	n := 0
	for _, v := range d.volumes {
		n += yes(v.Name == name && (region == "" || v.Region == region))
	}
	for _, v := range d.makes {
		n += yes(v.Volume.Name == name && (region == "" || v.Region == region))
	}
	return n
}
