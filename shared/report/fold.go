package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/plan"
)

// Section is what a plan does to one process group, or to the app itself.
type Section struct {
	Title string
	Lines []Line
}

// Line is one step, or several machines that the same is done to.
type Line struct {
	// Verb is the first word, by which a line is coloured.
	Verb string
	Text string
	// Changes are old → new by key.
	Changes []plan.Change
	// Downtime says what does not answer meanwhile.
	Downtime string
}

// Fold gives a plan by groups; machines of a group with the same change share a line.
func Fold(p plan.Plan) []Section {
	var folds []*folded
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			folds = addStep(folds, step)
		}
	}
	var all []Section
	for _, f := range folds {
		i := slices.IndexFunc(all, func(s Section) bool { return s.Title == f.section() })
		if i < 0 {
			all, i = append(all, Section{Title: f.section()}), len(all)
		}
		all[i].Lines = append(all[i].Lines, f.line())
	}
	slices.SortStableFunc(all, func(a, b Section) int { return strings.Compare(a.Title, b.Title) }) // "app" before "group …"
	return all
}

// folded are steps that differ in their machines and regions alone.
type folded struct {
	plan.Description
	key     string
	changes []plan.Change
	n       int
	// regions are in the order of their first machine, with how many there are.
	regions []string
	in      map[string]int
}

func addStep(folds []*folded, step plan.Step) []*folded {
	d := plan.Describe(step)
	f := &folded{Description: d, changes: plan.Shown(d.Changes), in: map[string]int{}}
	name := d.Name
	if f.nameless() {
		name = ""
	}
	f.key = fmt.Sprintf("%q", []any{d.Do, d.Group, name, d.Why, d.Command, d.Stopped, d.Hidden, f.changes, d.Restarts, d.Downtime})
	if i := slices.IndexFunc(folds, func(o *folded) bool { return o.key == f.key }); i >= 0 {
		f = folds[i]
	} else {
		folds = append(folds, f)
	}
	f.n++
	if f.in[d.Region]++; f.in[d.Region] == 1 {
		f.regions = append(f.regions, d.Region)
	}
	return folds
}

func (f *folded) section() string {
	if f.Group == "" {
		return "app"
	}
	return "group " + f.Group
}

func (f *folded) verb() string {
	verb, _, _ := strings.Cut(f.Do, " ")
	return verb
}

func (f *folded) noun() string {
	_, noun, _ := strings.Cut(f.Do, " ")
	return noun
}

// nameless is true of what is alike whatever its name: machines, and those that a command runs in.
func (f *folded) nameless() bool { return f.noun() == "machine" || f.verb() == "run" }

// line writes "update 3 machines: 2 in ams, 1 in fra, each restarts: why".
func (f *folded) line() Line {
	text, name := f.Do, f.Name
	switch {
	case f.verb() == "run":
		name = ""
	case f.noun() == "machine" && f.Machine != "":
		name = f.Machine
	}
	if f.n > 1 {
		text = fmt.Sprintf("%s %d %s", f.verb(), f.n, plural(f.noun()))
		if f.nameless() {
			name = ""
		}
	}
	if name != "" {
		text += " " + name
	}
	text += f.places() + f.manner()
	if why := cmp.Or(f.Why, f.Command); why != "" {
		text += ": " + why
	}
	return Line{Verb: f.verb(), Text: text, Changes: f.changes, Downtime: f.Downtime}
}

// manner says what a machine does meanwhile.
func (f *folded) manner() string {
	switch {
	case f.Restarts && f.n > 1:
		return ", each restarts"
	case f.Restarts:
		return ", it restarts"
	case f.Hidden:
		return ", out of the proxy's sight"
	case f.Stopped && f.verb() == "update":
		return ", stays stopped"
	case f.Stopped:
		return ", stopped"
	}
	return ""
}

func plural(noun string) string {
	if strings.HasSuffix(noun, "s") {
		return noun + "es"
	}
	return noun + "s"
}

func (f *folded) places() string {
	if len(f.regions) == 1 {
		if f.regions[0] == "" {
			return ""
		}
		return " in " + f.regions[0]
	}
	var all []string
	for i, r := range f.regions {
		place := fmt.Sprintf("%d in %s", f.in[r], cmp.Or(r, "a region that Fly chooses"))
		if i == 0 {
			place = ": " + place
		}
		all = append(all, place)
	}
	return strings.Join(all, ", ")
}

// countText says in a line what a plan does: "2 to create, 1 to destroy; 3 restart".
func countText(c plan.Counts) string {
	var parts []string
	for _, one := range []struct {
		n    int
		what string
	}{{c.Created, "to create"}, {c.Changed, "to change"}, {c.Replaced, "to replace"}, {c.Destroyed, "to destroy"}} {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.what))
		}
	}
	text := strings.Join(parts, ", ")
	for _, more := range []string{
		countOf(c.Restarted, "machine restarts", "machines restart"),
		countOf(c.Commands, "command runs", "commands run"),
		countOf(c.Downtime, "step with downtime", "steps with downtime"),
	} {
		switch {
		case more == "":
		case text == "":
			text = more
		default:
			text += "; " + more
		}
	}
	return text
}

func countOf(n int, one, many string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
