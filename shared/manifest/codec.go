package manifest

import (
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// codec knows, for every struct of the model, which keys it has and how each is read. It is made
// once per reading and is safe for concurrent use afterwards.
type codec struct{ plans map[reflect.Type]*structPlan }

// setter reads a node into a value of the type it was made for.
type setter func(d *decoder, n *yaml.Node, v reflect.Value)

// structPlan is what a struct reads.
type structPlan struct {
	fields []fieldPlan
	// keys finds a field by its key or by another accepted spelling of it.
	keys map[string]int
	// rest is the field that takes all other keys, or -1.
	rest int
	// aliases is true where a field has several spellings.
	aliases bool
	dead    map[string]dead
}

// fieldPlan is how one key is read.
type fieldPlan struct {
	key   string
	index []int
	typ   reflect.Type
	rule  rule
	doc   string
	set   setter
}

// rule is the parsed form of a field's "in" tag: what is accepted beside the plain form.
type rule struct {
	// one reads a single value as a list of one.
	one bool
	// lax reads numbers that are written as text.
	lax bool
	// pairs reads a list of maps as one map: all of them merged, or by these two keys.
	pairs    bool
	pairKey  string
	pairWith string
	// soft reads a list in the form "soft,hard".
	unit     string
	enum     []string
	also     map[string]string
	min, max *int
	alias    []string
	// form is an example for who writes text instead of keys and values.
	form     string
	required bool
	rest     bool
	inline   bool
}

// newCodec compiles the model.
func newCodec(roots ...reflect.Type) *codec {
	c := &codec{plans: map[reflect.Type]*structPlan{}}
	for _, t := range roots {
		c.plan(t)
	}
	return c
}

func (c *codec) plan(t reflect.Type) *structPlan {
	if p, ok := c.plans[t]; ok {
		return p
	}
	p := &structPlan{keys: map[string]int{}, rest: -1, dead: deadKeys(t)}
	c.plans[t] = p
	c.addFields(p, t, nil)
	return p
}

func (c *codec) addFields(p *structPlan, t reflect.Type, prefix []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), prefix...), i)
		r := parseRule(f.Tag.Get("in"))
		if r.inline {
			c.addFields(p, f.Type, index)
			continue
		}
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if r.rest {
			key = ""
			p.rest = len(p.fields)
		} else if key == "" || key == "-" {
			continue
		}
		fp := fieldPlan{key: key, index: index, typ: f.Type, rule: r, doc: f.Tag.Get("doc")}
		fp.set = c.setter(f.Type, r)
		p.aliases = p.aliases || len(r.alias) > 0
		for _, k := range append([]string{key}, r.alias...) {
			if k != "" {
				p.keys[k] = len(p.fields)
			}
		}
		p.fields = append(p.fields, fp)
	}
}

func parseRule(tag string) rule {
	var r rule
	if tag == "" {
		return r
	}
	for _, part := range strings.Split(tag, ",") {
		name, arg, _ := strings.Cut(part, "=")
		switch name {
		case "one":
			r.one = true
		case "lax":
			r.lax = true
		case "required":
			r.required = true
		case "rest":
			r.rest = true
		case "inline":
			r.inline = true
		case "form":
			r.form = " such as " + arg
		case "unit":
			r.unit = arg
		case "alias":
			r.alias = strings.Split(arg, "|")
		case "pairs":
			r.pairs = true
			r.pairKey, r.pairWith, _ = strings.Cut(arg, "|")
		case "enum":
			r.enum = strings.Split(arg, "|")
		case "also":
			r.also = map[string]string{}
			for _, pair := range strings.Split(arg, "|") {
				from, to, _ := strings.Cut(pair, ":")
				r.also[from] = to
			}
		case "min":
			r.min = intPointer(arg)
		case "max":
			r.max = intPointer(arg)
		default:
			panic("manifest: unknown rule " + name)
		}
	}
	return r
}

func intPointer(s string) *int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("manifest: rule: " + err.Error())
	}
	return &n
}

// setter compiles the reading of one type under one rule.
func (c *codec) setter(t reflect.Type, r rule) setter {
	if set := special(t, r); set != nil {
		return set
	}
	if t == reflect.TypeFor[Concurrency]() {
		return setConcurrency(setStruct(c.plan(t), r.form))
	}
	switch t.Kind() { //nolint:exhaustive // the model has no other kinds.
	case reflect.String:
		return setString(r)
	case reflect.Bool:
		return setBool
	case reflect.Int:
		return setInt(r)
	case reflect.Float64:
		return setFloat
	case reflect.Pointer:
		return setPointer(t, c.setter(t.Elem(), r))
	case reflect.Slice:
		return setSlice(t, r, c.setter(t.Elem(), elementRule(r)))
	case reflect.Map:
		return c.mapSetter(t, r)
	case reflect.Struct:
		return setStruct(c.plan(t), r.form)
	case reflect.Interface:
		return setAny
	default:
		panic("manifest: no reading for " + t.String())
	}
}

func (c *codec) mapSetter(t reflect.Type, r rule) setter {
	elem := c.setter(t.Elem(), rule{lax: r.lax, min: r.min, max: r.max})
	if t.Elem().Kind() == reflect.String {
		elem = setScalarText
	}
	return setMap(t, r, elem)
}

// elementRule is what of a list's rule speaks of its items.
func elementRule(r rule) rule {
	return rule{lax: r.lax, unit: r.unit, enum: r.enum, also: r.also, min: r.min, max: r.max}
}

// special gives the readings of types that are not read by their kind.
func special(t reflect.Type, r rule) setter {
	switch t {
	case reflect.TypeFor[Duration]():
		return setDuration(r)
	case reflect.TypeFor[Secret]():
		return setSecret
	case reflect.TypeFor[Autostop]():
		return setAutostop
	case reflect.TypeFor[yaml.Node]():
		return func(_ *decoder, n *yaml.Node, v reflect.Value) { v.Set(reflect.ValueOf(n).Elem()) }
	default:
		return nil
	}
}

// dead is a key that has always been accepted and never meant anything.
type dead struct {
	text string
	// asks is true of a key that asks for something where its value is not empty: who writes it does not
	// get what they want. It then is a mistake, unless unknown keys are not.
	asks bool
}

// deadKeys lists keys that FlyCD and flyctl have always accepted and ignored.
func deadKeys(t reflect.Type) map[string]dead {
	gone := dead{"Fly no longer knows it, and it has no effect; delete it", true}
	switch t {
	case reflect.TypeFor[Service]():
		return map[string]dead{
			"force_https":   {"it has no effect on a service; write it on the port", true},
			"script_checks": gone,
		}
	case reflect.TypeFor[TCPCheck](), reflect.TypeFor[HTTPCheck](), reflect.TypeFor[Check]():
		return map[string]dead{"restart_limit": gone}
	case reflect.TypeFor[Experimental]():
		return map[string]dead{"private_network": {gone.text, false}, "allowed_public_ports": gone}
	case reflect.TypeFor[IP]():
		never := dead{"FlyCD has always ignored it in this spelling; write it in lower case if you mean it", false}
		return map[string]dead{"V": never, "Private": never, "Shared": never, "Network": never, "Org": never, "Region": never}
	default:
		return nil
	}
}
