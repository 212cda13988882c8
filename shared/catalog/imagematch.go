package catalog

import (
	"fmt"
	"regexp"

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
	case p.Semver != "" || p.Regex != "":
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

// takes says whether the tag is one of those that a policy with a range or a pattern chooses from.
func (p ImagePolicy) takes(app, tag string) (ok bool, why string) {
	version := tag
	if p.Regex != "" {
		pattern, err := regexp.Compile(p.Regex)
		if err != nil {
			return false, fmt.Sprintf("source.policy.regex of app %s is no regular expression", app)
		}
		match := pattern.FindStringSubmatch(tag)
		if match == nil {
			return false, fmt.Sprintf("tag %s does not match %s of app %s", tag, p.Regex, app)
		}
		if len(match) > 1 {
			version = match[1]
		}
	}
	if p.Semver == "" {
		return true, ""
	}
	within, err := semver.NewConstraint(p.Semver)
	if err != nil {
		return false, fmt.Sprintf("source.policy.semver of app %s is no range of versions", app)
	}
	if v, err := semver.NewVersion(version); err != nil || !within.Check(v) {
		return false, fmt.Sprintf("tag %s does not match %s of app %s", tag, p.Semver, app)
	}
	return true, ""
}
