package manifest

import (
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Key is a row of the reference: one key of an app.yaml, app.toml or fly.toml.
type Key struct {
	// Path is dotted; [] stands for an item of a list, and <name> for a key that people choose.
	Path string `json:"key"`
	// Value says what may be written, in every accepted spelling.
	Value string `json:"value"`
	// Doc is one sentence about what it means.
	Doc string `json:"doc"`
	// Fly is true of keys of Fly's own reference.
	Fly bool `json:"fly"`
	// Like compares with flyctl, and How says how or why. How is empty where there is nothing to say.
	Like Like   `json:"like"`
	How  string `json:"how,omitempty"`
}

// Like says how a key compares with what flyctl does with it.
type Like string

// The ways in which a key compares with flyctl.
const (
	AsFlyctl Like = "as flyctl"
	Better   Like = "better"
	NotHere  Like = "not possible"
	OwnKey   Like = "FlyCD's own"
)

// Keys lists every key of a manifest that Read understands, made from the model, in its order: the
// single source of `flycd help keys`.
func Keys() []Key {
	k := keyWalk{codec: newCodec(reflect.TypeFor[App]()), remarks: remarks()}
	k.structure("", reflect.TypeFor[App](), map[reflect.Type]bool{})
	return k.rows
}

// ProjectKeys lists every key of a project.yaml, as Keys does.
func ProjectKeys() []Key {
	k := keyWalk{codec: newCodec(reflect.TypeFor[Project]())}
	k.structure("", reflect.TypeFor[Project](), map[reflect.Type]bool{})
	for i := range k.rows {
		k.rows[i].Fly, k.rows[i].Like = false, OwnKey
	}
	// a project is a folder or a repository: what is said of images has no meaning there
	return slices.DeleteFunc(k.rows, func(row Key) bool {
		key, below := strings.CutPrefix(row.Path, "source.")
		return below && slices.ContainsFunc([]string{"inline", "image", "policy", "copy", "watch"}, func(not string) bool { return strings.HasPrefix(key, not) })
	})
}

// keyWalk makes the rows.
type keyWalk struct {
	codec   *codec
	remarks map[string]remark
	rows    []Key
}

func (k *keyWalk) structure(prefix string, t reflect.Type, open map[reflect.Type]bool) {
	if open[t] {
		return
	}
	open[t] = true
	defer delete(open, t)
	for _, f := range k.codec.plan(t).fields {
		path := prefix + f.key
		if f.rule.rest {
			k.structure(prefix+"<group>.", f.typ.Elem(), open)
			continue
		}
		inner, suffix := innerOf(f)
		if inner != nil {
			path += suffix
		}
		k.row(path, f)
		if inner != nil {
			k.structure(path+".", inner, open)
		}
	}
}

// innerOf gives the struct whose keys are below a field, with what stands between them in a path.
func innerOf(f fieldPlan) (reflect.Type, string) {
	t, suffix := f.typ, ""
	switch t.Kind() { //nolint:exhaustive // others have nothing below
	case reflect.Slice:
		t, suffix = t.Elem(), "[]"
	case reflect.Map:
		t, suffix = t.Elem(), ".<name>"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || special(t, rule{}) != nil {
		return nil, ""
	}
	return t, suffix
}

func (k *keyWalk) row(path string, f fieldPlan) {
	top, below, _ := strings.Cut(path, ".")
	fly := IsFly(strings.TrimSuffix(top, "[]")) && (top != "build" || IsFlyBuild(below))
	row := Key{Path: path, Value: form(f), Doc: f.doc, Fly: fly, Like: OwnKey}
	if row.Fly {
		row.Like = AsFlyctl
	}
	if r, ok := k.remarks[path]; ok {
		row.How = r.how
		if r.like != "" {
			row.Like = r.like
		}
	}
	k.rows = append(k.rows, row)
}

// form says what may be written for a field.
func form(f fieldPlan) string {
	text := plainForm(f.typ, f.rule)
	for _, alias := range f.rule.alias {
		text += "; also written " + alias
	}
	return text
}

func plainForm(t reflect.Type, r rule) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return map[string]string{"": "time, such as 1m30s", "s": "time, such as 1m30s, or seconds", "ms": "time, such as 1m30s, or milliseconds"}[r.unit]
	case reflect.TypeFor[Autostop]():
		return "off, stop or suspend; true is stop, false is off"
	case reflect.TypeFor[Concurrency]():
		return `section, or both limits as "soft,hard"`
	case reflect.TypeFor[Secret]():
		return "text"
	case reflect.TypeFor[yaml.Node]():
		return "keys and values"
	}
	switch t.Kind() { //nolint:exhaustive // the model has no other kinds
	case reflect.Pointer:
		return plainForm(t.Elem(), r)
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return number(r)
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return listForm(t, r)
	case reflect.Map:
		return mapForm(t, r)
	case reflect.Struct:
		return "section"
	default:
		return textForm(r)
	}
}

func number(r rule) string {
	text := "whole number"
	if r.min != nil || r.max != nil {
		text = between(r)
	}
	if r.lax {
		text += ", or the same as text"
	}
	return text
}

func textForm(r rule) string {
	if len(r.enum) == 0 {
		return "text"
	}
	text := oneOf(r.enum)
	for from, to := range r.also {
		text += "; " + from + " is " + to
	}
	return text
}

func listForm(t reflect.Type, r rule) string {
	item := "texts"
	if inner := t.Elem(); inner.Kind() == reflect.Struct {
		item = "sections"
	}
	if r.one {
		return "list of " + item + ", or a single one"
	}
	return "list of " + item
}

func mapForm(t reflect.Type, r rule) string {
	text := "names and values"
	if inner := t.Elem(); inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Struct {
		text = "sections by name"
	}
	switch {
	case r.pairs && r.pairKey == "":
		return text + ", or a list of them"
	case r.pairs && r.pairWith == "":
		return text + ", or a list of sections with a " + r.pairKey
	case r.pairs:
		return text + ", or a list of " + r.pairKey + " and " + r.pairWith
	default:
		return text
	}
}
