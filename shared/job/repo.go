package job

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

var scpForm = regexp.MustCompile(`^(?:[^@/:]+@)?([^/:]+):([^/].*)$`)

// RepoKey normalizes a repository URL to host/path, so that the https, ssh and scp spellings of
// one repository are one key: the scheme, credentials, port, case, a trailing slash and .git are
// dropped. A file URL or a folder becomes its cleaned path. What is no URL comes back trimmed and
// in lower case: RepoKey never fails, as an unknown spelling is merely a key that matches nothing.
func RepoKey(repo string) string {
	repo = strings.TrimSpace(repo)
	host, p := "", repo
	if u, err := url.Parse(repo); err == nil && u.Scheme != "" && (u.Host != "" || u.Path != "") && u.Opaque == "" {
		host, p = u.Hostname(), u.Path
		if u.Scheme == "file" {
			return path.Clean("/" + p)
		}
	} else if m := scpForm.FindStringSubmatch(repo); m != nil {
		host, p = m[1], m[2]
	} else if strings.HasPrefix(repo, "/") {
		return path.Clean(repo)
	}
	p = strings.Trim(path.Clean("/"+p), "/")
	p = strings.TrimSuffix(p, ".git")
	return strings.ToLower(strings.Trim(host+"/"+p, "/"))
}

// ID names a config tree in keys and on screens: host/path, then @ref and #folder where they are
// given.
func (c Config) ID() string {
	id := RepoKey(c.Repo)
	if c.Ref != "" {
		id += "@" + c.Ref
	}
	if p := strings.Trim(path.Clean("/"+c.Path), "/"); p != "" {
		id += "#" + p
	}
	return id
}

// ParseConfig reads URL[@ref][#path], the form of FLYCD_CONFIG_REPOS. An @ that belongs to the
// URL itself (git@host:path, user@host) is no ref.
func ParseConfig(s string) (Config, error) {
	s = strings.TrimSpace(s)
	rest, folder, _ := strings.Cut(s, "#")
	repo, ref := rest, ""
	// A ref follows the last @ that comes after the last slash of the repository's own path, or
	// after the colon of the scp form.
	if i := strings.LastIndex(rest, "@"); i > 0 && i > strings.Index(rest, "://")+2 && strings.ContainsAny(afterHost(rest), "@") {
		repo, ref = rest[:i], rest[i+1:]
	}
	if repo == "" {
		return Config{}, Rejectf("config repo %q: expected URL[@ref][#path]", s)
	}
	return Config{Repo: repo, Ref: ref, Path: strings.Trim(path.Clean("/"+folder), "/")}, nil
}

func afterHost(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		return rest
	}
	if _, rest, ok := strings.Cut(s, ":"); ok {
		return rest
	}
	return s
}
