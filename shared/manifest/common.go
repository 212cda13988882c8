package manifest

import (
	"maps"
	"regexp"

	"gopkg.in/yaml.v3"
)

// common is what the enclosing projects, outermost first, have to say about an app.
type common struct {
	projects []string
	// written are the trees as projects wrote them; defaults and overrides have their variables
	// filled in.
	written     [2]*yaml.Node
	defaults    *yaml.Node
	overrides   *yaml.Node
	subs        []substitution
	vars        map[string]string
	discoverFly bool
	// allows are the policies of the projects that have one.
	allows []allowance
	// told is the notify of the tree's own projects, for apps of foreign repositories: these may not add to it.
	told *yaml.Node
	// origin says which project's file a node of the two trees comes from.
	origin map[*yaml.Node]manifestFile
	// faults are variables that the two trees use and nobody defines; they matter once there is an app.
	faults []Problem
}

type substitution struct {
	pattern string
	find    *regexp.Regexp
	text    string
}

// with lays a project's settings over those of the projects around it.
func (c *common) with(d *decoder, f manifestFile, root *yaml.Node, p *Project) *common {
	settings := lookup(root, "common")
	inner := &common{
		projects:    append(c.projects[:len(c.projects):len(c.projects)], p.Name),
		subs:        c.substitutions(d, lookup(settings, "substitutions")),
		vars:        c.vars,
		discoverFly: c.discoverFly || len(p.Discover) > 0,
		allows:      c.allows,
		told:        c.told,
		origin:      maps.Clone(c.origin),
	}
	if inner.origin == nil {
		inner.origin = map[*yaml.Node]manifestFile{}
	}
	if p.Common.Vars != nil {
		inner.vars = maps.Clone(c.vars)
		if inner.vars == nil {
			inner.vars = map[string]string{}
		}
		maps.Copy(inner.vars, p.Common.Vars)
	}
	defaults := mappingOf(d, "common.app_defaults", lookup(settings, "app_defaults"))
	if policy := mappingOf(d, "sync", lookup(root, "sync")); policy != nil {
		wrapped := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{textNode("sync", policy), policy}}
		defaults = merged(wrapped, defaults, true)
	}
	if told := lookup(root, "notify"); told != nil && told.Kind == yaml.SequenceNode {
		wrapped := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{textNode("notify", told), told}}
		defaults = merged(wrapped, defaults, true)
	}
	overrides := mappingOf(d, "common.app_overrides", lookup(settings, "app_overrides"))
	inner.written[0] = merged(c.written[0], defaults, true)
	inner.written[1] = merged(c.written[1], overrides, true)
	inner.from(f, inner.written[0])
	inner.from(f, inner.written[1])
	inner.defaults = inner.fill(inner.written[0])
	inner.overrides = inner.fill(inner.written[1])
	return inner
}

// from notes that all nodes of a tree that are not known yet come from a file.
func (c *common) from(f manifestFile, n *yaml.Node) {
	if n == nil {
		return
	}
	if _, known := c.origin[n]; !known {
		c.origin[n] = f
	}
	for _, child := range n.Content {
		c.from(f, child)
	}
}

func mappingOf(d *decoder, key string, n *yaml.Node) *yaml.Node {
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.report(n, key, "expected keys and values, found "+describe(n))
		return nil
	}
	return n
}

// substitutions adds a project's own to those around it; the same pattern written again changes its
// text and keeps its place.
func (c *common) substitutions(d *decoder, n *yaml.Node) []substitution {
	out := append([]substitution(nil), c.subs...)
	n = mappingOf(d, "common.substitutions", n)
	if n == nil {
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := "common.substitutions." + clip(k.Value)
		if v.Kind != yaml.ScalarNode {
			d.report(v, key, "expected text, found "+describe(v))
			continue
		}
		find, err := regexp.Compile(k.Value)
		if err != nil {
			d.report(k, key, "is not a regular expression: "+err.Error())
			continue
		}
		out = replaceOrAppend(out, substitution{k.Value, find, scalarText(v)})
	}
	return out
}

func replaceOrAppend(subs []substitution, s substitution) []substitution {
	for i := range subs {
		if subs[i].pattern == s.pattern {
			subs[i] = s
			return subs
		}
	}
	return append(subs, s)
}

// fill gives a tree with its variables filled in; what has none is shared.
func (c *common) fill(n *yaml.Node) *yaml.Node {
	if n == nil || c.vars == nil {
		return n
	}
	if n.Kind == yaml.ScalarNode {
		return c.fillScalar(n)
	}
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		out.Content[i] = child
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			out.Content[i] = c.fill(child)
		}
	}
	c.origin[&out] = c.origin[n]
	return &out
}

func (c *common) fillScalar(n *yaml.Node) *yaml.Node {
	text, bad := expandVars(n.Value, c.vars)
	for _, x := range bad {
		c.faults = append(c.faults, c.origin[n].problem(fault{n.Line, n.Column, "", x.text}, true))
	}
	if text == n.Value {
		return n
	}
	out := *n
	out.Value = text
	if n.Style&quotedStyle == 0 {
		out.Tag = plainTag(text)
	}
	c.origin[&out] = c.origin[n]
	return &out
}

// plainTag gives the tag that YAML gives to an unquoted text.
func plainTag(text string) string {
	probe := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	return probe.ShortTag()
}
