package plan

import "slices"

// Cut gives the plan up to and including the first stage after which it has to be made again, and
// whether there is such a stage. Otherwise it gives the whole plan.
func (p Plan) Cut() (now Plan, again bool) {
	i := slices.IndexFunc(p.Stages, func(st Stage) bool { return st.Again })
	if i < 0 {
		return p, false
	}
	return Plan{Stages: p.Stages[:i+1], Notes: p.Notes}, true
}
