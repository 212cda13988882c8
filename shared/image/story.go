package image

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	exitCode = regexp.MustCompile(`did not complete successfully: exit code: (\d+)`)
	// resolving is what BuildKit says of an image whose registry it asked; requesting is what Go says of a request that got no
	// answer, and answering what containerd says of one that got a bad one.
	resolving  = regexp.MustCompile(`(?:^|: )failed to resolve source metadata for ([^\s:]\S*): (.*)$`)
	requesting = regexp.MustCompile(`(?:Head|Get|Post|Put|Patch) "https?://([^/"]+)(/[^"]*)?": (.*)$`)
	answering  = regexp.MustCompile(`unexpected status from \w+ request to https?://([^/\s]+)\S*: ((\d{3})\b.*)$`)
)

// sentence says what failed in one line: what is wrong, and where.
func (p *plain) sentence() string {
	said := p.message()
	if m, st := exitCode.FindStringSubmatch(said), p.failing(); m != nil && st != nil {
		return fmt.Sprintf("%s%s ended with exit code %s", p.at(), cut(numbering.ReplaceAllString(st.name, ""), longestSaid), m[1])
	}
	if said == "" {
		return ""
	}
	return p.at() + strings.ReplaceAll(said, "\n", " ")
}

// longestSaid is what is told of a line of a Dockerfile.
const longestSaid = 500

// registry says what a registry did not give, and whether it may be asked again. What a step ended with is its own,
// whatever words are in it.
func (p *plain) registry() (says string, again, ok bool) {
	said := p.message()
	if strings.Contains(said, "did not complete successfully") {
		return "", false, false
	}
	m := resolving.FindStringSubmatch(said)
	if m == nil {
		says, ok = unreached(said)
		return says, ok, ok
	}
	ref, why := m[1], m[2]
	host, _, _ := strings.Cut(ref, "/")
	if says, ok := unreached(why); ok {
		return fmt.Sprintf("image %s cannot be read: %s", ref, says), true, true
	}
	code := ""
	if a := answering.FindStringSubmatch(why); a != nil {
		code = a[3]
	}
	switch {
	case strings.Contains(why, "no match for platform"):
		return fmt.Sprintf("image %s has no image for linux/amd64, and Fly's machines are of that kind", ref), false, true
	case code == "404", strings.HasSuffix(why, ": not found"):
		return fmt.Sprintf("image %s does not exist: check its name and tag", ref), false, true
	case code == "401", code == "403", strings.Contains(why, "pull access denied"), strings.Contains(why, "authorization failed"):
		return fmt.Sprintf("image %s: its registry denies access: the image is private, or there is none of that name; give FlyCD a login for %s", ref, host), false, true
	}
	return "", false, false
}

// unreached tells of a host that gave no answer, or one that says that it cannot now.
func unreached(said string) (says string, ok bool) {
	if m := answering.FindStringSubmatch(said); m != nil && (m[3] == "429" || m[3][0] == '5') {
		return fmt.Sprintf("registry %s does not serve it now, and may when it is tried again: %s", m[1], m[2]), true
	}
	m := requesting.FindStringSubmatch(said)
	if m == nil || !passes(m[3]) {
		return "", false
	}
	what := "registry "
	if !strings.HasPrefix(m[2], "/v2/") && !strings.Contains(m[2], "token") {
		what = ""
	}
	return fmt.Sprintf("%s%s cannot be reached: see that its name is right and that BuildKit reaches it, and try again: %s", what, m[1], m[3]), true
}
