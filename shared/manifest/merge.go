package manifest

import (
	"encoding/json"

	"gopkg.in/yaml.v3"
)

// merged lays over over base: maps merge deeply, lists append what is not there yet, scalars replace, a
// null in over leaves the base. Neither is changed. A mapping made of two is placed where the one that
// ownsPlace says is: over, or else base.
func merged(base, over *yaml.Node, overOwnsPlace bool) *yaml.Node {
	switch {
	case over == nil || isNull(over) && base != nil:
		return base
	case base == nil || isNull(base):
		return over
	case base.Kind != over.Kind:
		return over
	case over.Kind == yaml.MappingNode:
		return mergedMaps(base, over, overOwnsPlace)
	case over.Kind == yaml.SequenceNode:
		return mergedLists(base, over, overOwnsPlace)
	default:
		return over
	}
}

// placed copies a node's place and looks; the result is written as a flow only if both were.
func placed(base, over *yaml.Node, overOwnsPlace bool) *yaml.Node {
	out := *base
	if overOwnsPlace {
		out = *over
	}
	if base.Style&over.Style&yaml.FlowStyle == 0 {
		out.Style &^= yaml.FlowStyle
	}
	out.Anchor = ""
	return &out
}

func mergedMaps(base, over *yaml.Node, overOwnsPlace bool) *yaml.Node {
	out := placed(base, over, overOwnsPlace)
	out.Content = make([]*yaml.Node, len(base.Content), len(base.Content)+len(over.Content))
	copy(out.Content, base.Content)
	find := finder(base, len(over.Content))
	for i := 0; i+1 < len(over.Content); i += 2 {
		k, v := over.Content[i], over.Content[i+1]
		at := find(k.Value)
		if at < 0 {
			out.Content = append(out.Content, k, v)
			continue
		}
		out.Content[at+1] = merged(out.Content[at+1], v, overOwnsPlace)
		if out.Content[at+1] == v {
			out.Content[at] = k
		}
	}
	return out
}

func indexOf(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// large is the number of comparisons beyond which an index pays.
const large = 1 << 12

// finder gives the search for keys in a mapping that will be asked n times.
func finder(m *yaml.Node, n int) func(string) int {
	if len(m.Content)*n < large {
		return func(key string) int { return indexOf(m, key) }
	}
	index := make(map[string]int, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		index[m.Content[i].Value] = i
	}
	return func(key string) int {
		if i, ok := index[key]; ok {
			return i
		}
		return -1
	}
}

func mergedLists(base, over *yaml.Node, overOwnsPlace bool) *yaml.Node {
	out := placed(base, over, overOwnsPlace)
	out.Content = append([]*yaml.Node(nil), base.Content...)
	if (len(base.Content)+len(over.Content))*len(over.Content) > large {
		appendNew(out, over)
		return out
	}
	for _, item := range over.Content {
		if !contains(out.Content, item) {
			out.Content = append(out.Content, item)
		}
	}
	return out
}

// appendNew is the loop of mergedLists for long lists: it compares canonical texts.
func appendNew(out, over *yaml.Node) {
	have := make(map[string]bool, len(out.Content))
	for _, item := range out.Content {
		have[canonical(item)] = true
	}
	for _, item := range over.Content {
		if text := canonical(item); !have[text] {
			have[text] = true
			out.Content = append(out.Content, item)
		}
	}
}

// canonical gives equal texts for trees that are equal.
func canonical(n *yaml.Node) string {
	text, err := json.Marshal(valueOf(n))
	if err != nil {
		return n.Value
	}
	return string(text)
}

func contains(items []*yaml.Node, item *yaml.Node) bool {
	for _, other := range items {
		if equal(other, item) {
			return true
		}
	}
	return false
}

// equal compares two trees by what they say, not by how they are written; the order of keys does not
// count.
func equal(a, b *yaml.Node) bool {
	if a == b {
		return true
	}
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind == yaml.ScalarNode {
		return a.Value == b.Value && a.Tag == b.Tag || scalarValue(a) == scalarValue(b)
	}
	step := 1
	if a.Kind == yaml.MappingNode {
		step = 2
	}
	for i := 0; i+step <= len(a.Content); i += step {
		other := b.Content[i]
		if step == 2 {
			other = lookup(b, a.Content[i].Value)
		}
		if other == nil || !equal(a.Content[i+step-1], other) {
			return false
		}
	}
	return true
}
