package manifest

import (
	"fmt"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder reads one effective tree into the model and collects what is wrong with it.
type decoder struct {
	lenient bool
	// report takes a problem at a node; the decoder fills in the key.
	report func(n *yaml.Node, key, text string)
	warn   func(n *yaml.Node, key, text string)
	// origin says which nodes come from another file than the others.
	origin map[*yaml.Node]manifestFile
	path   []step
}

// step is one part of a dotted key: a name, or an index where name is empty.
type step struct {
	name  string
	index int
}

func (d *decoder) push(name string)   { d.path = append(d.path, step{name: name}) }
func (d *decoder) pushIndex(i int)    { d.path = append(d.path, step{index: i}) }
func (d *decoder) pop()               { d.path = d.path[:len(d.path)-1] }
func (d *decoder) key() string        { return joinSteps(d.path) }
func (d *decoder) at(n string) string { d.push(n); defer d.pop(); return d.key() }

// joinSteps gives a dotted key such as services[0].ports[1].port.
func joinSteps(path []step) string {
	var b strings.Builder
	for _, s := range path {
		switch {
		case s.name == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case b.Len() > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.report(n, d.key(), fmt.Sprintf(format, args...))
}

// setStruct reads a mapping into a struct. Unknown keys are problems, with the nearest known key. The form
// is an example for who writes something else.
func setStruct(p *structPlan, form string) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if isNull(n) {
			return
		}
		if n.Kind != yaml.MappingNode {
			d.fail(n, "expected keys and values%s, found %s", form, describe(n))
			return
		}
		if p.aliases {
			d.twice(p, n)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.field(p, n.Content[i], n.Content[i+1], v)
		}
		for i := range p.fields {
			if f := &p.fields[i]; f.rule.required && v.FieldByIndex(f.index).IsZero() && !hasKey(n, f.key) {
				d.report(n, d.at(f.key), "is missing")
			}
		}
	}
}

// twice looks for keys of one value that a file writes in two spellings. Lists are not looked at: they add up.
func (d *decoder) twice(p *structPlan, n *yaml.Node) {
	written := map[int]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at, ok := p.keys[k.Value]
		if !ok || p.fields[at].typ.Kind() == reflect.Slice {
			continue
		}
		if before, seen := written[at]; seen && d.origin[before] == d.origin[k] {
			d.report(k, d.at(k.Value), fmt.Sprintf("is another spelling of %s on line %d; write one of them", before.Value, before.Line))
		}
		written[at] = k
	}
}

// field reads one key of a struct.
func (d *decoder) field(p *structPlan, k, val *yaml.Node, v reflect.Value) {
	i, ok := p.keys[k.Value]
	if !ok {
		if p.rest >= 0 {
			d.restField(p, k, val, v)
			return
		}
		d.unknown(p, k, val)
		return
	}
	f := &p.fields[i]
	d.push(k.Value)
	f.set(d, val, v.FieldByIndex(f.index))
	d.pop()
}

// restField reads a key of no field's name into the field that takes the rest.
func (d *decoder) restField(p *structPlan, k, val *yaml.Node, v reflect.Value) {
	if val.Kind != yaml.MappingNode {
		d.unknown(p, k, val)
		return
	}
	f := &p.fields[p.rest]
	m := v.FieldByIndex(f.index)
	if m.IsNil() {
		m.Set(reflect.MakeMap(f.typ))
	}
	one := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{k, val}, Line: k.Line, Column: k.Column}
	f.set(d, one, m)
}

func (d *decoder) unknown(p *structPlan, k, val *yaml.Node) {
	if key, ok := p.dead[k.Value]; ok {
		if key.asks && !saysNothing(val) && !d.lenient {
			d.report(k, d.at(k.Value), key.text)
			return
		}
		d.warn(k, d.at(k.Value), key.text)
		return
	}
	if len(d.path) == 0 && strings.HasPrefix(k.Value, "x-") {
		return
	}
	known := make([]string, 0, len(p.keys))
	for name := range p.keys {
		known = append(known, name)
	}
	text := "unknown key"
	near := nearest(k.Value, known)
	if near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	if d.lenient && !d.policy(near) {
		d.warn(k, d.at(k.Value), text)
		return
	}
	d.report(k, d.at(k.Value), text)
}

