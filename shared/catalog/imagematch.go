package catalog

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// latest is the tag of a reference that names none.
const latest = "latest"

// Follows says whether a push of the tag may change what the app's image policy takes, and why not. It is a sieve
// and no more: what is taken is decided by the runner, which sees all tags.
func (r ImageRoute) Follows(tag string) (ok bool, why string) {
	img, known := ParseImage(r.Image)
	named := img.Tag
	if named == "" {
		named = latest
	}
	p := r.Policy
	switch {
	case !r.Auto:
		return false, fmt.Sprintf("app %s has sync.auto: false: pushes do not deploy it", r.App)
	case !known:
		return false, fmt.Sprintf("app %s names %.100q, which is no image", r.App, r.Image)
	case p.Digest && tag == named && img.Digest == "":
		return true, ""
	case p.Semver != "" || p.Regex != "" || p.Sort != "":
		return p.takes(r.App, tag)
	case img.Digest != "":
		return false, fmt.Sprintf("app %s names %s by its digest, and so follows no tag", r.App, img)
	case p.Digest:
		return false, fmt.Sprintf("tag %s is not %s, which app %s follows", tag, named, r.App)
	default:
		img.Tag = named
		return false, fmt.Sprintf("app %s names %s without source.policy; set source.policy.digest to follow it", r.App, img)
	}
}

// takes says whether the tag is one of those that a policy with a range, a pattern or an order chooses from: image.Choose
// would take it if it were the only one.
func (p ImagePolicy) takes(app, tag string) (ok bool, why string) {
	captured, within := tag, p.Semver
	if p.Regex != "" {
		pattern, err := regexp.Compile(p.Regex)
		if err != nil {
			return false, fmt.Sprintf("source.policy.regex of app %s is no regular expression", app)
		}
		if captured, ok = capture(pattern, tag); !ok {
			return false, fmt.Sprintf("tag %s does not match %s of app %s", tag, p.Regex, app)
		}
	} else if within == "" && p.Sort == "semver" {
		within = "*"
	}
	version := p.version(captured)
	if within != "" {
		limits, err := semver.NewConstraint(within)
		switch {
		case err != nil:
			return false, fmt.Sprintf("source.policy.semver of app %s is no range of versions", app)
		case p.Semver != "" && (version == nil || !limits.Check(version)):
			return false, fmt.Sprintf("tag %s does not match %s of app %s", tag, p.Semver, app)
		case version != nil && !limits.Check(version):
			version = nil
		}
	}
	switch {
	case p.Sort == "semver" && version == nil:
		return false, fmt.Sprintf("tag %s is no version, as source.policy.sort of app %s asks for", tag, app)
	case p.Sort == "number" && !isNumber(captured):
		return false, fmt.Sprintf("tag %s is no number, as source.policy.sort of app %s asks for", tag, app)
	}
	return true, ""
}

// capture gives what the first group of a pattern captured, and the whole tag for a pattern without one.
func capture(pattern *regexp.Regexp, tag string) (string, bool) {
	at := pattern.FindStringSubmatchIndex(tag)
	switch {
	case at == nil || len(at) > 2 && at[2] < 0:
		return "", false
	case len(at) > 2:
		return tag[at[2]:at[3]], true
	}
	return tag, true
}

// version reads a version. A whole tag that is a number alone is none.
func (p ImagePolicy) version(text string) *semver.Version {
	if p.Regex == "" && !strings.Contains(text, ".") {
		return nil
	}
	v, err := semver.NewVersion(text)
	if err != nil {
		return nil
	}
	return v
}

// isNumber tells digits, with a fraction or without.
func isNumber(s string) bool {
	whole, fraction, dot := strings.Cut(s, ".")
	return isDigits(whole) && (!dot || isDigits(fraction))
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
