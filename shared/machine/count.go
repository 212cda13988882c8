package machine

import (
	"slices"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

func (t *translator) ha() bool {
	if t.app.HA != nil {
		return *t.app.HA
	}
	return t.flags.ha
}

// regions gives where machines run, the primary region first. Without any, Fly chooses one.
func (t *translator) regions() []string {
	var all []string
	for _, r := range append([]string{t.primaryRegion()}, t.app.ExtraRegions...) {
		if r != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

// counts gives the group's exact number of machines per region, if the manifest has one, and the
// number that is made where there is none yet: flyctl's with high availability, else one.
func (t *translator) counts(group string, config *flygo.MachineConfig) (exact *int, create int) {
	for _, g := range []manifest.Guest{t.app.Machines.Groups[group], t.app.Machines.Guest} {
		for key, n := range map[string]*int{"count": g.Count, "count_per_region": g.CountPerRegion} {
			if n != nil && *n < 0 {
				t.bad("machines."+key, "is %d; it must be 0 or more", *n)
			}
		}
		if g.Count != nil && g.CountPerRegion != nil && *g.Count != *g.CountPerRegion {
			t.bad("machines.count", "and machines.count_per_region differ (%d and %d); both are the number per region, so write one", *g.Count, *g.CountPerRegion)
		}
		if n := firstOf(g.Count, g.CountPerRegion); n != nil {
			return n, *n
		}
	}
	if t.ha() && len(config.Services) > 0 && len(config.Mounts) == 0 {
		return nil, 2
	}
	return nil, 1
}

func firstOf(a, b *int) *int {
	if a != nil {
		return a
	}
	return b
}
