package plan

import (
	"slices"
	"strconv"

	"github.com/gigurra/flycd/shared/machine"
)

// madeOf gives the mark of a machine that is the first of n in its region.
func madeOf(g machine.Group, n int) string {
	switch {
	case g.Standby:
		return strconv.Itoa(n) + "+standby"
	case n > 1:
		return strconv.Itoa(n)
	}
	return ""
}

// cutOff reports whether the machines are the beginning of a first deploy.
func (dec *decision) cutOff(region string, machines []Machine) bool {
	n, _ := dec.countOf(region)
	mark := madeOf(dec.group, n)
	return mark != "" && !dec.counted() && len(machines) > 0 && !slices.ContainsFunc(machines, func(m Machine) bool {
		return m.GetMetadataByKey(MetaMade) != mark
	})
}

// fill creates what is missing: up to the exact count, or the first machines of a group or of a
// region that the manifest lists.
func (d *decider) fill(dec *decision, active, stay []Machine) error {
	g := dec.group
	for _, region := range g.Regions {
		for range d.lacking(dec, region, stay) {
			create, err := d.create(dec, beside(region, active))
			if err != nil {
				return err
			}
			n, _ := dec.countOf(region)
			if mark := madeOf(g, n); mark != "" && !dec.counted() {
				create.Config.Metadata[MetaMade] = mark
			}
			dec.creates = append(dec.creates, create)
		}
	}
	if len(dec.creates) > 0 {
		if err := d.refuseMoves(dec); err != nil {
			return err
		}
	}
	return d.standby(dec, actives(dec, stay), stay)
}

// actives leaves out the standbys; where the group has services there are none.
func actives(dec *decision, machines []Machine) []Machine {
	return slices.DeleteFunc(slices.Clone(machines), func(m Machine) bool { return isStandby(m) && len(dec.config.Services) == 0 })
}

// beside is the region of a machine where Fly chooses: that of its siblings, if there are any.
func beside(region string, siblings []Machine) string {
	if region == "" && len(siblings) > 0 {
		return siblings[0].Region
	}
	return region
}

// standby adds the standby of a group that is made (or made anew elsewhere), or whose making was cut
// off. Active are the machines that stay and are no standbys.
func (d *decider) standby(dec *decision, active, stay []Machine) error {
	fresh := len(active) == 0 && len(dec.creates) > 0
	if !dec.group.Standby || slices.ContainsFunc(stay, isStandby) || !fresh && !dec.cutOff(dec.group.Regions[0], active) {
		return nil
	}
	var name, region string
	if fresh {
		name, region = dec.creates[0].Name, dec.creates[0].Region
	} else {
		name, region = active[0].Name, active[0].Region
	}
	standby, err := d.create(dec, region)
	if err != nil {
		return err
	}
	standby.StandbyFor, standby.SkipLaunch = name, true
	dec.standbys = append(dec.standbys, standby)
	return nil
}

// lacking is the number of machines to create in the region.
func (d *decider) lacking(dec *decision, region string, stay []Machine) int {
	active := actives(dec, stay)
	here := inRegion(active, region)
	n, exact := dec.countOf(region)
	switch {
	case exact, dec.cutOff(region, here):
		return max(n-len(here), 0)
	case len(here) > 0 || len(active) > 0 && !dec.group.ExactRegions:
		return 0
	}
	return n
}

// create makes the step for one more machine, with the first free ordinal of its region, and with a
// volume where the group has a mount: one that is free, else a new one.
func (d *decider) create(dec *decision, region string) (CreateMachine, error) {
	config, err := clone(dec.config)
	if err != nil {
		return CreateMachine{}, err
	}
	step := CreateMachine{App: d.want.Target.App, Group: dec.group.Name, Region: region, Config: config}
	if len(config.Mounts) > 0 {
		step.Volume = config.Mounts[0].Name
		step.Region = d.volume(dec, step)
	}
	for step.Name = d.name(step); d.names[step.Name]; step.Name = d.name(step) {
		step.Ordinal++
	}
	d.names[step.Name] = true
	return step, nil
}

func (d *decider) name(s CreateMachine) string { return nameOf(s.App, s.Group, s.Region, s.Ordinal) }

// volume finds a free volume for the machine, or plans one, and gives the region that it is in.
func (d *decider) volume(dec *decision, step CreateMachine) string {
	for i, v := range d.free {
		if v.Name == step.Volume && (step.Region == "" || v.Region == step.Region) {
			d.free = append(d.free[:i:i], d.free[i+1:]...)
			d.taken[v.ID] = true
			return v.Region
		}
	}
	for _, v := range d.want.Target.Volumes {
		if v.Group == dec.group.Name && v.Name == step.Volume {
			d.makes = append(d.makes, CreateVolume{App: step.App, Volume: v, Region: step.Region, Ordinal: d.countVolumes(v.Name, step.Region), Config: step.Config})
			break
		}
	}
	return step.Region
}

// refuseMoves keeps a change of region from starting an app over with an empty volume.
func (d *decider) refuseMoves(dec *decision) error {
	if len(dec.config.Mounts) == 0 {
		return nil
	}
	for _, s := range dec.destroys {
		if mounts := mountsOf(s.Machine); len(mounts) > 0 && !wanted(dec.group.Regions, s.Machine.Region) {
			return refused("machine %s holds volume %s in region %s, which the manifest does not name, and a machine elsewhere would start with an empty one: FlyCD does not move volumes; keep the region in primary_region or extra_regions, or copy the volume first (fly volumes fork) and deploy again", titleOf(s.Machine), first(d.mountName(mounts[0]), mounts[0].Volume), s.Machine.Region)
		}
	}
	return nil
}
