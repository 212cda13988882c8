package manifest

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// address is that of a repository, also of the one that Read was given; empty where that is not known.
func (r *reader) address(repo *repository) string {
	if repo == r.root {
		return r.opts.Repo
	}
	return repo.url
}

// crosses reports whether a project's source leads to a repository of another owner than that of its own file. Where
// it is not known which repository is read, a folder without a remote, nothing is foreign: who reads it answers for it.
func (r *reader) crosses(f manifestFile, p Project) bool {
	if r.opts.Repo == "" || p.Source.Type != "git" {
		return false
	}
	owner := ownerOf(p.Source.Repo)
	return owner == "" || owner != ownerOf(r.address(f.repo))
}

// ownerOf gives whose a repository is: host and owner (of a group's subgroup the group), the host alone where all its
// repositories lie at the top, the folder of one on this machine. It is empty where that cannot be told.
func ownerOf(repo string) string {
	bare := bareRepo(repo)
	if !isPlain(bare) {
		return ""
	}
	parts := strings.Split(bare, "/")
	switch {
	case parts[0] == "":
		return strings.Join(parts[:len(parts)-1], "/")
	case len(parts) == 2:
		return parts[0]
	default:
		return parts[0] + "/" + parts[1]
	}
}

// grant is what a project that points to a foreign repository has to write, for a sentence.
const grant = "write what it may be and have, such as allow: {apps: [shop-*], orgs: [acme], regions: [ams], vm_sizes: [shared-cpu-1x], max_machines: 2}"

// mayInclude reports whether a project's repository may be read. What a policy forbids is not even opened.
func (r *reader) mayInclude(w walk, f manifestFile, p Project, root *yaml.Node) bool {
	if p.Source.Type != "git" {
		return true
	}
	key, why := "allow", ""
	switch {
	case sameRepo(r.address(f.repo), p.Source.Repo):
	case w.common.refusedRepo(p.Source.Repo) != "":
		key, why = "allow.repos", "source.repo: "+w.common.refusedRepo(p.Source.Repo)
	case r.crosses(f, p) && p.Allow == nil:
		why = fmt.Sprintf("is missing, and %s, which has another owner than this file's repository, gets nothing without it; %s", clip(shownAddress(p.Source.Repo)), grant)
	}
	if why == "" {
		return true
	}
	line, column := position(first(lookup(lookup(root, "source"), "repo"), root))
	problem := f.problem(fault{line, column, key, why}, true)
	problem.Refused = true
	r.problems = append(r.problems, problem)
	return false
}

// within gives the walk below a project, with what its source says of trust.
func (w walk) within(p Project, inner *common, crosses bool) walk {
	next := walk{repo: w.repo, common: inner, depth: w.depth + 1, done: map[manifestFile]bool{}, scope: w.scope, includes: w.includes}
	if p.Source.Type == "git" {
		next.includes = append(w.includes[:len(w.includes):len(w.includes)], RepoRef{Repo: p.Source.Repo, Ref: p.Source.Ref, By: p.Name, Project: true})
	}
	if crosses && w.scope == "" {
		next.scope = p.Name
	}
	return next
}

// foreign reports whether the walk is in a repository of another owner, or was led there by one.
func (w walk) foreign() bool { return w.scope != "" }

// place is where one app was found.
type place struct {
	manifestFile
	foreign      bool
	line, column int
	// first and last are the problems of the file.
	first, last int
	// refused is true where a policy forbids the name: the app then takes it from nobody.
	refused bool
	name    string
}

// disown takes the name of an app out of the problems of files that may not have it: an app of that name is sound
// or not by its own file.
func (r *reader) disown() {
	for _, at := range r.places {
		owner, taken := r.apps[at.name]
		if !taken || owner.manifestFile == at.manifestFile && owner.foreign == at.foreign && !at.refused || !at.foreign && !at.refused {
			continue
		}
		for i := at.first; i < at.last; i++ {
			r.problems[i].App = ""
		}
	}
}

// taken reports that two files name one app. Of an app of the tree's own and one of a foreign repository, the own one
// stays; else neither does.
func (r *reader) taken(by, from place) {
	text := fmt.Sprintf("%q is also the app of %s; every app needs a name of its own", from.name, by.manifestFile)
	p := from.problem(fault{from.line, from.column, "app", text}, false)
	p.App = from.name
	if from.foreign && !by.foreign {
		p.App, p.Refused = "", true
	} else {
		r.clashes[from.name] = true
	}
	r.problems = append(r.problems, p)
}
