package manifest

import (
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// lookup gives the value of a key of a mapping, or nil.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func hasKey(n *yaml.Node, key string) bool { return lookup(n, key) != nil }

// saysNothing is true of a value that is empty, false or 0.
func saysNothing(n *yaml.Node) bool {
	switch value := scalarValue(n).(type) {
	case nil:
		return true
	case bool:
		return !value
	case int64:
		return value == 0
	default:
		return n.Kind == yaml.ScalarNode && n.Value == "" || n.Kind != yaml.ScalarNode && len(n.Content) == 0
	}
}

// without gives the mapping less one key.
func without(n *yaml.Node, key string) *yaml.Node {
	out := *n
	out.Content = make([]*yaml.Node, 0, len(n.Content))
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			out.Content = append(out.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &out
}

// textNode makes a text at the place of another node.
func textNode(text string, at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagStr, Value: text, Line: at.Line, Column: at.Column}
}

// scalarValue gives a scalar as nil, bool, int64, uint64, float64 or string.
func scalarValue(n *yaml.Node) any {
	switch n.Tag {
	case tagNull:
		return nil
	case tagBool:
		return strings.EqualFold(n.Value, "true")
	case tagInt:
		return intValue(n.Value)
	case tagFloat:
		return floatValue(n.Value)
	default:
		return n.Value
	}
}

func intValue(s string) any {
	plain := strings.ReplaceAll(s, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return u
	}
	if i, err := strconv.ParseInt(strings.TrimLeft(plain, "+"), 10, 64); err == nil {
		return i
	}
	return s
}

func floatValue(s string) any {
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case ".inf", "inf":
		if strings.HasPrefix(s, "-") {
			return math.Inf(-1)
		}
		return math.Inf(1)
	case ".nan", "nan":
		return math.NaN()
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil {
		return s
	}
	return f
}

// valueOf gives a tree of nodes without aliases as maps, slices and scalars that encoding/json
// takes.
func valueOf(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = valueOf(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		s := make([]any, len(n.Content))
		for i, item := range n.Content {
			s[i] = valueOf(item)
		}
		return s
	case yaml.ScalarNode:
		value := scalarValue(n)
		if f, ok := value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return n.Value
		}
		return value
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return nil
}
