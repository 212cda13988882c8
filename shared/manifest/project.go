package manifest

import (
	"fmt"
	"path"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// Project is what one project.yaml says: where a project's apps and inner projects are, and what they
// have in common.
type Project struct {
	Name   string `yaml:"project" in:"required" doc:"The project's name. A project is visited once, by its name."`
	Source Source `yaml:"source" in:"required" doc:"Where the project's apps and projects are: local or git."`
	Common Common `yaml:"common" doc:"What all apps of the project have in common."`
	// Discover lists further file names that count as manifests: fly.toml.
	Discover []string `yaml:"discover" in:"enum=fly.toml" doc:"Further file names that count as manifests."`
	// Sync is the policy that the apps inherit.
	Sync yaml.Node `yaml:"sync" doc:"Sync policy that the apps inherit."`
	// Allow bounds what the apps of the project may be and have. Nil where there is none.
	Allow *Allow `yaml:"allow" doc:"What the apps of the project may be and have."`
	// Notify is added to what the apps themselves say.
	Notify []Notify `yaml:"notify" doc:"Who is told of what becomes of the project's apps, beside those whom they name."`
}

// Common is what a project lays under, over and into the manifests of its apps.
type Common struct {
	AppDefaults  yaml.Node `yaml:"app_defaults" doc:"Keys that apps have where they do not write them."`
	AppOverrides yaml.Node `yaml:"app_overrides" doc:"Keys that win over what apps write."`
	// Substitutions are regular expressions and the text that replaces what they find in the text of
	// an app's file, in the order in which they are written.
	Substitutions yaml.Node `yaml:"substitutions" doc:"Regular expression to text, applied to the text of the app's file in the order written."`
	// Vars are the values of ${NAME} in the text of an app's file.
	Vars map[string]string `yaml:"vars" doc:"Values for ${NAME} and ${NAME:=default}; $${ stands for ${."`
}

// visitProject reads a project.yaml and visits what it points to.
func (r *reader) visitProject(w walk, f manifestFile) {
	p, inner, ok := r.readProject(w, f)
	if !ok {
		r.skipBelow(w, f, p)
		return
	}
	// whoever writes a foreign project cannot take a name from one of the tree's own
	name := w.scope + "/" + p.Name
	if first, seen := r.projects[name]; seen {
		if !r.sameFile(place{manifestFile: first}, place{manifestFile: f}) {
			text := fmt.Sprintf("project %q is also in %s; it was visited there and is left out here", p.Name, first)
			r.tree.Warnings = append(r.tree.Warnings, Problem{Repo: f.repo.shown(), File: f.path, Line: 1, Column: 1, Key: "project", Text: text})
		}
		return
	}
	r.projects[name] = f
	crosses := r.crosses(f, p)
	next := w.within(p, inner, crosses)
	if next.depth > r.lim.Depth {
		r.projectFault(f, "source", fmt.Sprintf("projects are nested deeper than %d", r.lim.Depth))
		return
	}
	dir := path.Join(f.dir(), p.Source.Path)
	if p.Source.Type == "git" {
		next.repo, dir, ok = r.openRepo(f, p)
		if !ok && r.opts.Repos != nil {
			r.skipBelow(w, f, p)
		}
		if !ok {
			return
		}
	}
	r.visitAt(next, f, dir)
	for file := range next.done {
		if !crosses {
			w.done[file] = true
		}
	}
}

// visitAt visits the folder, or the one manifest, that a project's source names.
func (r *reader) visitAt(w walk, f manifestFile, dir string) {
	if w.repo == r.root {
		r.tree.Folders = append(r.tree.Folders, dir)
	}
	before := len(r.problems)
	target, ok := r.start(w, dir)
	if !ok {
		problem := r.problems[before]
		r.problems = r.problems[:before]
		r.projectFault(f, "source.path", fmt.Sprintf("%s %s", problem.File, problem.Text))
		return
	}
	r.visit(w, target)
}

func (r *reader) projectFault(f manifestFile, key, text string) {
	r.problems = append(r.problems, Problem{Repo: f.repo.shown(), File: f.path, Line: 1, Column: 1, Key: key, Text: text, Hides: true})
}

// skipBelow leaves out what lies under a project that cannot be read, and where it points to in its own
// repository: without the project's settings it would be something else than its owner means.
func (r *reader) skipBelow(w walk, f manifestFile, p Project) {
	kept, warned := r.problems, r.tree.Warnings
	dirs := []string{f.dir()}
	if p.Source.Type == "local" {
		dirs = append(dirs, path.Join(f.dir(), p.Source.Path))
	}
	for _, dir := range dirs {
		var apps, projects []manifestFile
		if target, ok := r.start(w, dir); ok {
			r.collect(w, target, &apps, &projects)
		}
		for _, file := range append(apps, projects...) {
			w.done[file] = true
		}
	}
	r.problems, r.tree.Warnings = kept, warned
}

// readProject reads one project.yaml and lays its settings over those of the projects around it.
func (r *reader) readProject(w walk, f manifestFile) (p Project, inner *common, ok bool) {
	data, bad := r.load(f)
	if bad != "" {
		r.projectFault(f, "", bad)
		return p, nil, false
	}
	root, faults, _ := r.parse(f, data)
	for _, x := range faults {
		r.problems = append(r.problems, f.problem(x, true))
	}
	if len(faults) > 0 {
		return p, nil, false
	}
	if root == nil {
		r.projectFault(f, "", "is empty; it needs project and source")
		return p, nil, false
	}
	before := len(r.problems)
	d := decoder{lenient: r.opts.Lenient}
	d.report = func(n *yaml.Node, key, text string) {
		line, column := position(n)
		r.problems = append(r.problems, f.problem(fault{line, column, key, text}, true))
	}
	d.warn = func(n *yaml.Node, key, text string) {
		line, column := position(n)
		r.tree.Warnings = append(r.tree.Warnings, f.problem(fault{line, column, key, text}, false))
	}
	r.project(&d, root, reflect.ValueOf(&p).Elem())
	if len(r.problems) == before {
		validateProject(&d, root, &p)
	}
	allows := allowanceOf(&d, f, root, &p)
	inner = w.common.with(&d, f, root, &p)
	if len(r.problems) > before {
		r.needBroken(w, f, p)
		return p, inner, false
	}
	if r.crosses(f, p) {
		allows.foreign = p.Source.Repo
		if !w.foreign() {
			inner.told = inner.notices()
		}
	}
	if p.Allow != nil {
		inner.allows = append(inner.allows[:len(inner.allows):len(inner.allows)], allows)
	}
	return p, inner, r.mayInclude(w, f, p, root)
}

func (f manifestFile) problem(x fault, hides bool) Problem {
	return Problem{Repo: f.repo.shown(), File: f.path, Line: x.line, Column: x.column, Key: x.key, Text: x.text, Hides: hides}
}

// parse reads YAML or TOML by the file's name.
func (r *reader) parse(f manifestFile, data []byte) (root *yaml.Node, faults, notes []fault) {
	if extension(f.path) == "toml" {
		root, faults = parseTOML(data, r.lim)
		if root != nil && len(faults) == 0 {
			stripComments(root)
		}
		return root, faults, nil
	}
	return readYAML(data, r.lim)
}

func validateProject(d *decoder, root *yaml.Node, p *Project) {
	src := lookup(root, "source")
	if !isLabel(p.Name) {
		d.report(lookup(root, "project"), "project", "expected a name of letters, digits and dashes, at most 63")
	}
	switch p.Source.Type {
	case "git":
		if p.Source.Repo == "" {
			d.report(src, "source.repo", "is missing; say which repository the project is in")
		}
	case "local":
		if strings.HasPrefix(p.Source.Path, "/") {
			d.report(lookup(src, "path"), "source.path", "expected a folder relative to this file, not an absolute path")
		}
	default:
		d.report(first(lookup(src, "type"), src), "source.type", "expected local or git")
	}
	if keyed(p.Source.Repo) {
		d.report(lookup(src, "repo"), "source.repo", keyedText)
	}
	validateRef(d, src, p.Source.Ref)
	noticesFault(p.Notify, func(key, format string, args ...any) { d.report(nodeAt(root, key), key, fmt.Sprintf(format, args...)) })
}

// isLabel reports whether a name can be part of a host name, in either case of letters.
func isLabel(name string) bool {
	if name == "" || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
