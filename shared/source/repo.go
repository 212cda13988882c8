package source

import (
	"net"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// remote is the address of a repository, with the credentials taken out of it.
type remote struct {
	scheme string // https, http, ssh or file
	user   string // of ssh
	host   string
	port   int
	path   string
	cred   Credential
}

var scpForm = regexp.MustCompile(`^(?:([\w.~+-]+)@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(.+)$`)

// parseRepo reads the spellings of a repository that git knows: https and ssh URLs, the scp form,
// file URLs and absolute folders. Errors wrap job.ErrRejected and never repeat a credential.
func parseRepo(repo string) (remote, error) {
	repo = strings.TrimSpace(repo)
	if repo == "" {
		return remote{}, job.Rejectf("source.repo is empty: expected a URL such as https://github.com/owner/name")
	}
	if len(repo) > 4096 || strings.ContainsFunc(repo, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return remote{}, job.Rejectf("source.repo is too long or has control characters: expected a URL such as https://github.com/owner/name")
	}
	r, err := parseSpelling(repo)
	if err != nil {
		return remote{}, err
	}
	if r.user != "" && !userName.MatchString(r.user) {
		return remote{}, job.Rejectf("source.repo: what stands before the @ is no user name: expected one such as git")
	}
	if r.scheme != "file" && !isHost(r.host) {
		return remote{}, job.Rejectf("source.repo %s: %q is no host name", r, r.host)
	}
	// ssh would read a leading dash as an option
	if strings.HasPrefix(r.host, "-") || strings.HasPrefix(r.user, "-") || strings.HasPrefix(r.path, "-") {
		return remote{}, job.Rejectf("source.repo %s: host, user and path may not begin with a dash", r)
	}
	return r, nil
}

var (
	hostName = regexp.MustCompile(`^[\w.-]+$`)
	userName = regexp.MustCompile(`^[\w.~+-]+$`)
)

// isHost reports whether host is a name, an address, or an IPv6 address in brackets.
func isHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner = strings.TrimSuffix(inner, "]")
		return strings.Contains(inner, ":") && net.ParseIP(inner) != nil
	}
	return hostName.MatchString(host)
}

func parseSpelling(repo string) (remote, error) {
	if strings.HasPrefix(repo, "/") {
		return remote{scheme: "file", path: path.Clean(repo)}, nil
	}
	if !strings.Contains(repo, "://") {
		if m := scpForm.FindStringSubmatch(repo); m != nil && strings.Trim(m[3], "/") != "" {
			return remote{scheme: "ssh", user: m[1], host: m[2], path: m[3]}, nil
		}
		return remote{}, job.Rejectf("source.repo %q is no repository URL: expected https://host/owner/name, git@host:owner/name, "+
			"ssh://git@host/owner/name or file:///folder", repo)
	}
	u, err := url.Parse(repo)
	if err != nil {
		// url's own error repeats the whole URL, credentials included
		return remote{}, job.Rejectf("source.repo %s cannot be read as a URL: expected one such as https://github.com/owner/name", withoutUserinfo(repo))
	}
	return fromURL(u)
}

func fromURL(u *url.URL) (remote, error) {
	r := remote{scheme: strings.ToLower(u.Scheme), host: u.Hostname(), path: u.EscapedPath()}
	if strings.Contains(r.host, ":") {
		r.host = "[" + r.host + "]"
	}
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return remote{}, job.Rejectf("source.repo %s: %s is no port", r, p)
		}
		r.port = n
	}
	switch r.scheme {
	case "https", "http":
		if u.User != nil {
			password, _ := u.User.Password()
			r.cred = Credential{Username: u.User.Username(), Password: manifest.NewSecret(password)}
			// https://TOKEN@host is a common way to write a token; a user's name is shorter
			if password == "" && len(r.cred.Username) >= 20 {
				r.cred = Credential{Username: u.User.Username(), Password: manifest.NewSecret(u.User.Username())}
			}
		}
	case "ssh", "git+ssh", "ssh+git":
		r.scheme, r.path, r.user = "ssh", u.Path, u.User.Username()
		// ssh://host/~user/repo is a path in a home folder
		if strings.HasPrefix(r.path, "/~") {
			r.path = r.path[1:]
		}
	case "file":
		if r.host != "" && r.host != "localhost" {
			return remote{}, job.Rejectf("source.repo %s: a file URL has no host, write file:///folder", r)
		}
		return remote{scheme: "file", path: path.Clean("/" + u.Path)}, nil
	default:
		return remote{}, job.Rejectf("source.repo %s: the scheme %s is not supported, use https, ssh or file", r, r.scheme)
	}
	if r.host == "" || strings.Trim(r.path, "/") == "" {
		return remote{}, job.Rejectf("source.repo %s: a repository URL has a host and a path, such as https://github.com/owner/name", r)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return remote{}, job.Rejectf("source.repo %s: a repository URL has no ?query and no #fragment; the folder goes into source.path, the branch into source.ref", r)
	}
	return r, nil
}

// withoutUserinfo drops whatever could be a credential from a text that is no URL.
func withoutUserinfo(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	return strconv.Quote(scheme + "://" + rest)
}

// String gives the address for people and logs: never a credential.
func (r remote) String() string {
	if r.scheme == "file" {
		return r.path
	}
	host := r.host
	if r.port != 0 {
		host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(r.port))
	}
	if r.user != "" {
		host = r.user + "@" + host
	}
	return r.scheme + "://" + host + "/" + strings.TrimPrefix(r.path, "/")
}

// endpoint gives go-git's form, without credentials.
func (r remote) endpoint() *transport.Endpoint {
	ep := &transport.Endpoint{Protocol: r.scheme, Host: r.host, Port: r.port, Path: r.path}
	if r.scheme == "ssh" {
		ep.User = or(r.user, "git")
		ep.Host = strings.Trim(r.host, "[]")
	}
	return ep
}

// plain reports whether whatever is sent can be read on the way.
func (r remote) plain() bool {
	if r.scheme != "http" {
		return false
	}
	ip := net.ParseIP(strings.Trim(r.host, "[]"))
	return r.host != "localhost" && (ip == nil || !ip.IsLoopback())
}
