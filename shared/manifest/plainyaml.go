package manifest

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// plainYAML reads the YAML that manifests are mostly written in: block mappings and lists, scalars on
// one line, flows on one line. It gives the same nodes as the full parser, but for comments, in a tenth
// of the time, and gives up, with false, at anything else: anchors, tags, texts of several lines, empty
// values, escapes, and whatever could be a mistake. The full parser then has the word.
func plainYAML(data []byte) (*yaml.Node, bool) {
	for _, c := range data {
		if c != '\n' && (c < 0x20 || c >= 0x7f) {
			return nil, false
		}
	}
	p := plain{text: string(data)}
	if !p.next() || p.indent != 0 {
		return nil, false
	}
	root := p.mapping(1)
	return root, !p.bad && p.end
}

// plain is the state of a reading: the line at hand, and where on it the reading is.
type plain struct {
	text string
	// rest is where the next line begins; line counts from 1.
	rest, line int
	// now is the line at hand without its indent; col is the column of its first letter.
	now         string
	indent, col int
	end, bad    bool
	depth       int
	spare       []yaml.Node
}

const plainDepth = 40

// fail gives up.
func (p *plain) fail() *yaml.Node {
	p.bad, p.end = true, true
	return nil
}

// next goes to the next line that holds something; it reports whether there is one.
func (p *plain) next() bool {
	for p.rest < len(p.text) {
		line := p.text[p.rest:]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		p.rest += len(line) + 1
		p.line++
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		p.indent = len(line) - len(body)
		p.col = p.indent + 1
		p.now = body
		marker := p.indent == 0 && (strings.HasPrefix(body, "---") || strings.HasPrefix(body, "...") || body[0] == '%')
		if len(line) > 1000 || marker {
			p.fail()
			return false
		}
		return true
	}
	p.end = true
	return false
}

func (p *plain) node(kind yaml.Kind, tag string, col int) *yaml.Node {
	if len(p.spare) == 0 {
		p.spare = make([]yaml.Node, 24)
	}
	n := &p.spare[0]
	p.spare = p.spare[1:]
	n.Kind, n.Tag, n.Line, n.Column = kind, tag, p.line, col
	return n
}

// mapping reads the keys at one column.
func (p *plain) mapping(col int) *yaml.Node {
	if p.depth++; p.depth > plainDepth {
		return p.fail()
	}
	m := p.node(yaml.MappingNode, "!!map", col)
	for !p.end && p.col == col {
		key, after := p.key()
		if p.bad {
			return nil
		}
		value := p.value(col, after)
		if p.bad {
			return nil
		}
		m.Content = append(m.Content, key, value)
	}
	if !p.end && p.col > col {
		return p.fail()
	}
	p.depth--
	return m
}

// key reads a plain key and gives what stands after its colon.
func (p *plain) key() (key *yaml.Node, after string) {
	i := strings.IndexByte(p.now, ':')
	if i <= 0 || i+1 < len(p.now) && p.now[i+1] != ' ' || !isPlainKey(p.now[:i]) {
		return p.fail(), ""
	}
	key = p.node(yaml.ScalarNode, tagStr, p.col)
	key.Value = p.now[:i]
	if key.Tag = plainTag(key.Value); key.Tag == tagMerge {
		return p.fail(), ""
	}
	p.advance(i + 1)
	return key, p.now
}

// advance moves on in the line, over spaces, up to a comment.
func (p *plain) advance(n int) {
	rest := p.now[n:]
	body := strings.TrimLeft(rest, " ")
	p.col += n + len(rest) - len(body)
	if len(body) < len(rest) && strings.HasPrefix(body, "#") {
		body = ""
	}
	p.now = body
}

func isPlainKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && c != '/') {
			return false
		}
	}
	return true
}

