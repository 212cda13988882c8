package plan

import (
	"slices"
	"strings"
)

// Summary gives a line per step, in order: what is created, changed (old → new by key), replaced
// and why, destroyed and why. Values that may be secret are not in it.
func (p Plan) Summary() []string {
	var lines []string
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			lines = append(lines, Line(step))
		}
	}
	return lines
}

// Line says in one line what a step does.
func Line(step Step) string {
	s := Describe(step)
	line := s.Do
	for _, part := range []string{s.Machine, s.Name} {
		if part != "" {
			line += " " + part
			break
		}
	}
	if s.Volume != "" {
		line += " (" + s.Volume + ")"
	}
	if s.Region != "" {
		line += " in " + s.Region
	}
	if s.Beside != "" {
		line += " beside " + s.Beside
	}
	if s.Why != "" {
		line += ": " + s.Why
	}
	if len(s.Changes) > 0 {
		line += ": " + changeText(s.Changes)
	}
	return line
}

// changeText gives what changed, for people: what FlyCD writes about itself is left out beside a real
// change, and digests are shortened. The JSON form has everything.
func changeText(all []Change) string {
	shown := Shown(all)
	parts := make([]string, len(shown))
	for i, c := range shown {
		parts[i] = c.String()
	}
	return strings.Join(parts, "; ")
}

// Shown gives the changes that people want to see: what FlyCD writes about itself is left out beside a
// real change, and hashes are shortened.
func Shown(all []Change) []Change {
	shown := slices.DeleteFunc(slices.Clone(all), Change.bookkeeping)
	if len(shown) == 0 {
		shown = slices.Clone(all)
	}
	for i := range shown {
		shown[i] = shown[i].short()
	}
	return shown
}

// bookkeeping reports whether the key is one that every deploy writes.
func (c Change) bookkeeping() bool {
	return strings.HasPrefix(c.Key, "metadata.flycd_") || strings.HasPrefix(c.Key, "env.FLYCD_")
}

// short shortens what only machines read to the end: images to what differs in them, and hashes.
func (c Change) short() Change {
	if c.Key == "image" && c.Old != "" && c.New != "" {
		c.Old, c.New = shortImages(c.Old, c.New)
	}
	c.Old, c.New = shortHash(c.Old), shortHash(c.New)
	return c
}

// shownDigits is how much of a hash tells it from others.
const shownDigits = 12

// shortImages gives the part in which two images differ: the tag of one repository, the digest of one
// tag, else the whole name.
func shortImages(before, after string) (string, string) {
	oldName, oldDigest, _ := strings.Cut(before, "@sha256:")
	newName, newDigest, _ := strings.Cut(after, "@sha256:")
	oldRepo, oldTag := cutTag(oldName)
	newRepo, newTag := cutTag(newName)
	switch {
	case oldName == newName && oldDigest != "" && newDigest != "":
		return oldDigest[:min(len(oldDigest), shownDigits)], newDigest[:min(len(newDigest), shownDigits)]
	case oldRepo == newRepo && oldTag != "" && newTag != "":
		return oldTag, newTag
	default:
		return oldName, newName
	}
}

// cutTag parts repository:tag. A colon before the last slash is a port.
func cutTag(name string) (repo, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// shortHash shortens a value that is a hash, or a tag made of one.
func shortHash(value string) string {
	hex := strings.TrimPrefix(value, "t-")
	if len(hex) < 40 || strings.Trim(hex, "0123456789abcdef") != "" {
		return value
	}
	return value[:len(value)-len(hex)+shownDigits]
}

// String gives key: old → new; a key that is new or gone says so, and one whose values are left out
// has changed.
func (c Change) String() string {
	switch {
	case c.Old == "" && c.New == "":
		return c.Key + " changed"
	case c.Old == "":
		return c.Key + ": + " + c.New
	case c.New == "":
		return c.Key + ": - " + c.Old
	}
	return c.Key + ": " + c.Old + " → " + c.New
}
