package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// decision is what becomes of the machines of one group.
type decision struct {
	group machine.Group
	// config is what a new machine of the group gets.
	config *flygo.MachineConfig
	// free says that the number of machines is left to others, whatever the manifest says.
	free bool
	// kept are the machines that stay as they are.
	kept     []Machine
	updates  []UpdateMachine
	replaces []ReplaceMachine
	creates  []CreateMachine
	standbys []CreateMachine
	destroys []DestroyMachine
	// canary tries the version out before the others get it.
	canary *CreateMachine
	// greens take the place of all others of the group at once.
	greens []CreateMachine
	// show and hide are brought into the proxy's sight and out of it, in this order.
	show, hide []Step
	notes      []string
}

// staying are the machines that are there now and stay.
func (dec decision) staying() []Machine {
	all := slices.Clone(dec.kept)
	for _, u := range dec.updates {
		all = append(all, u.Machine)
	}
	return all
}

// counted reports whether the group's number is exact.
func (dec decision) counted() bool { return dec.group.Counted() && !dec.free }

// countOf gives the number in the region, and whether it is exact.
func (dec decision) countOf(region string) (n int, exact bool) {
	n, exact = dec.group.CountOf(region)
	return n, exact && !dec.free
}

// decider carries what the groups share: names in use, volumes that are free, volumes to make.
type decider struct {
	want    Intent
	ignore  ignored
	secrets secrets
	addons  string
	names   map[string]bool
	free    []flygo.Volume
	volumes []flygo.Volume
	makes   []CreateVolume
	// taken are the volumes that new machines get, and going the machines that go, by their ids.
	taken, going map[string]bool
}

func newDecider(o Observed, want Intent) *decider {
	d := &decider{
		want: want, ignore: ignoredOf(want.Target), addons: recordedAddons(o, want),
		names: map[string]bool{}, volumes: o.Volumes, taken: map[string]bool{}, going: map[string]bool{},
	}
	for _, m := range o.Machines {
		if m.Machine != nil {
			d.names[m.Name] = true
		}
	}
	for _, v := range o.Volumes {
		if !v.IsAttached() && (v.HostStatus == "" || v.HostStatus == "ok") && (v.State == "" || v.State == "created") {
			d.free = append(d.free, v)
		}
	}
	return d
}

// decide gives what becomes of one group, by the strategy.
func (d *decider) decide(g machine.Group, have []Machine) (decision, error) {
	have, leftover := parted(have, func(m Machine) bool { return m.GetMetadataByKey(MetaCanary) == "" })
	have, greens := d.interrupted(have)
	var dec decision
	var err error
	switch d.want.Target.Strategy {
	case "bluegreen":
		dec, err = d.bluegreen(g, have, greens)
	default:
		dec, err = d.resume(g, have, greens)
	}
	if err != nil {
		return decision{}, err
	}
	dec.destroy(d.want, leftover, "a canary that an earlier deploy has left")
	for _, s := range dec.destroys {
		d.going[s.Machine.ID] = true
	}
	for _, r := range dec.replaces {
		d.going[r.Old.ID] = true
	}
	d.spare(dec.config, g)
	return dec, nil
}

// settle decides on the group's machines one by one. It first chooses those that stay, then how each of
// them gets its config, and then what is missing.
func (d *decider) settle(g machine.Group, have []Machine) (decision, error) {
	config, err := d.complete(g)
	if err != nil {
		return decision{}, err
	}
	dec := decision{group: g, config: config, free: d.ignore.machines(g.Name, "count")}
	standbys, active := parted(have, func(m Machine) bool { return isStandby(m) && len(config.Services) == 0 })
	active = d.takeOver(&dec, active)
	stay := d.choose(&dec, active)
	stay = append(stay, d.chooseStandbys(&dec, standbys)...)
	if !g.GuestSet {
		config.Guest = guestOf(g, stay)
	}
	for _, m := range stay {
		if err := d.keep(&dec, m); err != nil {
			return decision{}, err
		}
	}
	if err := d.fill(&dec, active, stay); err != nil {
		return decision{}, err
	}
	return dec, nil
}

