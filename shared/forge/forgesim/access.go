package forgesim

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/fault"
)

// identity is who asks: nobody, a person with a token, an App with its JWT, or an installation.
type identity struct {
	login string
	// token and minted are the two kinds of tokens; both nil: everybody, where nothing is asked for.
	token  *Token
	minted *minted
	app    *App
	// key is what requests are counted by.
	key string
}

// minted is a token that an App got.
type minted struct {
	text         string
	app          *App
	installation *Installation
	// repos are full names in lower case; nil is everything of the account.
	repos       map[string]bool
	permissions map[string]string
	expires     time.Time
}

func (i identity) kind() string {
	switch {
	case i.minted != nil:
		return "integration"
	case i.token != nil && i.token.Permissions != nil:
		return "personal access token"
	}
	return "this token"
}

// may reports whether one of the permissions (name:level, with | between them) is there. Reading what is public
// needs none.
func (i identity) may(needs string, public bool) bool {
	if one, other, more := strings.Cut(needs, "|"); more {
		return i.may(one, public) || i.may(other, public)
	}
	name, level, _ := strings.Cut(needs, ":")
	if name == "" || name == "metadata" {
		return true
	}
	if i.login == "" {
		return public && level == "read"
	}
	var has map[string]string
	switch {
	case i.minted != nil:
		has = i.minted.permissions
	case i.token != nil:
		has = i.token.Permissions
	}
	return has == nil || rank(has[name]) >= rank(level) || public && level == "read" && name != "repository_hooks"
}

// rank orders levels of permissions.
func rank(level string) int { return slices.Index([]string{"", "read", "write", "admin"}, level) }

// open reports whether nothing is asked for: there is neither a token nor an App.
func (s *Server) open() bool { return len(s.opts.Tokens) == 0 && len(s.opts.Apps) == 0 }

// bearer is what a request carries: a token or a JWT, as go-github, curl and git send them.
func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "bearer", "token":
		return strings.TrimSpace(value)
	case "basic":
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return "?"
		}
		user, password, _ := strings.Cut(string(text), ":")
		if password == "" || password == "x-oauth-basic" { //nolint:gosec // GitHub's word for no password
			return user
		}
		return password
	}
	return ""
}

// identify says who asks; the caller holds mu.
func (s *Server) identify(r *http.Request) (identity, answer, bool) {
	text := bearer(r)
	if text == "" {
		if s.open() {
			return identity{login: "somebody"}, answer{}, false
		}
		return identity{key: "nobody"}, answer{}, false
	}
	if t, found := s.opts.Tokens[text]; found {
		if t.Login == "" {
			t.Login = "somebody"
		}
		return identity{login: t.Login, token: &t, key: "token " + text}, answer{}, false
	}
	if m, found := s.minted[text]; found && s.now().Before(m.expires) {
		return identity{login: m.app.Slug + "[bot]", minted: m, key: "installation " + strconv.FormatInt(m.installation.ID, 10)}, answer{}, false
	}
	if strings.Count(text, ".") == 2 {
		app, why := s.signed(text)
		if why != "" {
			return identity{}, fail(http.StatusUnauthorized, why), true
		}
		return identity{login: app.Slug, app: app, key: "app " + strconv.FormatInt(app.ID, 10)}, answer{}, false
	}
	if s.open() {
		return identity{login: "somebody"}, answer{}, false
	}
	return identity{}, fail(http.StatusUnauthorized, "Bad credentials"), true
}

// sees reports whether a repository is there for whoever asks.
func (s *Server) sees(who identity, r *repo) bool {
	switch {
	case !r.private:
		return true
	case who.app != nil:
		return false
	}
	return who.reaches(r)
}

// reaches reports whether a token is for the repository.
func (i identity) reaches(r *repo) bool {
	switch {
	case i.minted != nil:
		return i.minted.reaches(r)
	case i.token != nil:
		return i.token.reaches(r)
	}
	return i.login != "" // nothing is asked for
}

func (m *minted) reaches(r *repo) bool {
	return strings.EqualFold(m.installation.Account, r.owner) && (m.repos == nil || m.repos[r.key()])
}

func (t *Token) reaches(r *repo) bool {
	return len(t.Repos) == 0 || slices.ContainsFunc(t.Repos, func(p string) bool { return fault.Glob(strings.ToLower(p), r.key()) })
}

// rate is how many requests somebody has made in this hour.
type rate struct {
	used  int
	reset time.Time
}

// limited counts a request; the caller holds mu.
func (s *Server) limited(who identity, header http.Header) (answer, bool) {
	limit := s.opts.RateLimit
	now := s.now()
	r := s.rates[who.key]
	if r == nil || !now.Before(r.reset) {
		r = &rate{reset: now.Add(time.Hour)}
		s.rates[who.key] = r
	}
	shown := limit
	if limit == 0 {
		shown = 5000
	}
	refused := limit > 0 && r.used >= limit
	if !refused {
		r.used++
	}
	header.Set("X-Ratelimit-Limit", strconv.Itoa(shown))
	header.Set("X-Ratelimit-Remaining", strconv.Itoa(max(0, shown-r.used)))
	header.Set("X-Ratelimit-Used", strconv.Itoa(r.used))
	header.Set("X-Ratelimit-Reset", strconv.FormatInt(r.reset.Unix(), 10))
	header.Set("X-Ratelimit-Resource", "core")
	if refused {
		return fail(http.StatusForbidden, "API rate limit exceeded for user ID 1."), true
	}
	return answer{}, false
}

// permitted is a copy of permissions with what is always there.
func permitted(p map[string]string) map[string]string {
	out := maps.Clone(p)
	if out == nil {
		out = map[string]string{}
	}
	out["metadata"] = "read"
	return out
}