// value reads what belongs to a key at a column: the rest of its line, or the block below it.
func (p *plain) value(col int, after string) *yaml.Node {
	if after != "" {
		v := p.inline(false)
		p.finish(col)
		return v
	}
	if !p.next() {
		return p.fail()
	}
	item := strings.HasPrefix(p.now, "- ")
	switch {
	case item && p.col >= col:
		return p.list(p.col, col)
	case !item && p.col > col:
		return p.mapping(p.col)
	default:
		return p.fail()
	}
}

// finish ends a line after a value and goes to the next; a line further in would go on with the value.
func (p *plain) finish(col int) {
	if p.bad {
		return
	}
	if p.now != "" {
		p.fail()
		return
	}
	if p.next() && p.col > col {
		p.fail()
	}
}

// list reads the items at one column; it belongs to a key at another, which may be the same.
func (p *plain) list(col, parent int) *yaml.Node {
	if p.depth++; p.depth > plainDepth {
		return p.fail()
	}
	l := p.node(yaml.SequenceNode, "!!seq", col)
	for !p.end && p.col == col && strings.HasPrefix(p.now, "- ") {
		p.advance(1)
		var item *yaml.Node
		switch {
		case p.now == "" || strings.HasPrefix(p.now, "- "):
			return p.fail()
		case p.startsKey():
			item = p.mapping(p.col)
		default:
			item = p.inline(false)
			p.finish(col)
		}
		if p.bad {
			return nil
		}
		l.Content = append(l.Content, item)
	}
	if !p.end && (p.col > parent || p.col == col && col > parent) {
		return p.fail()
	}
	p.depth--
	return l
}

// startsKey reports whether an item of a list begins with a key.
func (p *plain) startsKey() bool {
	i := strings.IndexByte(p.now, ':')
	return i > 0 && isPlainKey(p.now[:i]) && (i+1 == len(p.now) || p.now[i+1] == ' ')
}

// inline reads a value that stands on one line.
func (p *plain) inline(flow bool) *yaml.Node {
	switch p.now[0] {
	case '[':
		return p.flow(yaml.SequenceNode, "!!seq", ']')
	case '{':
		return p.flow(yaml.MappingNode, "!!map", '}')
	case '"', '\'':
		return p.quoted()
	default:
		return p.scalar(flow)
	}
}

// quoted reads a text in quotes that has nothing to unescape.
func (p *plain) quoted() *yaml.Node {
	quote := p.now[0]
	end := strings.IndexByte(p.now[1:], quote) + 1
	if end < 1 || quote == '"' && strings.IndexByte(p.now[:end], '\\') >= 0 || end+1 < len(p.now) && strings.IndexByte(" ,]}", p.now[end+1]) < 0 {
		return p.fail()
	}
	n := p.node(yaml.ScalarNode, tagStr, p.col)
	n.Value, n.Style = p.now[1:end], yaml.SingleQuotedStyle
	if quote == '"' {
		n.Style = yaml.DoubleQuotedStyle
	}
	p.advance(end + 1)
	return n
}

// scalar reads a plain scalar up to the end of the line, or in a flow up to its next sign.
func (p *plain) scalar(flow bool) *yaml.Node {
	s := p.now
	if strings.IndexByte(",[]{}#&*!|>'\"%@`?:", s[0]) >= 0 || s[0] == '-' && (len(s) == 1 || s[1] == ' ' || flow) {
		return p.fail()
	}
	end := len(s)
	if flow {
		if i := strings.IndexAny(s, ",]}"); i >= 0 {
			end = i
		}
		if strings.ContainsAny(s[:end], "[{:?#") {
			return p.fail()
		}
	} else if i := strings.Index(s, " #"); i >= 0 {
		end = i
	}
	value := strings.TrimRight(s[:end], " ")
	if strings.Contains(value, ": ") || strings.HasSuffix(value, ":") {
		return p.fail()
	}
	n := p.node(yaml.ScalarNode, "", p.col)
	n.Value = value
	n.Tag = plainTag(value)
	if n.Tag == tagMerge {
		return p.fail()
	}
	p.advance(end)
	return n
}