// parted gives those that are, and those that are not.
func parted(machines []Machine, is func(Machine) bool) (those, others []Machine) {
	for _, m := range machines {
		if is(m) {
			those = append(those, m)
		} else {
			others = append(others, m)
		}
	}
	return those, others
}

// guestOf sizes a new machine where the manifest does not: as its siblings are.
func guestOf(g machine.Group, siblings []Machine) *flygo.MachineGuest {
	for _, m := range siblings {
		if m.Config != nil && m.Config.Guest != nil {
			return m.Config.Guest
		}
	}
	return g.NewGuest
}

// choose gives the active machines that stay. With a count it is exact in each region and nothing
// stays elsewhere. Without one nothing goes, but for machines that FlyCD itself put into a region
// that the manifest has left since, and those only if they hold no volume.
func (d *decider) choose(dec *decision, active []Machine) []Machine {
	var stay []Machine
	for _, region := range dec.group.Regions {
		here := inRegion(active, region)
		slices.SortStableFunc(here, better(len(dec.config.Mounts) > 0))
		if n, exact := dec.countOf(region); exact && len(here) > n {
			dec.destroy(d.want, here[n:], fmt.Sprintf("group %s has %d machines in %s and should have %d", dec.group.Name, len(here), regionName(region), n))
			here = here[:n]
		}
		stay = append(stay, here...)
	}
	for _, m := range active {
		if wanted(dec.group.Regions, m.Region) {
			continue
		}
		why := fmt.Sprintf("the manifest does not name region %s", m.Region)
		switch {
		case dec.counted(), placed(d.want.Target.App, dec.group.Name, m) && (len(mountsOf(m)) == 0 || len(dec.config.Mounts) == 0):
			dec.destroy(d.want, []Machine{m}, why)
		default:
			dec.notes = append(dec.notes, fmt.Sprintf("machine %s stays, though %s: without a count in the manifest its place is yours", titleOf(m), why))
			stay = append(stay, m)
		}
	}
	slices.SortStableFunc(stay, func(a, b Machine) int { return strings.Compare(a.ID, b.ID) })
	return stay
}

// chooseStandbys keeps standbys, unless the manifest has an exact count.
func (d *decider) chooseStandbys(dec *decision, standbys []Machine) []Machine {
	if !dec.counted() {
		return standbys
	}
	dec.destroy(d.want, standbys, "the manifest's count of group "+dec.group.Name+" is exact, and a standby is not in it")
	return nil
}

func (dec *decision) destroy(want Intent, machines []Machine, why string) {
	for _, m := range machines {
		dec.destroys = append(dec.destroys, DestroyMachine{App: want.Target.App, Machine: m, Why: why})
	}
}

func inRegion(machines []Machine, region string) []Machine {
	var all []Machine
	for _, m := range machines {
		if region == "" || m.Region == region {
			all = append(all, m)
		}
	}
	return all
}

func wanted(regions []string, region string) bool {
	return slices.Contains(regions, region) || slices.Contains(regions, "")
}

func regionName(region string) string {
	if region == "" {
		return "the region that Fly chose"
	}
	return region
}

// better orders machines by who should stay when there are too many: reachable ones, running ones,
// those that hold the volume that is wanted, healthy ones, old ones.
func better(mounts bool) func(a, b Machine) int {
	return func(a, b Machine) int {
		return cmp.Or(
			yes(reachable(b))-yes(reachable(a)),
			yes(b.State == flygo.MachineStateStarted)-yes(a.State == flygo.MachineStateStarted),
			yes(mounts && len(mountsOf(b)) > 0)-yes(mounts && len(mountsOf(a)) > 0),
			yes(failing(b) == "")-yes(failing(a) == ""),
			strings.Compare(a.CreatedAt, b.CreatedAt),
			strings.Compare(a.ID, b.ID),
		)
	}
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}
