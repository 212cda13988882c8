package plan

import (
	"math"
	"slices"
)

const (
	// mostParallel bounds what one stage does at once, as flyctl does.
	mostParallel = 16
	// immediateParallel is flyctl's default for the immediate strategy.
	immediateParallel = 8
)

// plan orders the decisions into stages. What is made comes before what is changed, and nothing is
// destroyed before all that should run is proven.
func (all *decisions) plan(o Observed, want Intent) (Plan, error) {
	var p Plan
	if !o.Exists {
		p.add("app", 1, []Step{CreateApp{App: want.Target.App, Org: want.Target.Org, Network: want.Target.Network}})
	}
	var addons []CreateAddon
	for _, a := range all.addons {
		addons = append(addons, CreateAddon{App: want.Target.App, Org: first(o.Org, want.Target.Org), Addon: a})
	}
	if p.add("add-ons", 1, steps(addons)) {
		p.last().Again = true
	}
	if p.add("secrets", 1, all.secrets.steps()) {
		p.last().Again = true
	}
	allocate, release := all.addresses(o, want)
	add, remove, certNotes := certs(o, want)
	lost, addonNotes := pruneAddons(o, want)
	all.lost = lost
	p.add("addresses", 1, steps(allocate))
	p.add("certificates", 1, steps(add))
	p.add("volumes", mostParallel, append(steps(all.volumes), all.kept.change...))
	if err := all.machines(&p, want); err != nil {
		return Plan{}, err
	}
	p.add("addresses given back", 1, steps(release))
	p.add("certificates removed", 1, steps(remove))
	p.add("volumes destroyed", 1, steps(all.kept.destroy))
	p.add("add-ons destroyed", 1, steps(all.lost))
	p.Notes = slices.Concat(all.notes, certNotes, addonNotes)
	return p, nil
}

// machines adds the stages in which machines change, with the commands before, between and after them.
func (all *decisions) machines(p *Plan, want Intent) error {
	all.downtime(want)
	if all.moves() {
		release, err := all.commands.once(ReleaseCommand, "release", want.Target.ReleaseCommand)
		if err != nil {
			return err
		}
		p.add("release command", 1, release)
	}
	if err := all.tryOut(p); err != nil {
		return err
	}
	if err := all.greens(p); err != nil {
		return err
	}
	if err := all.rolling(p, want); err != nil {
		return err
	}
	p.add("shown", mostParallel, all.each(func(d decision) []Step { return d.show }))
	if p.add("hidden", mostParallel, all.each(func(d decision) []Step { return d.hide })) {
		p.last().Unproven = true
	}
	p.add("standbys", mostParallel, all.each(func(d decision) []Step { return steps(d.standbys) }))
	var scheduled []Step
	surplus := all.each(func(d decision) []Step { return steps(d.destroys) })
	for _, d := range all.schedules {
		scheduled = slices.Concat(scheduled, steps(d.creates), steps(d.updates), steps(d.replaces))
		surplus = append(surplus, steps(d.destroys)...)
	}
	p.add("schedules", mostParallel, scheduled)
	if !runs(want.Target) {
		// with its last machine an app forgets which services were made for it
		p.add("add-ons destroyed", 1, steps(all.lost))
		all.lost = nil
	}
	p.add("surplus", mostParallel, append(surplus, steps(all.removed)...))
	if all.kept.later && len(p.Stages) > 0 {
		p.last().Again = true
	}
	if want.First && all.new(want) {
		seed, err := all.commands.once(SeedCommand, "seed", want.Target.SeedCommand)
		if err != nil {
			return err
		}
		p.add("seed command", 1, seed)
	}
	return nil
}

// moves reports whether any machine of a group is made or changed.
func (all *decisions) moves() bool {
	return slices.ContainsFunc(all.groups, func(d decision) bool {
		return len(d.updates)+len(d.replaces)+len(d.creates)+len(d.greens) > 0
	})
}

// new reports whether all of the app's machines are made by this job: an app that others deployed has
// its defaults.
func (all *decisions) new(want Intent) bool {
	return !slices.ContainsFunc(all.groups, func(d decision) bool {
		return len(d.destroys)+len(d.replaces) > 0 ||
			slices.ContainsFunc(d.staying(), func(m Machine) bool { return !madeBy(m, want.Job) })
	})
}

