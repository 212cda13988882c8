package manifest

import "slices"

// mostOfOne bounds a count, so that sums stay numbers.
const mostOfOne = 1 << 20

// machineCount is how many machines the app has at most once it is deployed: as counts say, else as many as are made. Those
// that a person added by hand are not counted, nor those that live as long as a deploy.
func (a *App) machineCount() int {
	total := len(a.Schedules)
	for _, group := range a.groupNames() {
		for _, slot := range a.machineRegions() {
			most := 0
			for _, region := range slot {
				most = max(most, a.countIn(group, region))
			}
			total += most
		}
	}
	return total
}

// countIn is the number of a group's machines in a region.
func (a *App) countIn(group, region string) int {
	n := 1
	if ha := a.HA != nil && *a.HA || a.HA == nil && len(a.mentions("ha")) > 0; ha && !a.mounted(group) {
		n = 2 // a second one, or a standby
	}
	own := []Guest{a.Machines.Guest, a.Machines.Groups[group]}
	for _, g := range own {
		if g.Count != nil {
			n = *g.Count
		}
	}
	for _, g := range own {
		if c, ok := g.CountPerRegion[region]; ok {
			n = c
		}
	}
	return min(n, mostOfOne)
}

func (a *App) mounted(group string) bool {
	return slices.ContainsFunc(a.Mounts, func(m Mount) bool {
		return slices.Contains(m.Processes, group) || len(m.Processes) == 0 && group == a.defaultGroup()
	})
}

// machineRegions are the regions that machines run in, the primary one first, which flags may call otherwise: so each is a list
// of those that may be meant. "" is the region that Fly chooses.
func (a *App) machineRegions() [][]string {
	primary := []string{a.PrimaryRegion}
	for _, m := range a.mentions("region", "r", "primary-region") {
		primary = append(primary, m.value)
	}
	known := len(primary) == 1
	regions, seen := [][]string{primary}, []string{}
	for _, region := range a.ExtraRegions {
		if region == "" || slices.Contains(seen, region) || known && region == a.PrimaryRegion {
			continue
		}
		seen = append(seen, region)
		regions = append(regions, []string{region})
	}
	if known && a.PrimaryRegion == "" && len(regions) > 1 {
		return regions[1:]
	}
	return regions
}
