package catalog

import (
	"maps"
	"slices"
)

// Needs says which apps each app depends on. Names that are no keys depend on nothing.
type Needs map[string][]string

// Order gives the apps that are keys, each after those that it depends on, and by name otherwise. Apps
// on a cycle come in some order that is the same every time.
func (n Needs) Order() []string {
	w := walk{needs: n, seen: map[string]bool{}}
	for _, app := range slices.Sorted(maps.Keys(n)) {
		w.visit(app)
	}
	return w.order
}

type walk struct {
	needs Needs
	seen  map[string]bool
	order []string
}

func (w *walk) visit(app string) {
	needs, known := w.needs[app]
	if w.seen[app] || !known {
		return
	}
	w.seen[app] = true
	for _, other := range slices.Sorted(slices.Values(needs)) {
		w.visit(other)
	}
	w.order = append(w.order, app)
}

// Cycle gives the shortest way on which app comes to depend on itself, with app at both ends, and nil
// where there is none.
func (n Needs) Cycle(app string) []string {
	from := map[string]string{}
	for queue := []string{app}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, next := range slices.Sorted(slices.Values(n[at])) {
			if next == app {
				return n.back(from, app, at)
			}
			if _, seen := from[next]; !seen {
				from[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// back gives the way from app to last, and on to app.
func (n Needs) back(from map[string]string, app, last string) []string {
	way := []string{app}
	for at := last; at != app; at = from[at] {
		way = append(way, at)
	}
	way = append(way, app)
	slices.Reverse(way)
	return way
}
