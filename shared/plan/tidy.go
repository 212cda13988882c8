package plan

import (
	"slices"
	"strings"
)

// Tidy gives the plan that takes away what must not stay behind a deploy that failed, also where the rest
// is left as it is (on_failure: stop, none): canaries, and greens as long as no blue one is hidden, which is made
// sure of first. It is a part of Undo.
func Tidy(now Observed, begun []Step) Plan {
	u := undo{now: now}
	cut := slices.ContainsFunc(begun, func(step Step) bool {
		hide, ok := step.(Cordon)
		blue, there := byID(now, hide.Machine)
		return ok && (!there || blue.Cordoned)
	})
	for _, step := range begun {
		switch s := step.(type) {
		case CreateMachine:
			if s.Config.Metadata[MetaCanary] != "" || s.Config.Metadata[MetaGreen] != "" && !cut {
				u.unmake(s.App, s.Name)
			}
		case Cordon:
			if !cut {
				u.take(s)
			}
		default:
		}
	}
	var p Plan
	p.add("put back", mostParallel, u.back)
	p.add("take away", mostParallel, u.away)
	return p
}

// Begun gives the steps of deploys that were cut off, as far as the machines tell of them: the making of
// canaries, and of greens whose blues are all still there, and the hiding of those blues, which may not have
// happened. They belong to what Undo and Tidy take back, before the steps of the deploy that came after.
func Begun(o Observed) []Step {
	var begun []Step
	hidden := map[string]bool{}
	for _, m := range o.Machines {
		if m.Machine == nil || m.Config == nil {
			continue
		}
		blues, all := bluesOf(o, m)
		if m.GetMetadataByKey(MetaCanary) == "" && (len(blues) == 0 || !all) {
			continue
		}
		begun = append(begun, CreateMachine{App: o.App, Name: m.Name, Group: m.ProcessGroup(), Region: m.Region, Config: m.Config})
		for _, blue := range blues {
			if !hidden[blue.ID] {
				hidden[blue.ID] = true
				begun = append(begun, Cordon{App: o.App, Machine: blue.ID, Name: blue.Name})
			}
		}
	}
	return begun
}

// bluesOf gives the machines that a green one takes the place of, and whether all of them are there.
func bluesOf(o Observed, green Machine) (blues []Machine, all bool) {
	ids := strings.Fields(green.GetMetadataByKey(MetaGreen))
	for _, id := range ids {
		if m, ok := byID(o, id); ok {
			blues = append(blues, m)
		}
	}
	return blues, len(blues) == len(ids)
}
