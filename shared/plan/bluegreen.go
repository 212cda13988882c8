package plan

import (
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
)

// A bluegreen deploy makes a green machine for each blue one, out of the proxy's sight; when all are
// proven they are shown, the blue ones are hidden, and then destroyed. Each green names all machines
// that the greens take the place of (MetaGreen). So whoever comes after a deploy that was cut off knows
// which is which, whatever part of it had happened: as long as one of those is there, it has not ended.

// interrupted parts the greens of a deploy that was cut off from the machines that are there besides.
func (d *decider) interrupted(have []Machine) (others, greens []Machine) {
	there := map[string]bool{}
	for _, m := range have {
		there[m.ID] = true
	}
	greens, others = parted(have, func(m Machine) bool {
		return slices.ContainsFunc(strings.Fields(m.GetMetadataByKey(MetaGreen)), func(id string) bool { return there[id] })
	})
	return others, greens
}

// resume decides for the other strategies. Where greens are there beside their blues, those of them stay
// that are more: only when all greens were there did a blue one go. They are shown, since nothing tells
// whether they are.
func (d *decider) resume(g machine.Group, blues, greens []Machine) (decision, error) {
	stay, gone, why := greens, blues, "a green machine has taken its place"
	if len(greens) < len(blues) {
		stay, gone, why = blues, greens, "the bluegreen deploy that made it was cut off"
	}
	dec, err := d.settle(g, stay)
	if err != nil {
		return decision{}, err
	}
	if err := d.tryOut(&dec); err != nil {
		return decision{}, err
	}
	if len(greens) > 0 {
		for _, m := range dec.staying() {
			dec.show = append(dec.show, Uncordon{App: d.want.Target.App, Machine: m.ID, Name: m.Name})
		}
		dec.destroy(d.want, gone, why)
	}
	return dec, nil
}

// bluegreen replaces all machines of a group at once, if any of them changes.
func (d *decider) bluegreen(g machine.Group, blues, greens []Machine) (decision, error) {
	before := *d
	d.names = clonedSet(before.names)
	plain, err := d.settle(g, blues)
	if err != nil {
		return decision{}, err
	}
	if len(greens) == 0 && len(plain.updates)+len(plain.replaces) == 0 {
		return plain, nil
	}
	if len(plain.config.Mounts) > 0 {
		return decision{}, refused("deploy.strategy: bluegreen does not go with mounts, since a green machine of group %s would need the volume that its blue one holds; use rolling", g.Name)
	}
	d.names, d.free, d.makes = before.names, before.free, before.makes
	return d.turn(plain, blues, greens)
}

func clonedSet(set map[string]bool) map[string]bool {
	out := map[string]bool{}
	for key := range set {
		out[key] = true
	}
	return out
}

// slot is a place that a green machine takes.
type slot struct {
	region  string
	stopped bool
	// old is the machine whose place it is, if there is one.
	old Machine
}

// slots are the places of the machines that the group would have: one for each that stays or is made.
func slots(plain decision) []slot {
	var all []slot
	for _, m := range actives(&plain, plain.staying()) {
		all = append(all, slot{m.Region, !awake(m), m})
	}
	for _, r := range plain.replaces {
		all = append(all, slot{r.Create.Region, r.Create.SkipLaunch, r.Old})
	}
	for _, c := range plain.creates {
		all = append(all, slot{region: c.Region, stopped: c.SkipLaunch})
	}
	if !slices.ContainsFunc(all, func(s slot) bool { return !s.stopped }) && len(all) > 0 && hasChecks(plain.config) {
		all[0].stopped = false // one has to show that the checks pass
	}
	return all
}

// turn plans the greens. Those of an earlier attempt at the same stay; others are replaced as the blues
// are.
func (d *decider) turn(plain decision, blues, greens []Machine) (decision, error) {
	dec := decision{group: plain.group, config: plain.config, free: plain.free, notes: plain.notes}
	left, old := slots(plain), slices.Clone(blues)
	standby := len(plain.standbys) > 0 || len(plain.config.Services) == 0 && slices.ContainsFunc(plain.staying(), isStandby)
	for _, m := range greens {
		i := slices.IndexFunc(left, func(s slot) bool { return s.region == "" || s.region == m.Region })
		same, err := d.same(plain, m)
		switch {
		case err != nil:
			return decision{}, err
		case same && isStandby(m):
			standby = false
			dec.kept = append(dec.kept, m)
		case same && (i >= 0 || !dec.counted()):
			if i >= 0 {
				left = slices.Delete(left, i, i+1)
			}
			dec.kept = append(dec.kept, m)
		default:
			old = append(old, m)
		}
	}
	if err := d.greens(&dec, left, old); err != nil {
		return decision{}, err
	}
	if standby {
		if err := d.greenStandby(&dec, old); err != nil {
			return decision{}, err
		}
	}
	d.cut(&dec, old)
	return dec, nil
}

// same reports whether a machine has all that is wanted.
func (d *decider) same(plain decision, m Machine) (bool, error) {
	if !reachable(m) {
		return false, nil
	}
	config := *plain.config
	update, err := d.updateOf(m, &config)
	return len(update.Changes) == 0, err
}

// greens makes what is missing.
func (d *decider) greens(dec *decision, left []slot, old []Machine) error {
	for _, s := range left {
		create, err := d.successor(dec, s.old, s.region)
		if err != nil {
			return err
		}
		create.Hidden, create.SkipLaunch = true, s.stopped
		create.Config.Metadata[MetaGreen] = idsOf(old)
		dec.greens = append(dec.greens, create)
	}
	return nil
}

// greenStandby makes the standby anew, since the machine that it waited for goes.
func (d *decider) greenStandby(dec *decision, old []Machine) error {
	var name, region string
	switch active := actives(dec, dec.kept); {
	case len(active) > 0:
		name, region = active[0].Name, active[0].Region
	case len(dec.greens) > 0:
		name, region = dec.greens[0].Name, dec.greens[0].Region
	default:
		return nil
	}
	create, err := d.create(dec, region)
	if err != nil {
		return err
	}
	create.StandbyFor, create.SkipLaunch = name, true
	create.Config.Metadata[MetaGreen] = idsOf(old)
	dec.standbys = append(dec.standbys, create)
	return nil
}

// cut shows the greens, hides the others, and lets them go.
func (d *decider) cut(dec *decision, old []Machine) {
	app := d.want.Target.App
	for _, m := range actives(dec, dec.kept) {
		dec.show = append(dec.show, Uncordon{App: app, Machine: m.ID, Name: m.Name})
	}
	for _, c := range dec.greens {
		dec.show = append(dec.show, Uncordon{App: app, Name: c.Name})
	}
	for _, m := range old {
		if !isStandby(m) && reachable(m) {
			dec.hide = append(dec.hide, Cordon{App: app, Machine: m.ID, Name: m.Name})
		}
	}
	dec.destroy(d.want, old, "a green machine has taken its place")
}

func idsOf(machines []Machine) string {
	ids := make([]string, len(machines))
	for i, m := range machines {
		ids[i] = m.ID
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}
