package manifest

import (
	"reflect"

	"gopkg.in/yaml.v3"
)

// appResult is what came of one app's file.
type appResult struct {
	entry    *Entry
	name     string
	nameNode *yaml.Node
	problems []Problem
	warnings []Problem
	// refused is true where a policy forbids the app's name.
	refused bool
	// depends is the place of the app's depends_on, with its key where there is one.
	depends Problem
}

// appReader collects what is wrong with one app while it is read.
type appReader struct {
	r    *reader
	w    walk
	file manifestFile
	out  appResult
}

// readApp reads, merges, decodes and checks one app. It changes nothing of the reader, so that many
// apps are read at once.
func (r *reader) readApp(w walk, f manifestFile) appResult {
	a := &appReader{r: r, w: w, file: f}
	tree, ok := a.effective()
	if !ok {
		return a.out
	}
	a.out.nameNode = lookup(tree, "app")
	if n := a.out.nameNode; n != nil && n.Kind == yaml.ScalarNode && isLabel(n.Value) {
		a.out.name = n.Value
	}
	app := &App{Lenient: r.opts.Lenient}
	d := &decoder{lenient: r.opts.Lenient, report: a.report, warn: a.warn, origin: a.w.common.origin}
	r.app(d, tree, reflect.ValueOf(app).Elem())
	settle(d, tree, app)
	if len(a.out.problems) == 0 {
		a.validate(d, tree, app)
	}
	if len(a.out.problems) == 0 {
		a.judge(checker{d, tree, app})
	}
	if a.out.name == "" {
		a.out.name = app.Name
	}
	a.out.refused = a.w.common.refusedApp(a.out.name)
	if n := lookup(tree, "depends_on"); n != nil {
		a.out.depends = a.problem(n, "depends_on", "")
		a.out.depends.App = a.out.name
	}
	a.own()
	if len(a.out.problems) == 0 {
		a.out.entry = &Entry{
			App: app, Repo: f.repo.url, Ref: f.repo.ref, File: f.path, Dir: f.dir(), FS: f.repo.fsys,
			Projects: w.common.projects, Node: redactedTree(tree), Includes: w.includes, Foreign: w.foreign(),
		}
	}
	return a.out
}

// effective gives the tree of the app after substitutions, variables and merging.
func (a *appReader) effective() (*yaml.Node, bool) {
	c := a.w.common
	a.out.problems = append(a.out.problems, c.faults...)
	data, bad := a.r.load(a.file)
	if bad != "" {
		a.whole(bad)
		return nil, false
	}
	data, faults := c.textual(data, a.r.lim)
	root, more, notes := a.r.parse(a.file, data)
	for _, x := range notes {
		a.out.warnings = append(a.out.warnings, a.file.problem(x, false))
	}
	for _, x := range append(faults, more...) {
		a.out.problems = append(a.out.problems, a.file.problem(x, true))
	}
	switch {
	case len(more) > 0:
		return nil, false
	case root == nil:
		a.whole("is empty; it needs at least the name of the app (app: my-app)")
		return nil, false
	case root.Kind != yaml.MappingNode:
		a.whole("expected keys and values (app: my-app), found " + describe(root))
		return nil, false
	}
	tree := merged(merged(c.defaults, root, true), c.overrides, false)
	if a.w.foreign() {
		tree = a.quiet(tree)
	}
	return tree, true
}

// quiet leaves out who a foreign manifest wants to be told: only the tree's own projects say so.
func (a *appReader) quiet(tree *yaml.Node) *yaml.Node {
	told := lookup(tree, "notify")
	if told == nil || told == a.w.common.told {
		return tree
	}
	a.warn(told, "notify", "what a repository of another owner says here is left out; the project that points to it says who is told")
	tree = without(tree, "notify")
	if a.w.common.told != nil {
		tree.Content = append(tree.Content, textNode("notify", told), a.w.common.told)
	}
	return tree
}

