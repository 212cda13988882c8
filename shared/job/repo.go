package job

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	schemeForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(.*)$`)
	scpForm    = regexp.MustCompile(`^(?:[^@/:]+@)?([^/:\[]+):(.*)$`)
)

// RepoKey normalizes a repository URL to host/path, so that the https, ssh and scp spellings of
// one repository are one key: the scheme, credentials, port, case, query, a trailing slash and .git
// are dropped, spaces and control characters are escaped. A file URL or an absolute folder becomes
// its cleaned path. RepoKey never fails, as an unknown spelling is merely a key that matches
// nothing, and a key is its own key.
func RepoKey(repo string) string {
	key := repoKey(repo)
	// What is left of an odd spelling may look like another form: bounded, as each step drops something.
	for again := repoKey(key); again != key; again = repoKey(key) {
		key = again
	}
	return key
}

func repoKey(repo string) string {
	repo = strings.TrimSpace(repo)
	if strings.HasPrefix(repo, "/") {
		return visible(path.Clean(repo))
	}
	var host, p string
	if scheme, rest, ok := cutScheme(repo); ok {
		host, p, _ = strings.Cut(rest, "/")
		if strings.EqualFold(scheme, "file") {
			return visible(path.Clean("/" + p))
		}
		p, _, _ = strings.Cut(p, "#")
		p, _, _ = strings.Cut(p, "?")
		host, p = splitPort(afterAt(host), p)
	} else if m := cutScp(repo); m != nil {
		host, p = m[1], m[2]
	} else {
		host, p, _ = strings.Cut(repo, "/")
		host = afterAt(host)
	}
	key := strings.ToLower(visible(strings.TrimRight(host, ".") + path.Clean("/"+p)))
	key = strings.Trim(key, "/")
	for trimmed := true; trimmed; {
		key, trimmed = strings.CutSuffix(key, ".git")
		key = strings.TrimRight(key, "/")
	}
	return key
}

// cutScheme is schemeForm, and cutScp is scpForm, without the price of it for the usual spellings: a webhook
// needs its repository's key several times.
func cutScheme(repo string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(repo, "://")
	if ok && scheme != "https" {
		ok = schemeForm.MatchString(repo)
	}
	return scheme, rest, ok && !strings.Contains(rest, "\n")
}

func cutScp(repo string) []string {
	if !strings.Contains(repo, ":") {
		return nil
	}
	return scpForm.FindStringSubmatch(repo)
}

// afterAt drops credentials.
func afterAt(host string) string { return host[strings.LastIndex(host, "@")+1:] }

// splitPort drops a port. What follows a colon and is no port is the path of a URL that was mixed
// with the scp form (ssh://git@host:owner/name).
func splitPort(host, p string) (string, string) {
	if i := strings.Index(host, "]"); strings.HasPrefix(host, "[") && i > 0 {
		return host[:i+1], p
	}
	host, port, _ := strings.Cut(host, ":")
	if strings.Trim(port, "0123456789") != "" {
		p = port + "/" + p
	}
	return host, p
}

// visible escapes what would break a line, a field or a terminal.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, "%%%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func hidden(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == unicode.ReplacementChar
}

// ID names a config tree in keys and on screens: host/path, then @ref and #folder where they are
// given.
func (c Config) ID() string {
	id := RepoKey(c.Repo)
	if c.Ref != "" {
		id += "@" + visible(c.Ref)
	}
	if p := strings.Trim(path.Clean("/"+c.Path), "/"); p != "" {
		id += "#" + visible(p)
	}
	return id
}

// ParseConfig reads URL[@ref][#path], the form of FLYCD_CONFIG_REPOS. An @ that belongs to the
// URL itself (git@host:path, user@host) is no ref; the first one in the repository's path begins
// it, so that a tag may hold another (pkg@1.2.0). A URL that holds a password or a token is rejected: what
// names a tree stands in Redis, in logs and on screens.
func ParseConfig(s string) (Config, error) {
	s = strings.TrimSpace(s)
	rest, folder, _ := strings.Cut(s, "#")
	start := pathStart(rest)
	repo, ref, hasRef := strings.Cut(rest[start:], "@")
	if RepoKey(rest[:start]+repo) == "" || repo == "" || (hasRef && ref == "") {
		// A URL may hold a password: it is not repeated.
		return Config{}, Rejectf("config repo: expected URL[@ref][#path], for example https://github.com/acme/config@main#apps")
	}
	if holdsSecret(rest[:start]) {
		return Config{}, Rejectf("config repo: leave the password or token out of the URL: the runners find it by host in FLYCD_GIT_TOKENS")
	}
	return Config{
		Repo: rest[:start] + repo,
		Ref:  ref,
		Path: strings.Trim(path.Clean("/"+folder), "/"),
	}, nil
}

// holdsSecret tells whether what stands before a repository's path holds credentials. The name alone (ssh://git@host)
// is none, except over HTTP, where a token may take its place.
func holdsSecret(beforePath string) bool {
	m := schemeForm.FindStringSubmatch(beforePath)
	if m == nil {
		return false
	}
	login := m[2][:max(strings.LastIndex(m[2], "@"), 0)]
	isHTTP := strings.EqualFold(m[1], "https") || strings.EqualFold(m[1], "http")
	return strings.Contains(login, ":") || isHTTP && login != ""
}

// pathStart says where the repository's own path begins; at the end where it has none.
func pathStart(s string) int {
	if m := schemeForm.FindStringSubmatchIndex(s); m != nil {
		host, p, ok := strings.Cut(s[m[4]:], "/")
		if !ok || (host == "" && !strings.EqualFold(s[:m[3]], "file")) {
			return len(s)
		}
		return len(s) - len(p)
	}
	if m := scpForm.FindStringSubmatchIndex(s); m != nil {
		return m[4]
	}
	return 0
}
