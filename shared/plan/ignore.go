package plan

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
)

// ignored are the fields that the manifest leaves to others, as sync.ignore names them.
type ignored struct{ patterns [][]string }

func ignoredOf(t machine.Target) ignored {
	var i ignored
	for _, p := range t.Ignore {
		i.patterns = append(i.patterns, strings.Split(p, "."))
	}
	return i
}

// covers reports whether one of the patterns names the key, or something that it is a part of.
func (i ignored) covers(key ...string) bool {
	parts := strings.Split(strings.Join(key, "."), ".")
	return slices.ContainsFunc(i.patterns, func(pattern []string) bool {
		if len(pattern) > len(parts) {
			return false
		}
		for at, glob := range pattern {
			if !matches(glob, parts[at]) {
				return false
			}
		}
		return true
	})
}

// machines is about a field of a group: of all groups, or of that one.
func (i ignored) machines(group string, fields ...string) bool {
	return slices.ContainsFunc(fields, func(field string) bool {
		return i.covers("machines", field) || i.covers("machines", group, field)
	})
}

func matches(glob, text string) bool {
	ok, err := path.Match(glob, text)
	return ok && err == nil
}

// sections are what sync.ignore can name of a machine's config.
func sections() []string {
	return []string{"env", "metadata", "services", "checks", "metrics", "statics", "files", "restart", "init", "stop_config", "dns", "containers"}
}

// keep leaves the machine's own values where the patterns name them, also where it has none.
func (i ignored) keep(out, have object) {
	for _, pattern := range i.patterns {
		for _, section := range sections() {
			if matches(pattern[0], section) {
				keepPath(out, have, append([]string{section}, pattern[1:]...))
			}
		}
	}
}

func keepPath(out, have object, pattern []string) {
	keys := union(keysOf(out), keysOf(have))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !matches(pattern[0], key) || ours(key) {
			continue
		}
		if len(pattern) == 1 {
			delete(out, key)
			if value, ok := have[key]; ok {
				out[key] = value
			}
			continue
		}
		inner := maps.Clone(child(out, key))
		if inner == nil {
			inner = object{}
		}
		if len(inner) > 0 || child(have, key) != nil {
			keepPath(inner, child(have, key), pattern[1:])
			out[key] = inner
		}
	}
}

func keysOf(o object) map[string]string {
	keys := map[string]string{}
	for key := range o {
		keys[key] = ""
	}
	return keys
}

// ours is true of names that FlyCD lives by, which cannot be left to others.
func ours(key string) bool {
	return strings.HasPrefix(key, "flycd_") || strings.HasPrefix(key, "FLYCD_") ||
		slices.Contains([]string{"fly_process_group", "fly_platform_version", "FLY_PROCESS_GROUP"}, key)
}
