package manifest

import (
	"errors"
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

func (t *tomlReader) read() {
	for t.parser.NextExpression() {
		e := t.parser.Expression()
		switch e.Kind { //nolint:exhaustive // nothing else stands at the top of a text.
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
