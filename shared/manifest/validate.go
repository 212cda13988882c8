package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// checker checks what an app's keys say together, once each of them can be read.
type checker struct {
	*decoder
	tree *yaml.Node
	app  *App
}

// validate looks for what Fly, or FlyCD, would refuse later.
func (a *appReader) validate(d *decoder, tree *yaml.Node, app *App) {
	c := checker{d, tree, app}
	c.name()
	c.source(a.file)
	c.regions()
	c.deploySection()
	c.checks()
	c.services()
	c.groups()
	c.mounts()
	c.volumes()
	c.secrets()
	c.build()
	c.images()
	c.network()
	c.commands()
	c.served()
	c.once()
	c.machineConfig()
	c.schedules()
	c.certs()
	c.addons()
	c.depends()
	c.probes()
	c.sync()
	c.notices()
}

// bad reports a problem at a dotted key, at the place of the innermost part of it that is written.
func (c checker) bad(key, format string, args ...any) {
	c.report(nodeAt(c.tree, key), key, fmt.Sprintf(format, args...))
}

// ignored reports what flyctl accepts and leaves out in silence. It is a mistake, or where people are
// lenient with unknown keys, worth a note.
func (c checker) ignored(key, format string, args ...any) {
	if c.lenient {
		c.note(key, format, args...)
		return
	}
	c.bad(key, format, args...)
}

func (c checker) note(key, format string, args ...any) {
	c.warn(nodeAt(c.tree, key), key, fmt.Sprintf(format, args...))
}

// nodeAt gives the node of a dotted key, or of the innermost part of it that exists.
func nodeAt(n *yaml.Node, key string) *yaml.Node {
	for part := range strings.FieldsFuncSeq(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := lookup(n, part)
		if n.Kind == yaml.SequenceNode {
			i := 0
			if _, err := fmt.Sscanf(part, "%d", &i); err == nil && i < len(n.Content) {
				next = n.Content[i]
			}
		} else if part == "0" && next == nil {
			continue
		}
		for _, other := range otherSpellings(part) {
			next = first(next, lookup(n, other))
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// otherSpellings gives the old names of sections.
func otherSpellings(section string) []string {
	switch section {
	case "mounts":
		return []string{"mount"}
	case "metrics":
		return []string{"metric"}
	case "vm":
		return []string{"compute", "computes"}
	default:
		return nil
	}
}

func (c checker) name() {
	switch {
	case c.app.Name == "":
		c.bad("app", "is missing; say what the app is called on Fly (app: my-app)")
	case !isLabel(c.app.Name) || strings.ToLower(c.app.Name) != c.app.Name:
		c.bad("app", "expected a name of small letters, digits and dashes, at most 63, found %q", clip(c.app.Name))
	}
}

func (c checker) source(f manifestFile) {
	src := c.app.Source
	switch src.Type {
	case "git":
		c.gitSource(src)
	case "local":
		c.localSource(f, src)
	case "inline-docker-file":
		if strings.TrimSpace(src.Inline) == "" {
			c.bad("source.inline", "is missing; write the Dockerfile there")
		}
	case "image":
		if src.Image == "" {
			c.bad("source.image", "is missing; say which image the app runs")
		}
	case "":
		c.bad("source.type", "is missing; expected git, local, inline-docker-file or image")
	}
	if keyed(src.Repo) {
		c.bad("source.repo", keyedText)
	}
	validateRef(c.decoder, lookup(c.tree, "source"), src.Ref)
}

func (c checker) gitSource(src Source) {
	if src.Repo == "" {
		c.bad("source.repo", "is missing; say which repository the app is in")
	}
	if leaves(strings.TrimLeft(src.Path, "/")) {
		c.bad("source.path", "leaves the repository; name a folder inside it")
	}
}

func (c checker) localSource(f manifestFile, src Source) {
	dir := path.Join(f.dir(), src.Path)
	switch {
	case path.IsAbs(src.Path):
		c.bad("source.path", "expected a folder relative to this file, not an absolute path")
	case leaves(dir):
		c.bad("source.path", "leaves the repository that this file is in; name a folder inside it, or use source.type git")
	case dir != f.dir() && !f.repo.isDir(dir):
		c.bad("source.path", "there is no folder %s", clip(dir))
	}
	if src.Repo != "" {
		c.note("source.repo", "has no effect with source.type local")
	}
}

func leaves(p string) bool {
	p = path.Clean(p)
	return p == ".." || strings.HasPrefix(p, "../")
}

// validateRef checks that a source names one commit in one way.
func validateRef(d *decoder, source *yaml.Node, ref Ref) {
	set := 0
	for _, s := range []string{ref.Branch, ref.Tag, ref.Commit, ref.Semver, ref.Name} {
		if s != "" {
			set++
		}
	}
	n := lookup(source, "ref")
	if set > 1 {
		d.report(n, "source.ref", "expected one of branch, tag, commit, semver and name, not several")
	}
	if why := rangeFault(ref.Semver); why != "" {
		d.report(nodeAt(n, "semver"), "source.ref.semver", why)
	}
}

func (c checker) regions() {
	for i, region := range c.app.ExtraRegions {
		if region == "" {
			c.bad(fmt.Sprintf("extra_regions[%d]", i), "expected a region such as ams, found nothing")
		}
	}
}

// groupNames gives the process groups, sorted: those of processes, else app.
func (a *App) groupNames() []string {
	names := make([]string, 0, len(a.Processes))
	for name := range a.Processes {
		names = append(names, name)
	}
	if len(names) == 0 {
		return []string{"app"}
	}
	slices.Sort(names)
	return names
}

// defaultGroup is the group of a section that names none.
func (a *App) defaultGroup() string {
	names := a.groupNames()
	if slices.Contains(names, "app") {
		return "app"
	}
	return names[0]
}

// first gives the first node that there is.
func first(nodes ...*yaml.Node) *yaml.Node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}
