package fly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// decode reads JSON with its numbers as they are written; nothing is nil.
func decode(raw []byte) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read machine config: %w", err)
	}
	return v, nil
}

func tree(config *flygo.MachineConfig) (map[string]any, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	v, err := decode(raw)
	m, _ := v.(map[string]any)
	return m, err
}

// overlay lays the wanted config over what Fly sent: a key that fly-go knows is as wanted, or absent
// where it is not wanted; a key that it does not know is kept.
func overlay(have json.RawMessage, want *flygo.MachineConfig) (json.RawMessage, error) {
	top, err := tree(want)
	if err != nil {
		return nil, err
	}
	v, err := decode(have)
	if err != nil {
		return nil, err
	}
	old, _ := v.(map[string]any)
	out := lay(old, top, reflect.TypeFor[flygo.MachineConfig]())
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	return raw, nil
}

// lay merges two objects that t describes. Only objects that t knows by their fields are merged;
// maps (env, metadata, checks) and lists are as wanted.
func lay(old, top map[string]any, t reflect.Type) map[string]any {
	out := map[string]any{}
	known := fieldsOf(t)
	for k, v := range old {
		if _, ok := known[k]; !ok {
			out[k] = v
		}
	}
	for k, v := range top {
		out[k] = v
		sub, isObject := v.(map[string]any)
		if ft, ok := known[k]; ok && isObject && ft.Kind() == reflect.Struct {
			was, _ := old[k].(map[string]any)
			out[k] = lay(was, sub, ft)
		}
	}
	return out
}

// fieldsOf gives the JSON names of a struct's fields with their types, pointers followed.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		name, _, _ := cutTag(f.Tag.Get("json"))
		if f.Anonymous && name == "" {
			maps.Copy(out, fieldsOf(ft))
			continue
		}
		if name != "" && name != "-" {
			out[name] = ft
		}
	}
	return out
}

func cutTag(tag string) (name, rest string, found bool) {
	for i := range len(tag) {
		if tag[i] == ',' {
			return tag[:i], tag[i+1:], true
		}
	}
	return tag, "", false
}

// sameJSON reports whether two configs say the same: absent, null and empty are one.
func sameJSON(a, b json.RawMessage) bool {
	x, err := decode(a)
	if err != nil {
		return false
	}
	y, err := decode(b)
	return err == nil && differ(x, y, "", strict) == ""
}

// differs names the first key, in the order of the names, at which a machine's config is not the
// wanted one; empty where it is. What Fly fills in by itself is no difference.
// With byDigest the image is left to whoever compares digests: one image has many names.
func differs(have, want *flygo.MachineConfig, byDigest bool) string {
	w, err := tree(want)
	if err != nil {
		return err.Error()
	}
	h, err := tree(have)
	if err != nil {
		return err.Error()
	}
	if h == nil {
		return "config"
	}
	for _, o := range []map[string]any{h, w} {
		if byDigest {
			delete(o, "image")
		}
		without(o, "env", func(key string) bool { return strings.HasPrefix(key, "FLYCD_") })
		without(o, "metadata", stamp)
		withoutDefaultRestart(o)
	}
	return differ(h, w, "", lenient)
}

// withoutDefaultRestart drops what Fly does unless it is told: on failure, ten times.
func withoutDefaultRestart(o map[string]any) {
	restart, _ := o["restart"].(map[string]any)
	retries, _ := restart["max_retries"].(json.Number)
	if restart["policy"] == "on-failure" && (retries == "" || retries == "10") {
		delete(o, "restart")
	}
}

// stamp is true of metadata that says who deployed when: a commit alone makes no difference.
func stamp(key string) bool {
	return strings.HasSuffix(key, "_commit") || strings.HasPrefix(key, "fly_release_") ||
		key == "fly_flyctl_version" || key == "fly_builder_id"
}

func without(o map[string]any, key string, drop func(string) bool) {
	sub, _ := o[key].(map[string]any)
	maps.DeleteFunc(sub, func(k string, _ any) bool { return drop(k) })
}

type rigour bool

const (
	strict  rigour = true
	lenient rigour = false
)

// differ compares what is there with what is wanted.
func differ(have, want any, at string, r rigour) string {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok && have != nil {
			return at
		}
		return differKeys(h, w, at, r)
	case nil:
		if h, ok := have.(map[string]any); ok {
			return differKeys(h, nil, at, r)
		}
	case []any:
		h, _ := have.([]any)
		if len(h) != len(w) {
			return at
		}
		if strings.HasSuffix(at, ".headers") {
			h, w = byName(h), byName(w)
		}
		for i := range w {
			if d := differ(h[i], w[i], at+"["+strconv.Itoa(i)+"]", r); d != "" {
				return d
			}
		}
		return ""
	}
	if (empty(have) && empty(want)) || reflect.DeepEqual(have, want) {
		return ""
	}
	return at
}

// byName sorts the headers of a check: flyctl sends them in any order.
func byName(list []any) []any {
	name := func(v any) string {
		o, _ := v.(map[string]any)
		s, _ := o["name"].(string)
		return s
	}
	return slices.SortedStableFunc(slices.Values(list), func(a, b any) int { return strings.Compare(name(a), name(b)) })
}

func differKeys(have, want map[string]any, at string, r rigour) string {
	keys := slices.Collect(maps.Keys(have))
	for k := range want {
		if _, ok := have[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		path := k
		if at != "" {
			path = at + "." + k
		}
		if empty(want[k]) && (empty(have[k]) || (r == lenient && filledIn(at, k))) {
			continue
		}
		if d := differ(have[k], want[k], path, r); d != "" {
			return d
		}
	}
	return ""
}

// filledIn reports whether Fly, or the making of a machine, may add key to the object at a path
// without being asked. What people write by name is never filled in.
func filledIn(at, key string) bool {
	switch at {
	case "env":
		return key == "FLY_STANDBY_FOR"
	case "checks", "restart", "stop_config", "metrics":
		return false
	case "":
		switch key {
		case "env", "services", "mounts", "files", "metrics", "checks", "processes", "statics", "containers", "volumes",
			"schedule", "auto_destroy", "image", "restart", "stop_config":
			return false
		}
	}
	return true
}

// empty reports whether a value is as good as absent.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		for _, x := range v {
			if !empty(x) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return false
}
