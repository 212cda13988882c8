package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// judge refuses what the policies around an app forbid. All of them hold, so that each can only narrow what those
// further out allow.
func (a *appReader) judge(c checker) {
	if len(a.w.common.allows) == 0 {
		return
	}
	claims := c.app.claims(a.file, a.r.opts.Org)
	for i := range a.w.common.allows {
		policy := &a.w.common.allows[i]
		for _, cl := range claims {
			if cl.right == rightRepos && cl.why == "" && a.lies(cl.name) {
				continue // it is where the manifest itself comes from
			}
			if why := policy.refuses(cl); why != "" {
				a.refuse(c, cl.right, cl.key, why)
			}
		}
		if why := policy.refusesCount(c.app); why != "" {
			a.refuse(c, rightMachines, "machines", why)
		}
	}
}

// refusedApp reports whether one of the policies forbids an app's name.
func (c *common) refusedApp(name string) bool {
	return slices.ContainsFunc(c.allows, func(a allowance) bool { return a.refuses(claim{right: rightApps, key: "app", name: name}) != "" })
}

// notices gives whom the projects so far tell.
func (c *common) notices() *yaml.Node {
	return merged(lookup(c.defaults, "notify"), lookup(c.overrides, "notify"), false)
}

// lies reports whether the manifest lies in the repository.
func (a *appReader) lies(bare string) bool {
	own := a.r.address(a.file.repo)
	return own != "" && bareRepo(own) == bare
}

func (a *appReader) refuse(c checker, of right, key, why string) {
	p := a.problem(nodeAt(c.tree, key), "allow."+string(of), key+": "+why)
	p.Refused = true
	a.out.problems = append(a.out.problems, p)
}

// refuses tells why the allowance does not let an app have what it wants, and nothing where it does.
func (a *allowance) refuses(c claim) string {
	if _, written := a.lines[c.right]; !written {
		if a.foreign != "" {
			return fmt.Sprintf("%s is not allowed: %s; add a list there, %s", c.shown(), a.ungranted(c.right), example(c))
		}
		return ""
	}
	all, matched := false, false
	for _, p := range a.patterns[c.right] {
		switch {
		case p.deny && (c.why != "" || p.matches(c)):
			return fmt.Sprintf("%s is denied by %q in %s", c.shown(), clip(p.text), a.place(c.right))
		case p.deny:
		default:
			all, matched = all || p.all, matched || p.matches(c)
		}
	}
	switch {
	case all || matched && c.why == "":
		return ""
	default:
		return fmt.Sprintf("%s is not allowed: %s allows %s", c.shown(), a.place(c.right), a.told(c.right))
	}
}

// refusesCount is refuses for the number of machines.
func (a *allowance) refusesCount(app *App) string {
	n := app.machineCount()
	switch {
	case a.MaxMachines != nil && n > *a.MaxMachines:
		return fmt.Sprintf("%d machines are not allowed: %s allows %d", n, a.place(rightMachines), *a.MaxMachines)
	case a.MaxMachines == nil && a.foreign != "":
		return fmt.Sprintf("%d machines are not allowed: %s; add a number there, such as max_machines: %d", n, a.ungranted(rightMachines), max(n, 1))
	}
	return ""
}

// place says where the list of a right is written, for a sentence.
func (a *allowance) place(of right) string {
	return fmt.Sprintf("%s:%d (project %s)", a.file, cmp.Or(a.lines[of], a.at), a.project)
}

// ungranted says that what comes from a foreign repository has to be granted.
func (a *allowance) ungranted(of right) string {
	return fmt.Sprintf("the manifest comes from %s, which has another owner than the repository of %s, and the allow there has no %s",
		clip(shownAddress(a.foreign)), a.place(of), of)
}

// told lists what is allowed, for a sentence.
func (a *allowance) told(of right) string {
	const most = 8
	var names []string
	for _, p := range a.patterns[of] {
		if !p.deny {
			names = append(names, visible(clip(p.text)))
		}
	}
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// matches reports whether a pattern is for the claim. One that denies a size or a kind of service denies it with any memory and
// any name.
func (p *pattern) matches(c claim) bool {
	if p.all {
		return true
	}
	name := c.name
	if c.right != rightSecrets {
		name = strings.ToLower(strings.TrimSpace(name))
	}
	if !p.name.MatchString(name) {
		return false
	}
	switch c.right {
	case rightSizes:
		return p.deny || p.memory < 0 || c.memory <= cmp.Or(p.memory, c.brings)
	case rightAddons:
		if p.more != nil {
			return p.more.MatchString(c.more)
		}
		return p.deny || c.own
	case rightSecrets:
		return strings.HasPrefix(name, "sops:") == strings.HasPrefix(strings.TrimPrefix(p.text, "!"), "sops:")
	case rightRepos, rightApps, rightOrgs, rightRegions, rightMachines:
	}
	return true
}

// shown names what is wanted, for a sentence.
func (c claim) shown() string {
	switch {
	case c.why != "":
		return "what " + c.why
	case c.right == rightSizes && c.memory > c.brings:
		return fmt.Sprintf("%q", clip(fmt.Sprintf("%s:%dmb", c.name, c.memory)))
	case c.right == rightAddons && !c.own:
		return fmt.Sprintf("%q", clip(c.name+"/"+c.more))
	default:
		return fmt.Sprintf("%q", clip(c.name))
	}
}

// example shows the list that allows a claim.
func example(c claim) string {
	name := strings.Trim(c.shown(), `"`)
	if c.why != "" {
		name = "'*'"
	}
	return fmt.Sprintf("such as %s: [%s]", c.right, name)
}

// allowsRepo refuses a repository that a project points to, where the policies around it do.
func (a *allowance) allowsRepo(repo string) string { return a.refuses(repoClaim("source.repo", repo)) }

// refusedRepo tells which policy forbids a repository to a project that lies inside of it.
func (c *common) refusedRepo(repo string) string {
	i := slices.IndexFunc(c.allows, func(a allowance) bool { return a.allowsRepo(repo) != "" })
	if i < 0 {
		return ""
	}
	return c.allows[i].allowsRepo(repo)
}
