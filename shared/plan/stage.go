package plan

import "math"

const (
	// mostParallel bounds what one stage does at once, as flyctl does.
	mostParallel = 16
	// immediateParallel is flyctl's default for the immediate strategy.
	immediateParallel = 8
)

// plan orders the decisions into stages. What is made comes before what is changed, and nothing is
// destroyed before all that should run is proven.
func (all decisions) plan(o Observed, want Intent) Plan {
	p := Plan{Notes: all.notes}
	if !o.Exists {
		p.add("app", 1, []Step{CreateApp{App: want.Target.App, Org: want.Target.Org, Network: want.Target.Network}})
	}
	allocate, release := all.addresses(o, want)
	p.add("addresses", 1, steps(allocate))
	p.add("volumes", mostParallel, steps(all.volumes))
	if want.Target.Strategy == "immediate" {
		p.add("machines", immediateParallel, all.atOnce())
	} else {
		all.rolling(&p, want.Target.MaxUnavailable)
	}
	p.add("standbys", mostParallel, all.each(func(d decision) []Step { return steps(d.standbys) }))
	p.add("surplus", mostParallel, append(all.each(func(d decision) []Step { return steps(d.destroys) }), steps(all.removed)...))
	p.add("addresses given back", 1, steps(release))
	return p
}

// add appends a stage that has something to do.
func (p *Plan) add(name string, parallel int, steps []Step) {
	if len(steps) == 0 {
		return
	}
	p.Stages = append(p.Stages, Stage{Name: name, Parallel: min(parallel, len(steps)), Steps: steps})
}

func steps[S Step](all []S) []Step {
	out := make([]Step, len(all))
	for i, s := range all {
		out[i] = s
	}
	return out
}

func (all decisions) each(of func(decision) []Step) []Step {
	var out []Step
	for _, d := range all.groups {
		out = append(out, of(d)...)
	}
	return out
}

func (all decisions) atOnce() []Step {
	return all.each(func(d decision) []Step {
		first, batches := d.rolling(1)
		for _, b := range batches {
			first = append(first, b...)
		}
		return first
	})
}

// rolling takes the first machine of each group alone, and then the rest in batches, so that no more
// of a group is away at once than max_unavailable allows.
func (all decisions) rolling(p *Plan, maxUnavailable float64) {
	var firsts []Step
	var rest [][]Step
	for _, d := range all.groups {
		first, batches := d.rolling(maxUnavailable)
		firsts = append(firsts, first...)
		for i, batch := range batches {
			if i == len(rest) {
				rest = append(rest, nil)
			}
			rest[i] = append(rest[i], batch...)
		}
	}
	p.add("first of each group", mostParallel, firsts)
	for _, batch := range rest {
		p.add("rest", max(mostParallel, len(batch)), batch)
	}
}

// rolling gives the group's first step and the batches that follow. Running machines that are
// updated are in batches of max_unavailable; stopped ones, new ones and replacements, which take
// nothing away, go along with the first batch.
func (d decision) rolling(maxUnavailable float64) (first []Step, batches [][]Step) {
	var warm, other []Step
	for _, u := range d.updates {
		if u.SkipLaunch {
			other = append(other, u)
			continue
		}
		warm = append(warm, u)
	}
	other = append(append(other, steps(d.replaces)...), steps(d.creates)...)
	size := batchSize(len(warm), maxUnavailable)
	queue := append(warm, other...)
	if len(queue) == 0 {
		return nil, nil
	}
	first, rest := queue[:1:1], queue[1:]
	running := max(len(warm)-1, 0)
	for at := 0; at < running; at += size {
		batches = append(batches, rest[at:min(at+size, running):min(at+size, running)])
	}
	if rest = rest[running:]; len(rest) > 0 {
		if len(batches) == 0 {
			batches = append(batches, nil)
		}
		batches[0] = append(batches[0], rest...)
	}
	return first, batches
}

// batchSize reads max_unavailable: below 1 a share of the group, rounded up, else a number.
func batchSize(machines int, maxUnavailable float64) int {
	if maxUnavailable < 1 {
		return max(int(math.Ceil(float64(machines)*maxUnavailable)), 1)
	}
	return int(min(maxUnavailable, mostParallel))
}
