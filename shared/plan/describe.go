package plan

import "slices"

// Description says what a step does, in parts: it is a step's public form in the plan's JSON, for those
// who print a plan in another way.
type Description = form

// Describe gives a step's description. Like the plan's JSON it holds no value that may be secret.
func Describe(step Step) Description { return stepForm(step) }

// Shown gives the changes that people want to see: what FlyCD writes about itself is left out beside a
// real change, and hashes are shortened.
func Shown(all []Change) []Change {
	shown := slices.DeleteFunc(slices.Clone(all), Change.bookkeeping)
	if len(shown) == 0 {
		shown = slices.Clone(all)
	}
	for i := range shown {
		shown[i] = shown[i].short()
	}
	return shown
}
