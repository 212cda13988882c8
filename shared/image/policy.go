package image

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// Choose gives the tag that a policy takes among those of an image; false where none fits, or where the policy
// names no rule. It decides by the tags alone, whatever their order. A range, pattern or sort that cannot be
// read wraps job.ErrRejected and names its key.
//
// A tag takes part when it matches regex, when what regex captured (its first group, else the whole tag) is a version
// in the range of semver, and when it can be sorted as asked. Pre-releases are in a range only where the range
// names one, as Masterminds/semver (https://github.com/Masterminds/semver#working-with-prerelease-versions) and Flux
// (https://fluxcd.io/flux/components/image/imagepolicies/) have it; without a range they are taken only where regex lets
// them through. A whole tag counts as a version only with a dot in it, as 1.27 and v1.27.3 do: a number alone may as
// well be a commit or a date, and would beat every version. What regex captured may be a number alone.
//
// Of two tags that are equal, such as 1.2 and 1.2.0, the longer is taken, since it says more; of two that are as long, the
// first by alphabet.
func Choose(tags []string, p manifest.ImagePolicy) (tag string, ok bool, err error) {
	rule, err := newRule(p)
	if err != nil || rule == nil {
		return "", false, err
	}
	var best candidate
	for _, t := range tags {
		if c, fits := rule.candidate(t); fits && (!ok || rule.compare(c, best) > 0) {
			best, ok = c, true
		}
	}
	return best.tag, ok, nil
}

// rule is a policy, understood.
type rule struct {
	pattern *regexp.Regexp
	within  *semver.Constraints
	sort    string
}

// candidate is a tag that takes part.
type candidate struct {
	tag, captured string
	version       *semver.Version
}

// newRule gives nil for a policy that chooses nothing.
func newRule(p manifest.ImagePolicy) (*rule, error) {
	if p.Semver == "" && p.Regex == "" && p.Sort == "" {
		return nil, nil //nolint:nilnil // no rule is no error
	}
	r := &rule{sort: p.Sort}
	var err error
	if p.Regex != "" {
		if r.pattern, err = regexp.Compile(p.Regex); err != nil {
			return nil, job.Rejectf("source.policy.regex: %q is no regular expression (RE2): %s", p.Regex, reason(err))
		}
	}
	within := p.Semver
	if within == "" && p.Regex == "" && p.Sort == "semver" {
		within = "*" // every version but pre-releases
	}
	if within != "" {
		if r.within, err = semver.NewConstraint(within); err != nil {
			return nil, job.Rejectf("source.policy.semver: %q is no version range, expected one such as %q", p.Semver, ">=1.2 <2")
		}
	}
	switch {
	case !slices.Contains([]string{"", "number", "text", "semver"}, p.Sort):
		return nil, job.Rejectf("source.policy.sort: %q is no order, expected number, text or semver", p.Sort)
	case p.Sort == "" && r.within != nil:
		r.sort = "semver"
	case p.Sort == "":
		r.sort = "text"
	}
	return r, nil
}

// reason is the part of a regular expression's error that does not repeat the expression.
func reason(err error) string {
	_, why, _ := strings.Cut(err.Error(), "error parsing regexp: ")
	return cmp.Or(why, err.Error())
}

// candidate tells whether a tag takes part.
func (r *rule) candidate(tag string) (candidate, bool) {
	c := candidate{tag: tag}
	if !tagName.MatchString(tag) {
		return c, false // a registry may say anything
	}
	var found bool
	if c.captured, found = r.capture(tag); !found {
		return c, false
	}
	if r.within != nil || r.sort == "semver" {
		if c.version = r.version(c.captured); c.version == nil {
			return c, false
		}
	}
	return c, (r.within == nil || r.within.Check(c.version)) && (r.sort != "number" || isNumber(c.captured))
}

// capture gives what the first group of the pattern took of a tag, else all of it; false where the pattern does not match.
func (r *rule) capture(tag string) (string, bool) {
	if r.pattern == nil {
		return tag, true
	}
	found := r.pattern.FindStringSubmatchIndex(tag)
	switch {
	case found == nil, len(found) > 2 && found[2] < 0: // a group that took no part leaves nothing to sort
		return "", false
	case len(found) > 2:
		return tag[found[2]:found[3]], true
	}
	return tag, true
}

// version reads a version; nil where there is none.
func (r *rule) version(text string) *semver.Version {
	if r.pattern == nil && !strings.Contains(text, ".") {
		return nil
	}
	v, err := semver.NewVersion(text)
	if err != nil {
		return nil
	}
	return v
}

// compare is positive where a is taken before b.
func (r *rule) compare(a, b candidate) int {
	var by int
	switch r.sort {
	case "semver":
		by = a.version.Compare(b.version)
	case "number":
		by = compareNumbers(a.captured, b.captured)
	default:
		by = cmp.Compare(a.captured, b.captured)
	}
	return cmp.Or(by, cmp.Compare(len(a.tag), len(b.tag)), cmp.Compare(b.tag, a.tag))
}

// isNumber tells digits, with a fraction or without.
func isNumber(s string) bool {
	whole, fraction, dot := strings.Cut(s, ".")
	return isDigits(whole) && (!dot || isDigits(fraction))
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// compareNumbers compares numbers of any length: a build's number made of a time does not fit into a machine's.
func compareNumbers(a, b string) int {
	aWhole, aFraction, _ := strings.Cut(a, ".")
	bWhole, bFraction, _ := strings.Cut(b, ".")
	aWhole, bWhole = strings.TrimLeft(aWhole, "0"), strings.TrimLeft(bWhole, "0")
	return cmp.Or(
		cmp.Compare(len(aWhole), len(bWhole)), cmp.Compare(aWhole, bWhole),
		cmp.Compare(strings.TrimRight(aFraction, "0"), strings.TrimRight(bFraction, "0")),
	)
}
