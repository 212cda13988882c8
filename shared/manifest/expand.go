package manifest

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// expander replaces aliases by what they stand for and applies merge keys. Aliases share their
// target's node, so that the result is small in memory; its size when written out is bounded.
type expander struct {
	lim     Limits
	aliases int
	faults  []fault
	known   map[*yaml.Node]extent
}

// extent is how large a node is when all aliases are written out.
type extent struct {
	size, depth int
	open        bool
	node        *yaml.Node
}

// maxNodes bounds an expanded file: more than a file of the largest size can hold without aliases.
func (l Limits) maxNodes() int { return int(l.FileBytes) }

func expand(n *yaml.Node, lim Limits) (*yaml.Node, []fault) {
	x := expander{lim: lim}
	out, e := x.node(n, 1)
	if len(x.faults) == 0 && e.size > lim.maxNodes() {
		x.fail(n, "grows beyond %d values through its aliases; write it with fewer", lim.maxNodes())
	}
	if len(x.faults) == 0 && e.depth > lim.Depth {
		x.fail(n, "is nested deeper than %d levels through its aliases", lim.Depth)
	}
	return out, x.faults
}

func (x *expander) fail(n *yaml.Node, format string, args ...any) {
	if len(x.faults) < 100 {
		x.faults = append(x.faults, fault{n.Line, n.Column, "", fmt.Sprintf(format, args...)})
	}
}

func (x *expander) node(n *yaml.Node, depth int) (*yaml.Node, extent) {
	if depth > x.lim.Depth {
		x.fail(n, "is nested deeper than %d levels", x.lim.Depth)
		return n, extent{}
	}
	if n.Kind == yaml.AliasNode {
		return x.alias(n, depth)
	}
	if n.Anchor == "" {
		return x.inside(n, depth)
	}
	if e, ok := x.known[n]; ok {
		if e.open {
			x.fail(n, "the anchor &%s contains itself", clip(n.Anchor))
		}
		return e.node, e
	}
	if x.known == nil {
		x.known = map[*yaml.Node]extent{}
	}
	x.known[n] = extent{open: true, node: n}
	out, e := x.inside(n, depth)
	e.node = out
	x.known[n] = e
	return out, e
}

func (x *expander) alias(n *yaml.Node, depth int) (*yaml.Node, extent) {
	x.aliases++
	if x.aliases > x.lim.Aliases {
		if x.aliases == x.lim.Aliases+1 {
			x.fail(n, "uses more than %d aliases", x.lim.Aliases)
		}
		return n, extent{}
	}
	out, e := x.node(n.Alias, depth)
	if out.Anchor != "" {
		plain := *out
		plain.Anchor, plain.HeadComment, plain.LineComment, plain.FootComment = "", "", "", ""
		out = &plain
	}
	return out, e
}

// inside expands what a node holds.
func (x *expander) inside(n *yaml.Node, depth int) (*yaml.Node, extent) {
	e := extent{size: 1, depth: 1}
	merges := false
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		if isKey && child.Kind == yaml.ScalarNode {
			merges = merges || child.Tag == tagMerge
			if isNull(child) {
				x.fail(child, "expected text as a key, found nothing")
			}
			continue
		}
		out, ce := x.node(child, depth+1)
		n.Content[i] = out
		if isKey && out.Kind != yaml.ScalarNode {
			x.fail(child, "expected text as a key, found %s", describe(out))
		}
		e.size, e.depth = min(e.size+ce.size, 1<<40), max(e.depth, ce.depth+1)
	}
	if n.Kind != yaml.MappingNode || len(x.faults) > 0 {
		return n, e
	}
	x.twice(n)
	if merges {
		x.merge(n)
	}
	return n, e
}

// twice finds keys that are written twice.
func (x *expander) twice(n *yaml.Node) {
	var seen map[string]*yaml.Node
	if len(n.Content) > 32 {
		seen = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		first := seen[k.Value]
		for j := 0; seen == nil && j < i && first == nil; j += 2 {
			if n.Content[j].Value == k.Value {
				first = n.Content[j]
			}
		}
		if seen != nil && first == nil {
			seen[k.Value] = k
		}
		if first != nil && k.Tag != tagMerge {
			x.faults = append(x.faults, fault{k.Line, k.Column, k.Value, fmt.Sprintf("is written twice; the first is on line %d", first.Line)})
		}
	}
}

// merge applies the << keys of a mapping: what is written beside them wins, and the first of several.
func (x *expander) merge(n *yaml.Node) {
	var own, merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag != tagMerge {
			own = append(own, k, v)
			continue
		}
		sources := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			sources = v.Content
		}
		for _, s := range sources {
			if s.Kind != yaml.MappingNode {
				x.fail(k, "expected keys and values after <<, found %s", describe(s))
				continue
			}
			merged = append(merged, s.Content...)
		}
	}
	have := make(map[string]bool, len(own)/2)
	for i := 0; i < len(own); i += 2 {
		have[own[i].Value] = true
	}
	for i := 0; i+1 < len(merged); i += 2 {
		if !have[merged[i].Value] {
			have[merged[i].Value] = true
			own = append(own, merged[i], merged[i+1])
		}
	}
	n.Content = own
}

// stripAnchors forgets the anchors of an expanded tree, for writing it out, and writes nulls as such.
func stripAnchors(n *yaml.Node) *yaml.Node {
	out := *n
	out.Anchor = ""
	if isNull(n) {
		out.Value = "null"
	}
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		out.Content[i] = stripAnchors(child)
	}
	return &out
}
