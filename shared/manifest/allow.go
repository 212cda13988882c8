package manifest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/docker/go-units"
	"gopkg.in/yaml.v3"
)

// right is a kind of thing that a policy speaks of, by its key below allow.
type right string

const (
	rightRepos    right = "repos"
	rightApps     right = "apps"
	rightOrgs     right = "orgs"
	rightRegions  right = "regions"
	rightSizes    right = "vm_sizes"
	rightMachines right = "max_machines"
	rightAddons   right = "addons"
	rightSecrets  right = "secrets"
)

// rights are those that have lists, in the order of the model.
func rights() []right {
	return []right{rightRepos, rightApps, rightOrgs, rightRegions, rightSizes, rightAddons, rightSecrets}
}

// list gives what an allow says of a right; nil where it says nothing.
func (a *Allow) list(of right) *[]string {
	switch of {
	case rightRepos:
		return &a.Repos
	case rightApps:
		return &a.Apps
	case rightOrgs:
		return &a.Orgs
	case rightRegions:
		return &a.Regions
	case rightSizes:
		return &a.VMSizes
	case rightAddons:
		return &a.Addons
	case rightSecrets:
		return &a.Secrets
	case rightMachines:
	}
	return nil
}

// allowance is what one project allows.
type allowance struct {
	Allow
	project string
	file    manifestFile
	// lines are where the lists are written, 0 where they are not; at is the line of what there is.
	lines    map[right]int
	at       int
	patterns map[right][]pattern
	// foreign is the repository of another owner that the project points to: what is read from there gets nothing
	// of which the allowance has no list. It is empty where the project points to none.
	foreign string
}

// pattern is one item of a list.
type pattern struct {
	text string
	deny bool
	all  bool
	// name matches what comes before the memory of a size, or the name of a service.
	name *regexp.Regexp
	// more is the pattern of a service's name. memory is the most that a size may have, in MB; less than 0 means any, and
	// 0 what the size brings.
	more   *regexp.Regexp
	memory int
}

// compile makes a pattern of an item of a list, or says what is wrong with it.
func compile(of right, text string) (pattern, string) {
	p := pattern{text: text}
	text, p.deny = strings.CutPrefix(strings.TrimSpace(text), "!")
	p.all = text == "*" || text == "**"
	var err string
	switch {
	case text == "":
		return p, "expected a name or a glob, found nothing"
	case strings.Contains(text, "$"):
		return p, fmt.Sprintf("expected a name or a glob, found %q; variables are not filled in here", clip(text))
	case of == rightRepos:
		err = p.repo(text)
	case of == rightSizes:
		err = p.size(text)
	case of == rightAddons:
		name, more, deep := strings.Cut(text, "/")
		if deep {
			p.more, err = glob(more)
		}
		if err == "" {
			p.name, err = glob(name)
		}
	case of == rightSecrets:
		p.name, err = glob(text)
	default:
		p.name, err = glob(strings.ToLower(text))
	}
	return p, err
}

func (p *pattern) repo(text string) (err string) {
	if keyed(text) {
		return keyedText
	}
	bare := bareRepo(text)
	if !p.all && !strings.Contains(bare, "/") {
		return fmt.Sprintf("expected a repository as HOST/OWNER/NAME, such as github.com/acme/*, found %q", clip(text))
	}
	p.name, err = glob(bare)
	return err
}

func (p *pattern) size(text string) (err string) {
	name, memory, limited := strings.Cut(text, ":")
	if p.name, err = glob(strings.ToLower(name)); err != "" || !limited {
		return err
	}
	if memory == "*" {
		p.memory = -1
		return ""
	}
	bytes, bad := units.RAMInBytes(memory)
	switch {
	case p.deny:
		return fmt.Sprintf("expected a size without a memory after !, found %q: a size with too much memory is not allowed anyway, where the lists do not say so", clip(text))
	case bad != nil || bytes < units.MiB:
		return fmt.Sprintf("expected a size and the most memory it may have, such as shared-cpu-1x:1gb or shared-cpu-1x:*, found %q", clip(text))
	}
	p.memory = int(bytes / units.MiB)
	return ""
}

var classes = regexp.MustCompile(`^\[[!^]?[A-Za-z0-9._-]+\]`)

// glob gives the expression of a glob: ? and * stand for characters but slashes, ** for any, [a-z] for one of those.
func glob(text string) (*regexp.Regexp, string) {
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	for rest := text; rest != ""; {
		n, expr := 1, "[^/]"
		switch {
		case strings.HasPrefix(rest, "**"):
			n, expr = 2, ".*"
		case rest[0] == '*':
			expr = "[^/]*"
		case rest[0] == '?':
		case rest[0] == '[':
			class := classes.FindString(rest)
			if class == "" {
				return nil, fmt.Sprintf("expected a name or a glob (* ** ? [a-z]), found %q", clip(text))
			}
			n, expr = len(class), strings.NewReplacer("[!", "[^/", "[^", "[^/").Replace(class)
		default:
			n = max(1, strings.IndexAny(rest, "*?["))
			if !strings.ContainsAny(rest, "*?[") {
				n = len(rest)
			}
			expr = regexp.QuoteMeta(rest[:n])
		}
		b.WriteString(expr)
		rest = rest[n:]
	}
	b.WriteString(`)\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Sprintf("expected a name or a glob (* ** ? [a-z]), found %q", clip(text))
	}
	return re, ""
}

// allowanceOf reads the allow of a project, checks it, and keeps where its lists are written.
func allowanceOf(d *decoder, f manifestFile, root *yaml.Node, p *Project) allowance {
	out := allowance{project: p.Name, file: f, at: 1, lines: map[right]int{}, patterns: map[right][]pattern{}}
	section := lookup(root, "allow")
	out.at, _ = position(first(section, root))
	if p.Allow == nil {
		if section != nil {
			d.report(section, "allow", "says nothing; write what is allowed, or leave it out")
		}
		return out
	}
	out.Allow = *p.Allow
	for _, of := range rights() {
		out.take(d, of, lookup(section, string(of)))
	}
	if n := lookup(section, string(rightMachines)); n != nil {
		out.lines[rightMachines], _ = position(n)
		if p.Allow.MaxMachines == nil {
			d.report(n, "allow.max_machines", "expected a whole number, found nothing; without the key any number is allowed")
		}
	}
	*p.Allow = out.Allow
	return out
}

// mostPatterns bounds a list of an allow.
const mostPatterns = 1000

func (a *allowance) take(d *decoder, of right, n *yaml.Node) {
	key, list := "allow."+string(of), a.list(of)
	if n == nil {
		return
	}
	a.lines[of], _ = position(n)
	switch {
	case isNull(n):
		d.report(n, key, "expected a list, found nothing; [] allows nothing, and without the key it is not restricted")
		return
	case len(*list) > mostPatterns:
		d.report(n, key, fmt.Sprintf("expected at most %d, found %d; write globs", mostPatterns, len(*list)))
		return
	case len(*list) == 0:
		*list = []string{}
	}
	allows := false
	for i, text := range *list {
		p, bad := compile(of, text)
		if bad != "" {
			d.report(nodeAt(n, fmt.Sprintf("[%d]", i)), fmt.Sprintf("%s[%d]", key, i), bad)
			return
		}
		allows = allows || !p.deny
		a.patterns[of] = append(a.patterns[of], p)
	}
	if len(*list) > 0 && !allows {
		d.report(n, key, "only denies, and so allows nothing; add what is allowed, such as '*' for all else, or write []")
	}
}