// policy reports whether a key is, or may be meant as, part of a policy: leniency must not open what it closes.
func (d *decoder) policy(near string) bool {
	return near == "allow" && len(d.path) == 0 || len(d.path) > 0 && d.path[0].name == "allow"
}

// setPointer reads into a new value; a null leaves nil.
func setPointer(t reflect.Type, elem setter) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if isNull(n) || (n.Kind == yaml.ScalarNode && n.Value == "" && t.Elem() == reflect.TypeFor[Duration]()) {
			return
		}
		fresh := reflect.New(t.Elem())
		elem(d, n, fresh.Elem())
		v.Set(fresh)
	}
}

// setSlice reads a list, and adds to what is there: several spellings of one key add up.
func setSlice(t reflect.Type, r rule, elem setter) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		items := []*yaml.Node{n}
		switch {
		case isNull(n):
			return
		case n.Kind == yaml.SequenceNode:
			items = n.Content
		case !r.one:
			d.fail(n, "expected a list, found %s", describe(n))
			return
		}
		out := v
		if out.Cap()-out.Len() < len(items) {
			out = reflect.MakeSlice(t, v.Len(), v.Len()+len(items))
			reflect.Copy(out, v)
		}
		for i, item := range items {
			out = out.Slice(0, out.Len()+1)
			d.pushIndex(i)
			if isNull(item) {
				d.fail(item, "expected a value, found nothing")
			} else {
				elem(d, item, out.Index(out.Len()-1))
			}
			d.pop()
		}
		v.Set(out)
	}
}

// setMap reads a mapping, or under a pairs rule a list that says the same.
func setMap(t reflect.Type, r rule, elem setter) setter {
	return func(d *decoder, n *yaml.Node, v reflect.Value) {
		if isNull(n) {
			return
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(t))
		}
		switch {
		case n.Kind == yaml.MappingNode:
			d.entries(n, v, elem)
		case n.Kind == yaml.SequenceNode && r.pairs && r.pairKey == "":
			for i, item := range n.Content {
				d.pushIndex(i)
				if item.Kind == yaml.MappingNode {
					d.entries(item, v, elem)
				} else {
					d.fail(item, "expected keys and values, found %s", describe(item))
				}
				d.pop()
			}
		case n.Kind == yaml.SequenceNode && r.pairs:
			d.pairs(n, v, r, elem)
		default:
			d.fail(n, "expected keys and values%s, found %s", r.form, describe(n))
		}
		if v.Len() == 0 && n.Kind == yaml.SequenceNode {
			v.SetZero()
		}
	}
}

func (d *decoder) entries(n *yaml.Node, v reflect.Value, elem setter) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		d.push(n.Content[i].Value)
		d.entry(n.Content[i].Value, n.Content[i+1], v, elem)
		d.pop()
	}
}

func (d *decoder) entry(key string, n *yaml.Node, v reflect.Value, elem setter) {
	value := reflect.New(v.Type().Elem()).Elem()
	elem(d, n, value)
	v.SetMapIndex(reflect.ValueOf(key), value)
}

// pairs reads a list of maps that carry their own name, such as processes with name and command. With
// no second key the item itself, without its name, is the value.
func (d *decoder) pairs(n *yaml.Node, v reflect.Value, r rule, elem setter) {
	for i, item := range n.Content {
		d.pushIndex(i)
		name := lookup(item, r.pairKey)
		switch {
		case item.Kind != yaml.MappingNode:
			d.fail(item, "expected keys and values, found %s", describe(item))
		case name == nil || name.Kind != yaml.ScalarNode || name.Value == "":
			if len(item.Content) > 0 {
				d.report(item, d.at(r.pairKey), "is missing")
			}
		case r.pairWith == "":
			d.entry(name.Value, without(item, r.pairKey), v, elem)
		default:
			value := lookup(item, r.pairWith)
			if value == nil {
				value = textNode("", item)
			}
			d.entry(name.Value, value, v, elem)
		}
		d.pop()
	}
}
