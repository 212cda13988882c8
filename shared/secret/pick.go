package secret

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// contents are what was in a file: one text as a whole, or a tree of values.
type contents struct {
	format string
	whole  string
	tree   any
}

// read takes what sops gave for a file of the format.
func read(format string, clear []byte) (contents, error) {
	if format == "binary" {
		return contents{format: format, whole: trim(string(clear))}, nil
	}
	c := contents{format: format}
	dec := json.NewDecoder(bytes.NewReader(clear))
	dec.UseNumber()
	if !json.Valid(clear) || dec.Decode(&c.tree) != nil { // the error could quote a value
		return contents{}, job.Rejectf("what sops made of the file is no JSON")
	}
	return c, nil
}

// at gives the text that a secret names. Its errors name keys, never values.
func (c contents) at(s manifest.SecretRef) (string, error) {
	if c.format == "binary" {
		if s.Key != "" {
			return "", job.Rejectf("key %q: the file is one value as a whole and has no keys; leave key out, or use a .yaml, .json, .env or .ini file", clip(s.Key))
		}
		return c.whole, nil
	}
	key := cmp.Or(s.Key, s.Name)
	value, ok := walk(c.tree, key)
	if !ok && c.format == "ini" {
		value, ok = walk(c.tree, "DEFAULT."+key)
	}
	if !ok {
		return "", job.Rejectf("there is no key %q; the file has %s%s", clip(key), c.keys(), hint(s))
	}
	switch v := value.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case nil:
		return "", nil
	case map[string]any:
		return "", job.Rejectf("key %q holds a map, not a value: name a key in it, such as %s", clip(key), clip(key+"."+first(v)))
	default:
		return "", job.Rejectf("key %q holds a list, not a value: name an item by its number, such as %s.0", clip(key), clip(key))
	}
}

// hint says where a key that was not found came from.
func hint(s manifest.SecretRef) string {
	if s.Key != "" {
		return ""
	}
	return " (the secret's own name was looked for; say key: where it is called otherwise)"
}

// walk follows a path of keys and numbers. A key that has dots itself wins over a path.
func walk(value any, key string) (any, bool) {
	switch v := value.(type) {
	case map[string]any:
		if found, ok := v[key]; ok {
			return found, true
		}
		for i := strings.LastIndexByte(key, '.'); i > 0; i = strings.LastIndexByte(key[:i], '.') {
			if inner, ok := v[key[:i]]; ok {
				if found, ok := walk(inner, key[i+1:]); ok {
					return found, true
				}
			}
		}
	case []any:
		index, rest, more := strings.Cut(key, ".")
		n, err := strconv.Atoi(index)
		if err != nil || n < 0 || n >= len(v) {
			return nil, false
		}
		if !more {
			return v[n], true
		}
		return walk(v[n], rest)
	}
	return nil, false
}

// keys names what is at the top of the file.
func (c contents) keys() string {
	const most = 10
	top, ok := c.tree.(map[string]any)
	if !ok || len(top) == 0 {
		return "none"
	}
	names := clipped(slices.Sorted(maps.Keys(top)))
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(len(names)-most) + " more"
	}
	return strings.Join(names, ", ")
}

func first(m map[string]any) string {
	if len(m) == 0 {
		return "…"
	}
	return slices.Min(slices.Collect(maps.Keys(m)))
}
