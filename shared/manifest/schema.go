package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	"gopkg.in/yaml.v3"
)

// Schema gives the JSON Schema (draft 2020-12) of app.yaml, made from the model: what an editor needs
// to complete and check one. It allows the spellings that Read accepts.
func Schema() ([]byte, error) {
	return schemaOf(reflect.TypeFor[App](), map[string]any{
		"$id": SchemaURL, "title": "FlyCD app.yaml", "required": []string{"app"},
	})
}

// ProjectSchema gives the JSON Schema of project.yaml.
func ProjectSchema() ([]byte, error) {
	return schemaOf(reflect.TypeFor[Project](), map[string]any{"title": "FlyCD project.yaml"})
}

func schemaOf(root reflect.Type, head map[string]any) ([]byte, error) {
	s := schemer{codec: newCodec(reflect.TypeFor[App](), reflect.TypeFor[Project]()), defs: map[string]any{}}
	head["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	head["allOf"] = []any{s.of(root, rule{})}
	head["$defs"] = s.defs
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(text, '\n'), nil
}

// schemer makes schemas of types, a definition for each struct.
type schemer struct {
	codec *codec
	defs  map[string]any
}

type schema = map[string]any

func types(names ...string) schema { return schema{"type": append(names, "null")} }

func either(options ...any) schema { return schema{"anyOf": options} }

func (s schemer) of(t reflect.Type, r rule) schema {
	if out := s.special(t, r); out != nil {
		return out
	}
	switch t.Kind() { //nolint:exhaustive // the model has no other kinds.
	case reflect.String:
		return stringSchema(r)
	case reflect.Bool:
		return schema{"enum": []any{true, false, nil, "yes", "no", "on", "off"}}
	case reflect.Int:
		return intSchema(r)
	case reflect.Float64:
		return types("number")
	case reflect.Pointer:
		return s.of(t.Elem(), r)
	case reflect.Slice:
		item := s.of(t.Elem(), elementRule(r))
		list := schema{"type": []string{"array", "null"}, "items": item}
		if r.one {
			return either(list, item)
		}
		return list
	case reflect.Map:
		return s.mapping(t, r)
	case reflect.Struct:
		return s.structure(t)
	default:
		return schema{}
	}
}

func (s schemer) special(t reflect.Type, r rule) schema {
	switch t {
	case reflect.TypeFor[Duration]():
		names := []string{"string"}
		if r.unit != "" {
			names = append(names, "number")
		}
		out := types(names...)
		out["pattern"] = `^$|^0$|^[-+]?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`
		return out
	case reflect.TypeFor[Secret]():
		return types("string", "number", "boolean")
	case reflect.TypeFor[Autostop]():
		return schema{"enum": []any{"off", "stop", "suspend", true, false, nil}}
	case reflect.TypeFor[Concurrency]():
		return either(s.structure(t), schema{"type": "string", "pattern": "^ *[0-9]+ *, *[0-9]+ *$"})
	case reflect.TypeFor[yaml.Node]():
		return types("object")
	default:
		return nil
	}
}

func stringSchema(r rule) schema {
	if len(r.enum) == 0 {
		return types("string", "number", "boolean")
	}
	words := []any{}
	for _, w := range r.enum {
		words = append(words, w)
	}
	for w := range maps.Keys(r.also) {
		words = append(words, w)
	}
	return schema{"enum": append(words, "", nil)}
}

func intSchema(r rule) schema {
	out := types("integer")
	if r.min != nil {
		out["minimum"] = *r.min
	}
	if r.max != nil {
		out["maximum"] = *r.max
	}
	if r.lax {
		return either(out, schema{"type": "string", "pattern": "^[0-9]+$"})
	}
	return out
}

func (s schemer) mapping(t reflect.Type, r rule) schema {
	value := s.of(t.Elem(), rule{min: r.min, max: r.max})
	out := types("object")
	out["additionalProperties"] = value
	switch {
	case !r.pairs:
		return out
	case r.pairKey == "":
		return either(out, schema{"type": "array", "items": out})
	case r.pairWith == "":
		return either(out, schema{"type": "array", "items": schema{"type": "object", "required": []string{r.pairKey}}})
	default:
		item := schema{"type": "object", "properties": schema{r.pairKey: stringSchema(rule{}), r.pairWith: value}}
		return either(out, schema{"type": "array", "items": item})
	}
}

// structure gives a reference to a struct's definition.
func (s schemer) structure(t reflect.Type) schema {
	ref := schema{"$ref": "#/$defs/" + t.Name()}
	if _, ok := s.defs[t.Name()]; ok {
		return ref
	}
	s.defs[t.Name()] = schema{}
	plan := s.codec.plan(t)
	properties := schema{}
	var required []string
	out := schema{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	for _, f := range plan.fields {
		if f.rule.rest {
			out["additionalProperties"] = s.of(f.typ.Elem(), rule{})
			continue
		}
		properties[f.key] = described(s.of(f.typ, f.rule), f.doc)
		for _, alias := range f.rule.alias {
			properties[alias] = described(s.of(f.typ, f.rule), "Another spelling of "+f.key+".")
		}
		if f.rule.required {
			required = append(required, f.key)
		}
	}
	for key, dead := range plan.dead {
		properties[key] = schema{"deprecated": true, "description": "Has no effect: " + dead.text + "."}
	}
	if len(required) > 0 {
		out["required"] = required
	}
	if t == reflect.TypeFor[App]() {
		out["patternProperties"] = schema{"^x-": schema{}}
	}
	s.defs[t.Name()] = out
	return ref
}

func described(s schema, doc string) schema {
	if doc == "" {
		return s
	}
	out := maps.Clone(s)
	out["description"] = doc
	return out
}
