package manifest

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"

	"github.com/Masterminds/semver/v3"
)

// policy checks the ways to choose among tags.
func (c checker) policy(p ImagePolicy) {
	if n := lookup(lookup(c.tree, "source"), "policy"); n != nil && !isNull(n) && p == (ImagePolicy{}) {
		c.note("source.policy", "has no effect: it follows nothing; write semver, regex or digest: true, or leave it out")
	}
	if p.Digest && (p.Semver != "" || p.Regex != "") {
		c.note("source.policy.digest", "has no effect beside semver and regex: the tag that they choose is followed to its newest digest anyway; leave it out")
	}
	if why := rangeFault(p.Semver); why != "" {
		c.bad("source.policy.semver", "%s", why)
	}
	if p.Regex != "" {
		if _, err := regexp.Compile(p.Regex); err != nil {
			c.bad("source.policy.regex", "expected a regular expression such as ^main-([0-9]+)$: %s", err)
		} else if p.Sort == "number" {
			c.numbered(p.Regex)
		}
	}
	if p.Sort != "" && p.Regex == "" {
		c.bad("source.policy.sort", "says how tags that match regex are sorted, and there is no regex; write one, such as ^main-([0-9]+)$")
	}
}

// rangeFault tells what makes a text no range that a version can be in, and nothing for one that is, or for no text.
func rangeFault(within string) string {
	if within == "" {
		return ""
	}
	limits, err := semver.NewConstraint(within)
	switch {
	case err != nil:
		return fmt.Sprintf("expected a range of versions such as >=1.2 <2, found %q", clip(within))
	case matchesNothing(within, limits):
		return fmt.Sprintf("no version is in %q; expected a range such as >=1.2 <2", clip(within))
	}
	return ""
}

var mentioned = regexp.MustCompile(`(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?`)

// matchesNothing reports whether a range is empty. The lowest version of a range that is not is 0.0.0, a version that the range
// mentions, or what comes next after one: so it is enough to look at these.
func matchesNothing(within string, limits *semver.Constraints) bool {
	try := []*semver.Version{semver.New(0, 0, 0, "", "")}
	for _, m := range mentioned.FindAllStringSubmatch(within, -1) {
		var n [3]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(m[i+1], 10, 63) // what is not written is 0
		}
		try = append(try, semver.New(n[0], n[1], n[2], "", ""), semver.New(n[0], n[1], n[2], "0", ""),
			semver.New(n[0], n[1], n[2]+1, "", ""), semver.New(n[0], n[1]+1, 0, "", ""), semver.New(n[0]+1, 0, 0, "", ""))
		if m[4] != "" {
			try = append(try, semver.New(n[0], n[1], n[2], m[4], ""), semver.New(n[0], n[1], n[2], m[4]+".0", ""))
		}
	}
	return !slices.ContainsFunc(try, limits.Check)
}

// numbered wants a pattern to capture what can be a number.
func (c checker) numbered(pattern string) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return
	}
	const such = "put a group around the number, as in ^main-([0-9]+)$"
	if group := firstGroup(re); group != nil && noNumber(group) {
		c.bad("source.policy.regex", "its first group captures what is no number, and sort: number asks for one; %s", such)
	} else if group == nil && noNumber(re) {
		c.bad("source.policy.regex", "has no group, so the whole tag is taken, which is no number, and sort: number asks for one; %s", such)
	}
}

// firstGroup gives the group whose text is sorted by, or nil.
func firstGroup(re *syntax.Regexp) *syntax.Regexp {
	if re.Op == syntax.OpCapture {
		return re
	}
	for _, sub := range re.Sub {
		if group := firstGroup(sub); group != nil {
			return group
		}
	}
	return nil
}

// noNumber reports whether all that matches has something in it which is neither a digit nor a dot.
func noNumber(re *syntax.Regexp) bool {
	switch re.Op { //nolint:exhaustive // others match what may be a number, or nothing
	case syntax.OpLiteral:
		return slices.ContainsFunc(re.Rune, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if from, to := re.Rune[i], re.Rune[i+1]; from <= '9' && to >= '0' || from <= '.' && to >= '.' {
				return false
			}
		}
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return noNumber(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min > 0 && noNumber(re.Sub[0])
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, noNumber)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !noNumber(sub) })
	default:
		return false
	}
}
