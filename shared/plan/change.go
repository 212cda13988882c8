package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// changes lists what differs between two normal forms, a line per dotted key, in their order.
func changes(old, updated object) []Change {
	before, after := map[string]string{}, map[string]string{}
	flatten(before, "", old)
	flatten(after, "", updated)
	keys := map[string]bool{}
	for key := range before {
		keys[key] = true
	}
	for key := range after {
		keys[key] = true
	}
	var all []Change
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		x, had := before[key]
		y, has := after[key]
		if had == has && x == y {
			continue
		}
		if private(key) {
			x, y = "", ""
		}
		all = append(all, Change{Key: key, Old: x, New: y})
	}
	return all
}

// private is true of keys whose values may be secret: the contents of files, and headers, which may
// carry a token. Environment values are not secret: Fly shows them to all who see the machine.
func private(key string) bool {
	return strings.HasSuffix(key, ".raw_value") || strings.Contains(key, ".headers[") && strings.HasSuffix(key, ".values")
}

// flatten writes every leaf under its dotted key. A list of plain values is one leaf, and a list of
// objects is named by what tells them apart.
func flatten(to map[string]string, key string, v any) {
	switch v := v.(type) {
	case object:
		for k, value := range v {
			flatten(to, join(key, k), value)
		}
	case []any:
		if plain(v) {
			to[key] = leaf(v)
			return
		}
		for i, value := range v {
			flatten(to, fmt.Sprintf("%s[%s]", key, label(i, value)), value)
		}
	default:
		to[key] = leaf(v)
	}
}

func join(key, k string) string {
	if key == "" {
		return k
	}
	return key + "." + k
}

func plain(l []any) bool {
	return !slices.ContainsFunc(l, func(v any) bool {
		_, isObject := v.(object)
		_, isList := v.([]any)
		return isObject || isList
	})
}

// label tells the elements of a list apart by guest path or name, else by number.
func label(i int, v any) string {
	o, _ := v.(object)
	for _, key := range []string{"guest_path", "name"} {
		if s := text(o, key); s != "" {
			return s
		}
	}
	return fmt.Sprint(i)
}

func leaf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
