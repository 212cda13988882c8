package image

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// missed ends the sentence about tags of which the rule takes none: why not those that match its pattern, else
// what there is.
func (r *rule) missed(tags []string) string {
	shown := newest(tags, r)
	if len(shown) == 0 {
		return ": it has no tags but those that FlyCD made; correct source.policy, or push a tag that matches"
	}
	if example, captured, kind := r.unfit(shown); kind != "" {
		how := "put a group around the " + kind
		if r.pattern.NumSubexp() > 0 {
			how = "let the first group take the " + kind + " alone"
		}
		return fmt.Sprintf(": %s matches regex, but what it captures (%q) is no %s: %s", example, captured, kind, how)
	}
	return fmt.Sprintf("; the newest are %s: correct source.policy, or push a tag that matches", strings.Join(shown[:min(len(shown), mostShown)], ", "))
}

// unfit gives a tag that matches the pattern, and the kind of thing (number, version) that what was captured of it
// is not. The kind is empty where there is no such tag, or where what was captured of another is of that kind.
func (r *rule) unfit(tags []string) (example, captured, kind string) {
	if r.pattern == nil {
		return "", "", ""
	}
	for _, tag := range tags {
		got, matches := r.capture(tag)
		if !matches {
			continue
		}
		var is string
		switch {
		case r.sort == "number" && !isNumber(got):
			is = "number"
		case (r.within != nil || r.sort == "semver") && r.version(got) == nil:
			is = "version"
		default:
			return "", "", ""
		}
		if kind == "" {
			example, captured, kind = tag, got, is
		}
	}
	return example, captured, kind
}

// ownTag are the tags under which FlyCD keeps what it built or copied, and its caches.
var ownTag = regexp.MustCompile(`^([tc]-[0-9a-f]{12,64}|cache-.*)$`)

// newest lists the tags that a person would look at first: those that match the rule's pattern, and of these and of the
// others versions from the highest, then the rest from the end of the alphabet. FlyCD's own are left out.
func newest(tags []string, r *rule) []string {
	versions := &rule{sort: "semver"}
	var list []candidate
	for _, t := range tags {
		if tagName.MatchString(t) && !ownTag.MatchString(t) {
			c, _ := versions.candidate(t)
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		_, aMatches := r.capture(a.tag)
		_, bMatches := r.capture(b.tag)
		switch {
		case aMatches != bMatches:
			return map[bool]int{true: -1, false: 1}[aMatches]
		case a.version != nil && b.version != nil:
			return versions.compare(b, a)
		case a.version != nil || b.version != nil:
			return map[bool]int{true: -1, false: 1}[a.version != nil]
		}
		return cmp.Compare(b.tag, a.tag)
	})
	var out []string
	for _, c := range list {
		out = append(out, c.tag)
	}
	return out
}
