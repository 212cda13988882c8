package machine

import (
	"slices"

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

// counts fills in the group's exact numbers, if the manifest has any, and the number that is made
// where there is none yet: flyctl's with high availability, else one.
func (t *translator) counts(g *Group) {
	g.Create = 1
	if t.ha() && len(g.Config.Services) > 0 && len(g.Config.Mounts) == 0 {
		g.Create = 2
	}
	for _, own := range []manifest.Guest{t.app.Machines.Guest, t.app.Machines.Groups[g.Name]} {
		if own.Count != nil {
			g.Count = own.Count
			t.checkCount("machines.count", *own.Count)
		}
		for region, n := range own.CountPerRegion {
			t.checkCount("machines.count_per_region."+region, n)
			if !slices.Contains(g.Regions, region) {
				t.warn("machines.count_per_region."+region, "has no effect: %s is neither primary_region nor in extra_regions", region)
				continue
			}
			if g.CountIn == nil {
				g.CountIn = map[string]int{}
			}
			g.CountIn[region] = n
		}
	}
}

// mostMachines bounds the machines of a group in one region: a slip of the keyboard must not cost a fortune, nor fill
// the memory of whoever plans them.
const mostMachines = 1000

func (t *translator) checkCount(key string, n int) {
	if n < 0 || n > mostMachines {
		t.bad(key, "is %d; it must be 0 to %d", n, mostMachines)
	}
}