// tryOut adds the canaries, all at once, and lets them go when they are proven.
func (all *decisions) tryOut(p *Plan) error {
	var canaries, gone []Step
	for _, d := range all.groups {
		if d.canary != nil {
			canaries, gone = append(canaries, *d.canary), append(gone, away(*d.canary))
		}
	}
	if err := all.checked(p, Stage{Name: "canary", Parallel: mostParallel, Steps: canaries}); err != nil {
		return err
	}
	p.add("canary away", mostParallel, gone)
	return nil
}

// greens adds the green machines of a bluegreen deploy, as many at once as flyctl makes.
func (all *decisions) greens(p *Plan) error {
	made := all.each(func(d decision) []Step { return steps(d.greens) })
	return all.checked(p, Stage{Name: "greens", Parallel: max(1, min((len(made)+2)/3, immediateParallel)), Steps: made})
}

// checked adds a stage and the machine checks of the machines that it makes or updates.
func (all *decisions) checked(p *Plan, st Stage) error {
	p.add(st.Name, st.Parallel, st.Steps)
	var checks []Step
	for _, step := range st.Steps {
		var more []Step
		var err error
		switch s := step.(type) {
		case CreateMachine:
			if !s.SkipLaunch {
				more, err = all.commands.check(s.Group, s.Name, s.Region)
			}
		case ReplaceMachine:
			if !s.Create.SkipLaunch {
				more, err = all.commands.check(s.Create.Group, s.Create.Name, s.Create.Region)
			}
		case UpdateMachine:
			if !s.SkipLaunch {
				more, err = all.commands.check(s.Config.ProcessGroup(), first(s.Machine.Name, s.Machine.ID), s.Machine.Region)
			}
		default:
		}
		if err != nil {
			return err
		}
		checks = append(checks, more...)
	}
	p.add("machine checks", mostParallel, checks)
	return nil
}

// add appends a stage that has something to do, and reports whether it has.
func (p *Plan) add(name string, parallel int, steps []Step) bool {
	if len(steps) == 0 {
		return false
	}
	p.Stages = append(p.Stages, Stage{Name: name, Parallel: min(parallel, len(steps)), Steps: steps})
	return true
}

func (p *Plan) last() *Stage { return &p.Stages[len(p.Stages)-1] }

func steps[S Step](all []S) []Step {
	out := make([]Step, len(all))
	for i, s := range all {
		out[i] = s
	}
	return out
}

func (all *decisions) each(of func(decision) []Step) []Step {
	var out []Step
	for _, d := range all.groups {
		out = append(out, of(d)...)
	}
	return out
}

func (all *decisions) atOnce() []Step {
	return all.each(func(d decision) []Step {
		first, batches := d.rolling(1)
		for _, b := range batches {
			first = append(first, b...)
		}
		return first
	})
}

// rolling takes the first machine of each group alone, and then the rest in batches, so that no more
// of a group is away at once than max_unavailable allows. The immediate strategy asks nothing.
func (all *decisions) rolling(p *Plan, want Intent) error {
	if want.Target.Strategy == "immediate" {
		p.add("machines", immediateParallel, all.atOnce())
		return nil
	}
	var firsts []Step
	var rest [][]Step
	for _, d := range all.groups {
		first, batches := d.rolling(want.Target.MaxUnavailable)
		firsts = append(firsts, first...)
		for i, batch := range batches {
			if i == len(rest) {
				rest = append(rest, nil)
			}
			rest[i] = append(rest[i], batch...)
		}
	}
	if err := all.unchecked(p); err != nil {
		return err
	}
	if err := all.checked(p, Stage{Name: "first of each group", Parallel: mostParallel, Steps: firsts}); err != nil {
		return err
	}
	for _, batch := range rest {
		if err := all.checked(p, Stage{Name: "rest", Parallel: max(mostParallel, len(batch)), Steps: batch}); err != nil {
			return err
		}
	}
	return nil
}

// unchecked adds the checks that an earlier attempt at the job owes.
func (all *decisions) unchecked(p *Plan) error {
	var checks []Step
	for _, d := range all.groups {
		for _, m := range all.commands.unchecked(d) {
			more, err := all.commands.check(d.group.Name, first(m.Name, m.ID), m.Region)
			if err != nil {
				return err
			}
			checks = append(checks, more...)
		}
	}
	p.add("machine checks", mostParallel, checks)
	return nil
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
