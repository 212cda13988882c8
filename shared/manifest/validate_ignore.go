package manifest

import (
	"path"
	"slices"
	"strings"
)

// IgnoreRoots are the words that an entry of sync.ignore can begin with. What may follow, plan says.
func IgnoreRoots() []string {
	return []string{
		"machines", "env", "metadata", "services", "checks", "metrics", "files", "statics", "restart", "init", "stop_config", "dns",
		"containers", "volumes", "ips", "secrets", "certs", "schedules",
	}
}

// ignoredField checks one entry of sync.ignore: a dotted key whose parts may be globs.
func (c checker) ignoredField(key, field string) {
	parts := strings.Split(field, ".")
	for _, part := range parts {
		if _, err := path.Match(part, ""); err != nil || part == "" {
			c.bad(key, "%q has a part that is empty or no glob (* ? [a-z])", clip(field))
			return
		}
	}
	if !fits(parts[0], IgnoreRoots()) {
		c.bad(key, "%q is no field that can be left to others; they begin with %s%s", clip(field), oneOf(IgnoreRoots()), meant(parts[0], IgnoreRoots()))
		return
	}
	switch parts[0] {
	case "machines":
		c.ignoredBelow(key, parts, []string{"count", "size", "guest"}, c.app.groupNames())
	case "volumes":
		var names []string
		for _, v := range c.app.Volumes {
			names = append(names, v.Name)
		}
		for _, m := range c.app.Mounts {
			names = append(names, m.Source)
		}
		c.ignoredBelow(key, parts, []string{"size_gb", "snapshot_retention", "scheduled_snapshots", "count"}, names)
	case "ips":
		if len(parts) > 1 {
			c.bad(key, "%q has no parts that can be left alone; write ips", clip(field))
		}
	}
}

// ignoredBelow checks root.FIELD, root.NAME and root.NAME.FIELD.
func (c checker) ignoredBelow(key string, parts, fields, names []string) {
	known := append(slices.Clone(fields), names...)
	switch {
	case len(parts) > 1 && !fits(parts[1], known):
		c.bad(key, "there is no %q below %s, only %s%s", clip(parts[1]), parts[0], oneOf(known), meant(parts[1], known))
	case len(parts) > 2 && (!fits(parts[2], fields) || len(parts) > 3):
		c.bad(key, "there is no %q below %s, only %s", clip(strings.Join(parts[2:], ".")), clip(parts[0]+"."+parts[1]), oneOf(fields))
	}
}

// fits reports whether a glob matches one of the words.
func fits(glob string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		ok, err := path.Match(glob, word)
		return ok && err == nil
	})
}
