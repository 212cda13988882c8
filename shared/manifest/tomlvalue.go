package manifest

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"gopkg.in/yaml.v3"
)

// value gives the node of a value; it is placed at its key where the parser does not say where it is.
func (t *tomlReader) value(v *unstable.Node, key *yaml.Node, depth int) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: key.Line, Column: key.Column}
	if v.Raw.Length > 0 {
		n.Line, n.Column = t.place(int(v.Raw.Offset))
	}
	if depth > t.lim.Depth {
		t.faults = append(t.faults, fault{n.Line, n.Column, key.Value, fmt.Sprintf("is nested deeper than %d levels", t.lim.Depth)})
		return n
	}
	switch v.Kind { //nolint:exhaustive // all others are scalars.
	case unstable.Array:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		t.items(n, v, depth)
	case unstable.InlineTable:
		n.Kind, n.Tag, n.Style = yaml.MappingNode, "!!map", yaml.FlowStyle
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				t.keyValue(n, it.Node(), depth)
			} else {
				t.comments = append(t.comments, string(it.Node().Data))
			}
		}
	default:
		n.Tag, n.Value = tomlScalar(v)
		if _, word := boolOf(n); word && n.Tag == tagStr {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	return n
}

// items reads an array; comments in it stay with the item on their line, else with the one after
// them. An array on one line is written as a flow.
func (t *tomlReader) items(n *yaml.Node, v *unstable.Node, depth int) {
	flow := true
	outer := t.comments
	t.comments = nil
	for it := v.Children(); it.Next(); {
		child := it.Node()
		if child.Kind == unstable.Comment {
			t.itemComment(n, child)
			for c := child.Child(); c.Valid(); c = c.Next() {
				t.itemComment(n, c)
			}
			flow = false
			continue
		}
		above := t.comments
		t.comments = nil
		item := t.value(child, n, depth+1)
		item.HeadComment = strings.Join(append(above, t.comments...), "\n")
		t.comments = nil
		flow = flow && item.Line == n.Line && item.Kind == yaml.ScalarNode
		n.Content = append(n.Content, item)
	}
	if last := len(n.Content) - 1; last >= 0 {
		n.Content[last].FootComment = strings.Join(t.comments, "\n")
		t.comments = nil
	}
	t.comments = append(outer, t.comments...)
	if flow {
		n.Style = yaml.FlowStyle
	}
}

func (t *tomlReader) itemComment(n *yaml.Node, c *unstable.Node) {
	line, _ := t.place(int(c.Raw.Offset))
	if last := len(n.Content) - 1; last >= 0 && n.Content[last].Line == line && len(t.comments) == 0 {
		n.Content[last].LineComment = string(c.Data)
		return
	}
	t.comments = append(t.comments, string(c.Data))
}

// tomlScalar gives tag and text as YAML would write them.
func tomlScalar(v *unstable.Node) (tag, value string) {
	text := string(v.Data)
	switch v.Kind { //nolint:exhaustive // all others are read as text.
	case unstable.Bool:
		return tagBool, text
	case unstable.Integer:
		if i, ok := intValue(text).(int64); ok {
			return tagInt, strconv.FormatInt(i, 10)
		}
		return tagInt, text
	case unstable.Float:
		f, _ := floatValue(text).(float64)
		switch {
		case math.IsNaN(f):
			return tagFloat, ".nan"
		case math.IsInf(f, 0):
			return tagFloat, strings.TrimSuffix(strings.TrimPrefix(text, "+"), "inf") + ".inf"
		default:
			return tagFloat, strings.ReplaceAll(text, "_", "")
		}
	case unstable.LocalDate, unstable.LocalDateTime, unstable.DateTime:
		return tagTime, text
	default:
		return tagStr, text
	}
}
