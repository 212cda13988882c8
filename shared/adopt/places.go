package adopt

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gigurra/flycd/shared/plan"
)

// places writes how many machines there are and where: extra regions, counts, and ha where a group has
// a standby.
func (c *composition) places() {
	for _, key := range []string{"extra_regions", "machines", "ha"} {
		delete(c.doc, key)
	}
	regions := c.regions()
	if name := c.confined(regions); name != "" {
		c.notef("Group %s has no exact count and is not in every region, so the numbers of machines outside %s are left as they are.", name, cmp.Or(c.primary, "one region"))
		regions = regions[:min(len(regions), 1)]
	}
	if extra := slices.DeleteFunc(slices.Clone(regions), func(r string) bool { return r == c.primary || r == "" }); len(extra) > 0 {
		c.doc["extra_regions"] = asList(extra)
	}
	counts := object{}
	for _, name := range c.groups {
		if n := c.counts(name, regions); n != nil {
			counts[name] = n
		}
	}
	if len(c.groups) == 1 && len(counts) == 1 {
		counts, _ = counts[c.groups[0]].(object)
	}
	if len(counts) > 0 {
		c.doc["machines"] = counts
	}
	for _, g := range c.account.groups {
		if len(g.standbys) > 0 {
			c.doc["ha"] = true
		}
	}
}

// regions are those that the manifest lists, the primary region first; one empty name where it has
// no primary region and all machines are in one.
func (c *composition) regions() []string {
	var all []string
	for _, name := range c.names() {
		for _, m := range c.account.groups[name].active {
			if !slices.Contains(all, m.Region) && m.Region != c.primary {
				all = append(all, m.Region)
			}
		}
	}
	slices.Sort(all)
	if c.primary == "" && len(all) < 2 {
		return []string{""}
	}
	if c.primary == "" {
		return all
	}
	return append([]string{c.primary}, all...)
}

// confined names a group that cannot have a count and is not in every region: FlyCD would make it there.
func (c *composition) confined(regions []string) string {
	for _, name := range c.names() {
		g := c.account.groups[name]
		if c.uncounted(g) != "" && len(regions) > 1 && slices.ContainsFunc(regions, func(r string) bool { return in(g.active, r) == 0 }) {
			return name
		}
	}
	return ""
}

// counts gives a group's exact numbers: one for all regions where they are equal. Nil where they are
// left to Fly.
func (c *composition) counts(name string, regions []string) object {
	g := c.account.groups[name]
	if g == nil {
		return object{"count": 0}
	}
	if why := c.uncounted(g); why != "" {
		c.notef("Group %s has no exact count here: %s.", name, why)
		return nil
	}
	each, equal, sum := object{}, true, 0
	for _, r := range regions {
		n := in(g.active, r)
		each[r], sum = n, sum+n
		equal = equal && n == in(g.active, regions[0])
	}
	switch {
	case sum != len(g.active):
		return nil // some are outside the regions, and an exact count would destroy them
	case equal:
		return object{"count": in(g.active, regions[0])}
	}
	return object{"count_per_region": each}
}

// uncounted says why a group's count cannot be written; empty where it can.
func (c *composition) uncounted(g *group) string {
	switch {
	case len(g.standbys) > 0:
		return "it has a standby, which a count would not allow"
	case slices.Contains(reserved(), g.name) && len(c.groups) > 1:
		return "its name is that of a key of machines"
	}
	return ""
}

// reserved are the keys of machines that are no groups.
func reserved() []string {
	return []string{"count", "count_per_region", "ram_mb", "cpu_cores", "cpu_type", "size"}
}

// in counts the machines in a region; all of them where it has no name.
func in(machines []plan.Machine, region string) int {
	n := 0
	for _, m := range machines {
		if region == "" || m.Region == region {
			n++
		}
	}
	return n
}

func (c *composition) notef(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(c.notes, note) {
		c.notes = append(c.notes, note)
	}
}

func asList(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}
