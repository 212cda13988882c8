package manifest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"gopkg.in/yaml.v3"
)

// parseTOML gives a TOML text as the nodes that the same YAML would give, with places and comments.
func parseTOML(data []byte, lim Limits) (root *yaml.Node, faults []fault) {
	if !utf8.Valid(data) {
		return nil, []fault{{1, 1, "", "is not text in UTF-8"}}
	}
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	t := newTOMLReader(data, lim)
	defer func() {
		if p := recover(); p != nil {
			root, faults = nil, []fault{{1, 1, "", "is not TOML that can be understood"}}
		}
	}()
	if f := t.check(); f != nil {
		return nil, []fault{*f}
	}
	t.read()
	if len(t.faults) > 0 {
		return nil, t.faults
	}
	return expand(t.root, lim)
}

// tomlReader builds nodes from the expressions of a TOML text.
type tomlReader struct {
	data   []byte
	lim    Limits
	parser unstable.Parser
	lines  []int
	root   *yaml.Node
	// table is where key-values go; comments wait for the next key.
	table    *yaml.Node
	comments []string
	lastKey  *yaml.Node
	faults   []fault
}

func newTOMLReader(data []byte, lim Limits) *tomlReader {
	t := &tomlReader{data: data, lim: lim, lines: []int{0}}
	for i, b := range data {
		if b == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	t.root = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: 1}
	t.table = t.root
	t.parser.KeepComments = true
	t.parser.Reset(data)
	return t
}

// check lets the strict reader look for everything that is wrong by TOML's rules: keys that are
// written twice, tables that are opened again.
func (t *tomlReader) check() *fault {
	if f := t.depth(); f != nil {
		return f
	}
	var discard map[string]any
	err := toml.Unmarshal(t.data, &discard)
	if err == nil {
		return nil
	}
	f := fault{1, 1, "", "is not valid TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		f.line, f.column = de.Position()
	}
	return &f
}

// depth refuses deep nesting before the strict reader recurses into it.
func (t *tomlReader) depth() *fault {
	depth, quote := 0, byte(0)
	for i := 0; i < len(t.data); i++ {
		switch b := t.data[i]; {
		case quote != 0:
			if b == '\\' && quote == '"' {
				i++
			} else if b == quote || b == '\n' {
				quote = 0
			}
		case b == '"' || b == '\'':
			quote = b
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth = max(0, depth-1)
		}
		if depth > 8*t.lim.Depth {
			line, column := t.place(i)
			return &fault{line, column, "", fmt.Sprintf("is nested deeper than %d levels", t.lim.Depth)}
		}
	}
	return nil
}

func (t *tomlReader) read() {
	for t.parser.NextExpression() {
		e := t.parser.Expression()
		switch e.Kind {
		case unstable.Comment:
			t.comments = append(t.comments, string(e.Data))
		case unstable.KeyValue:
			t.keyValue(t.table, e, 1)
			t.trailing(e)
		case unstable.Table, unstable.ArrayTable:
			t.open(e)
			t.trailing(e)
		default:
		}
	}
	if err := t.parser.Error(); err != nil {
		t.faults = append(t.faults, fault{1, 1, "", "is not valid TOML: " + err.Error()})
	}
	if len(t.comments) > 0 {
		t.root.FootComment = strings.Join(t.comments, "\n")
	}
}

// trailing keeps the comment on an expression's own line.
func (t *tomlReader) trailing(e *unstable.Node) {
	if c := e.Next(); c.Valid() && c.Kind == unstable.Comment && t.lastKey != nil {
		t.lastKey.LineComment = string(c.Data)
	}
}

// place gives line and column of an offset, counted from 1.
func (t *tomlReader) place(offset int) (line, column int) {
	lo, hi := 0, len(t.lines)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; t.lines[mid] <= offset {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + 1, offset - t.lines[lo] + 1
}

func (t *tomlReader) keyNode(k *unstable.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tagStr, Value: string(k.Data)}
	n.Line, n.Column = t.place(int(k.Raw.Offset))
	t.lastKey = n
	return n
}

// takeComments gives the waiting comments to a key.
func (t *tomlReader) takeComments(k *yaml.Node) {
	k.HeadComment = strings.Join(t.comments, "\n")
	t.comments = nil
}

// open makes the table of a [header] or the next item of an [[array]] current.
func (t *tomlReader) open(e *unstable.Node) {
	at := t.root
	it := e.Key()
	for it.Next() {
		k := it.Node()
		last := it.IsLast() || it.Node().Next().Kind == unstable.Comment
		have := lookup(at, string(k.Data))
		if have == nil {
			kn := t.keyNode(k)
			have = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: kn.Line, Column: kn.Column}
			if last && e.Kind == unstable.ArrayTable {
				have.Kind, have.Tag = yaml.SequenceNode, "!!seq"
			} else if last {
				t.takeComments(kn)
			}
			at.Content = append(at.Content, kn, have)
		}
		if have.Kind == yaml.SequenceNode {
			have = t.item(have, k, last && e.Kind == unstable.ArrayTable)
		}
		at = have
		if last {
			break
		}
	}
	t.table = at
}

// item gives the last table of an array, or a new one.
func (t *tomlReader) item(list *yaml.Node, k *unstable.Node, fresh bool) *yaml.Node {
	if !fresh && len(list.Content) > 0 {
		return list.Content[len(list.Content)-1]
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	n.Line, n.Column = t.place(int(k.Raw.Offset))
	t.takeComments(n)
	t.lastKey = nil
	list.Content = append(list.Content, n)
	return n
}

// keyValue puts one key = value, whose key may be dotted, into a mapping.
func (t *tomlReader) keyValue(at *yaml.Node, e *unstable.Node, depth int) {
	it := e.Key()
	for it.Next() {
		k := it.Node()
		if it.IsLast() || k.Next().Kind == unstable.Comment {
			kn := t.keyNode(k)
			t.takeComments(kn)
			value := t.value(e.Value(), kn, depth+1)
			at.Content = append(at.Content, kn, value)
			t.lastKey = kn
			return
		}
		have := lookup(at, string(k.Data))
		if have == nil {
			kn := t.keyNode(k)
			have = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: kn.Line, Column: kn.Column}
			at.Content = append(at.Content, kn, have)
		}
		at = have
	}
}

func (t *tomlReader) value(v *unstable.Node, key *yaml.Node, depth int) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: key.Line, Column: key.Column}
	if v.Raw.Length > 0 {
		n.Line, n.Column = t.place(int(v.Raw.Offset))
	}
	if depth > t.lim.Depth {
		t.faults = append(t.faults, fault{n.Line, n.Column, key.Value, fmt.Sprintf("is nested deeper than %d levels", t.lim.Depth)})
		return n
	}
	switch v.Kind {
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
	switch v.Kind {
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
