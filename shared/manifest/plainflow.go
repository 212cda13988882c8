package manifest

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// flow reads a [list] or a {mapping} that stands on one line.
func (p *plain) flow(kind yaml.Kind, tag string, closing byte) *yaml.Node {
	if p.depth++; p.depth > plainDepth {
		return p.fail()
	}
	n := p.node(kind, tag, p.col)
	n.Style = yaml.FlowStyle
	p.advance(1)
	for first := true; ; first = false {
		if p.now == "" {
			return p.fail()
		}
		if first && p.now[0] == closing {
			break
		}
		if kind == yaml.MappingNode && !p.flowKey(n) {
			return nil
		}
		item := p.inline(true)
		if p.bad || p.now == "" {
			return p.fail()
		}
		n.Content = append(n.Content, item)
		if p.now[0] == closing {
			break
		}
		if p.now[0] != ',' {
			return p.fail()
		}
		p.advance(1)
	}
	p.close()
	p.depth--
	return n
}

// close steps over the end of a flow, which must be followed by a space, another sign or nothing.
func (p *plain) close() {
	if len(p.now) > 1 && strings.IndexByte(" ,]}", p.now[1]) < 0 {
		p.fail()
		return
	}
	p.advance(1)
}

// flowKey reads a key of a flow mapping; its value must follow.
func (p *plain) flowKey(n *yaml.Node) bool {
	key, after := p.key()
	if p.bad || after == "" || strings.IndexByte(",]}", after[0]) >= 0 {
		p.fail()
		return false
	}
	n.Content = append(n.Content, key)
	return true
}
