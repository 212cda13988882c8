package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/catalog"
)

func TestDependenciesComeFirst(t *testing.T) {
	for want, needs := range map[string]catalog.Needs{
		"":          {},
		"a b c":     {"c": nil, "a": nil, "b": nil},
		"db api":    {"api": {"db"}, "db": nil},
		"z y x":     {"x": {"y"}, "y": {"z"}, "z": {"elsewhere"}},
		"c b d a":   {"a": {"d", "b"}, "b": {"c"}, "c": nil, "d": {"c"}},
		"b a":       {"a": {"b"}, "b": {"a"}},
		"self work": {"self": {"self"}, "work": {"self"}},
	} {
		if got := strings.Join(needs.Order(), " "); got != want {
			t.Errorf("order of %v is %q, want %q", needs, got, want)
		}
	}
}

func TestCycleIsNamed(t *testing.T) {
	needs := catalog.Needs{"a": {"b", "x"}, "b": {"c"}, "c": {"a", "x"}, "x": nil, "self": {"self"}, "outside": {"a"}}
	for app, want := range map[string]string{
		"a": "a b c a", "b": "b c a b", "c": "c a b c", "x": "", "self": "self self", "outside": "", "unknown": "",
	} {
		if got := strings.Join(needs.Cycle(app), " "); got != want {
			t.Errorf("cycle of %s is %q, want %q", app, got, want)
		}
	}
}

// Whatever the needs are, Order has every app once, and after what it needs unless there is a cycle.
func TestOrderKeepsEveryApp(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	rapid.Check(t, func(t *rapid.T) {
		needs := catalog.Needs(rapid.MapOf(names, rapid.SliceOfN(names, 0, 3)).Draw(t, "needs"))
		order := needs.Order()
		if len(order) != len(needs) {
			t.Fatalf("%v has %d of %d apps", order, len(order), len(needs))
		}
		for i, app := range order {
			if slices.Index(order, app) != i {
				t.Fatalf("%s is in %v twice", app, order)
			}
			for _, other := range needs[app] {
				// what other needs may lead into a cycle that app is not on
				if at := slices.Index(order, other); at >= i && needs.Cycle(app) == nil && needs.Cycle(other) == nil {
					t.Fatalf("%s comes before %s, which it needs: %v of %v", app, other, order, needs)
				}
			}
			if cycle := needs.Cycle(app); cycle != nil && (cycle[0] != app || cycle[len(cycle)-1] != app) {
				t.Fatalf("cycle of %s is %v", app, cycle)
			}
		}
	})
}
