package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
)

// newAddons are the services that are to be made: those that are not there, or not ready yet.
func newAddons(o Observed, want Intent) []machine.Addon {
	var all []machine.Addon
	for _, a := range want.Target.Addons {
		if a.From == "" && !slices.Contains(want.Made, a) && !slices.ContainsFunc(o.Addons, func(have Addon) bool { return have.Type == a.Type && have.Name == a.Name && have.Ready }) {
			all = append(all, a)
		}
	}
	return all
}

// Recorded gives the services that the app's machines say were made for it (MetaAddons), sorted.
func Recorded(machines []Machine) []machine.Addon {
	keys := map[string]bool{}
	for _, m := range machines {
		if m.Machine == nil {
			continue
		}
		for field := range strings.FieldsSeq(m.GetMetadataByKey(MetaAddons)) {
			keys[field] = true
		}
	}
	var all []machine.Addon
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if kind, name, ok := strings.Cut(key, "/"); ok {
			all = append(all, machine.Addon{Type: kind, Name: name})
		}
	}
	return all
}

// recordedAddons is the metadata for the machines: the services that this deploy makes, and those that were made
// for the app and may still be there. One that was there before is somebody else's too, as far as anybody can tell, and
// is never taken away.
func recordedAddons(o Observed, want Intent) string {
	keys := map[string]bool{}
	for _, a := range newAddons(o, want) {
		if !slices.ContainsFunc(o.Addons, sameAddon(a)) {
			keys[a.Type+"/"+a.Name] = true
		}
	}
	for _, a := range want.Made {
		keys[a.Type+"/"+a.Name] = true
	}
	for _, a := range Recorded(o.Machines) {
		if !want.Target.Prune || slices.ContainsFunc(o.Addons, sameAddon(a)) {
			keys[a.Type+"/"+a.Name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(keys)), " ")
}

func sameAddon(a machine.Addon) func(Addon) bool {
	return func(have Addon) bool { return have.Type == a.Type && have.Name == a.Name }
}

// pruneAddons gives the services that were made for the app and that the manifest no longer names.
func pruneAddons(o Observed, want Intent) (away []DestroyAddon, notes []string) {
	t := want.Target
	if !t.Prune {
		return nil, nil
	}
	for _, a := range Recorded(o.Machines) {
		if slices.ContainsFunc(t.Addons, func(w machine.Addon) bool { return w.Type == a.Type && w.Name == a.Name && w.From == "" }) {
			continue
		}
		i := slices.IndexFunc(o.Addons, sameAddon(a))
		switch {
		case i < 0:
		case want.Confirm:
			away = append(away, DestroyAddon{App: t.App, Addon: o.Addons[i], Why: "the manifest no longer names it"})
		default:
			notes = append(notes, fmt.Sprintf("%s %s would be destroyed, with all that is in it, since the manifest no longer names it: %s", a.Type, a.Name, confirmHint))
		}
	}
	return away, notes
}

// confirmHint tells how to agree to a loss.
const confirmHint = "deploy with --confirm to let it go"