// whole reports that the file as such cannot be used, so that its app is not known.
func (a *appReader) whole(text string) {
	a.out.problems = append(a.out.problems, a.file.problem(fault{1, 1, "", text}, true))
}

func (a *appReader) report(n *yaml.Node, key, text string) {
	a.out.problems = append(a.out.problems, a.problem(n, key, text))
}

func (a *appReader) warn(n *yaml.Node, key, text string) {
	a.out.warnings = append(a.out.warnings, a.problem(n, key, text))
}

func (a *appReader) problem(n *yaml.Node, key, text string) Problem {
	f := a.file
	if from, ok := a.w.common.origin[n]; ok {
		f = from
	}
	line, column := position(n)
	return f.problem(fault{line, column, key, text}, false)
}

// own names the app in its problems; without a name each of them may hide it.
func (a *appReader) own() {
	for i := range a.out.problems {
		p := &a.out.problems[i]
		p.App = a.out.name
		p.Hides = a.out.name == ""
	}
	for i := range a.out.warnings {
		a.out.warnings[i].App = a.out.name
	}
}

// settle applies what keys say about other keys.
func settle(d *decoder, tree *yaml.Node, app *App) {
	flags(d, tree, app)
	settleExperimental(app)
	if app.Source.Type == "docker" {
		app.Source.Type = "image"
	}
	image := ""
	if app.Build != nil {
		image = app.Build.Image
	}
	switch {
	case !hasKey(tree, "source") && image != "":
		app.Source = Source{Type: "image", Image: image}
	case !hasKey(tree, "source"):
		app.Source.Type = "local"
	case app.Source.Type == "" && image != "" && aboutImage(lookup(tree, "source")):
		app.Source.Type, app.Source.Image = "image", image
	case app.Source.Type == "image" && app.Source.Image == "":
		app.Source.Image = image
	}
}

// aboutImage reports whether a source says only how the image of the build section is taken.
func aboutImage(source *yaml.Node) bool {
	return len(without(without(source, "policy"), "copy").Content) == 0
}

// settleExperimental reads the keys that Fly moved out of its experimental section.
func settleExperimental(app *App) {
	e := app.Experimental
	if e == nil {
		return
	}
	if app.KillTimeout == nil {
		app.KillTimeout = e.KillTimeout
	}
	if len(app.Metrics) > 0 || e.MetricsPort == nil && e.MetricsPath == "" {
		return
	}
	m := Metrics{Path: e.MetricsPath}
	if e.MetricsPort != nil {
		m.Port = *e.MetricsPort
	}
	app.Metrics = []Metrics{m}
}

// ImageRef gives the reference of the image that the app runs, or "" where one is built.
func (a *App) ImageRef() string {
	if a.Source.Type == "image" {
		return a.Source.Image
	}
	if a.Build != nil {
		return a.Build.Image
	}
	return ""
}

// redactedTree gives the tree with the values of raw secrets replaced.
func redactedTree(tree *yaml.Node) *yaml.Node {
	secrets := lookup(tree, "secrets")
	if secrets == nil || secrets.Kind != yaml.SequenceNode {
		return tree
	}
	out := *tree
	out.Content = append([]*yaml.Node(nil), tree.Content...)
	list := *secrets
	list.Content = make([]*yaml.Node, len(secrets.Content))
	for i, item := range secrets.Content {
		list.Content[i] = redactedSecret(item)
	}
	out.Content[indexOf(tree, "secrets")+1] = &list
	return &out
}

func redactedSecret(item *yaml.Node) *yaml.Node {
	at := -1
	for _, key := range []string{"raw", "value"} {
		if at < 0 {
			at = indexOf(item, key)
		}
	}
	if at < 0 {
		return item
	}
	out := *item
	out.Content = append([]*yaml.Node(nil), item.Content...)
	out.Content[at+1] = textNode(redacted, item.Content[at+1])
	return &out
}
