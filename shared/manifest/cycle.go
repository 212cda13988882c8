package manifest

import (
	"slices"
	"strings"
)

// checkOrder refuses apps that wait for each other, and notes what an app depends on that is not in the
// tree. Each app on a circle is told the shortest one that it is on.
func (r *reader) checkOrder() {
	needs := make(map[string][]string, len(r.tree.Apps))
	for _, e := range r.tree.Apps {
		needs[e.App.Name] = e.App.DependsOn
	}
	circling := map[string]bool{}
	for _, e := range r.tree.Apps {
		name := e.App.Name
		if circle := circleOf(needs, name); circle != nil {
			circling[name] = true
			p := r.depends[name]
			p.Text = "the apps wait for each other: " + strings.Join(circle, " → ") + "; let one of them not depend on the next"
			r.problems = append(r.problems, p)
			continue
		}
		r.noteOutside(e)
	}
	r.dropApps(circling)
}

// noteOutside tells of apps that are not waited for. Where the tree is one app, or may hide some,
// nothing follows from their absence.
func (r *reader) noteOutside(e Entry) {
	if len(r.tree.Apps) < 2 || r.problems.HideApps() || len(r.tree.Unread) > 0 {
		return
	}
	for _, name := range e.App.DependsOn {
		if _, known := r.apps[name]; !known {
			p := r.depends[e.App.Name]
			p.Text = clip(name) + " is not in this tree, so its deploy is not part of the order; it has to be there already"
			r.tree.Warnings = append(r.tree.Warnings, p)
		}
	}
}

// circleOf gives the shortest way from an app over what it needs back to itself, or nil.
func circleOf(needs map[string][]string, start string) []string {
	from := map[string]string{}
	queue := []string{start}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range needs[at] {
			if next == start {
				circle := []string{start}
				for ; at != start; at = from[at] {
					circle = append(circle, at)
				}
				circle = append(circle, start)
				slices.Reverse(circle)
				return circle
			}
			if _, seen := from[next]; !seen {
				from[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}
