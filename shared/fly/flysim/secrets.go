package flysim

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/superfly/macaroon/resset"
)

// secrets are an app's secrets: every change is a new version, and machines run with the version
// they were created or updated with.
type secrets struct {
	version uint64
	values  map[string]*secret
	// history holds the values by version; a version not in it changed nothing.
	history map[uint64]map[string]string
	// since is when the newest version was made.
	since time.Time
}

type secret struct {
	value, digest    string
	created, updated time.Time
}

type secretView struct {
	Name      string  `json:"name"`
	Digest    string  `json:"digest"`
	Value     *string `json:"value,omitempty"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
}

// versioned is an answer that names the version of the secrets, under both keys of the real API.
type versioned struct {
	Version uint64 `json:"version"`
	Old     uint64 `json:"Version"`
}

func (s *Server) secretRoutes() []route {
	const all = " /v1/apps/{app}/secrets"
	on := func(pattern string, action resset.Action, run func(*call) answer) route {
		return route{pattern: pattern, action: action, scope: toApp, run: run}
	}
	return []route{
		on("GET"+all, resset.ActionRead, s.listSecrets),
		on("POST"+all, resset.ActionWrite, s.updateSecrets),
		on("GET"+all+"/{name}", resset.ActionRead, s.showSecret),
		on("POST"+all+"/{name}", resset.ActionWrite, s.setSecret),
		on("DELETE"+all+"/{name}", resset.ActionWrite, s.deleteSecret),
	}
}

func (sec *secret) view(name string, show bool) secretView {
	v := secretView{
		Name: name, Digest: sec.digest,
		CreatedAt: sec.created.UTC().Format(time.RFC3339), UpdatedAt: sec.updated.UTC().Format(time.RFC3339),
	}
	if show {
		v.Value = &sec.value
	}
	return v
}

func (a *app) secretViews(show bool) []secretView {
	views := []secretView{}
	for _, name := range slices.Sorted(maps.Keys(a.secrets.values)) {
		views = append(views, a.secrets.values[name].view(name, show))
	}
	return views
}

// secretsAvailable is the newest version that machines can have.
func (s *Server) secretsAvailable(a *app) uint64 {
	if a.secrets.version > 0 && s.now().Before(a.secrets.since.Add(s.lag.Secrets)) {
		return a.secrets.version - 1
	}
	return a.secrets.version
}

// behind tells whether a read asks for a version that is not there yet.
func (s *Server) behind(c *call, have uint64) (answer, bool) {
	q := c.r.URL.Query()
	text := cmp.Or(q.Get("min_version"), q.Get("version"))
	if text == "" {
		return answer{}, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return failf(http.StatusBadRequest, "invalid_argument: invalid version %q", text), true
	}
	if n > have {
		return failf(http.StatusPreconditionFailed, "failed_precondition: min_secrets_version %d is not yet available on this app", n), true
	}
	return answer{}, false
}

func (s *Server) listSecrets(c *call) answer {
	if a, refused := s.behind(c, s.secretsAvailable(c.app)); refused {
		return a
	}
	return ok(struct {
		Secrets []secretView `json:"secrets"`
	}{c.app.secretViews(c.r.URL.Query().Get("show_secrets") == "true")})
}

func (s *Server) showSecret(c *call) answer {
	name := c.r.PathValue("name")
	if a, refused := s.behind(c, s.secretsAvailable(c.app)); refused {
		return a
	}
	sec := c.app.secrets.values[name]
	if sec == nil {
		return failf(http.StatusNotFound, "not_found: secret %s not found", name)
	}
	return ok(sec.view(name, c.r.URL.Query().Get("show_secrets") == "true"))
}

// changeSecrets sets and removes (nil) values as one new version.
func (s *Server) changeSecrets(a *app, values map[string]*string) {
	now := s.now()
	for name, value := range values {
		old := a.secrets.values[name]
		switch {
		case value == nil:
			delete(a.secrets.values, name)
		case old != nil:
			a.secrets.values[name] = &secret{value: *value, digest: digest(a.id, *value), created: old.created, updated: now}
		default:
			a.secrets.values[name] = &secret{value: *value, digest: digest(a.id, *value), created: now, updated: now}
		}
	}
	a.secrets.version++
	a.secrets.since = now
	if a.secrets.history == nil {
		a.secrets.history = map[uint64]map[string]string{}
	}
	plain := map[string]string{}
	for name, sec := range a.secrets.values {
		plain[name] = sec.value
	}
	a.secrets.history[a.secrets.version] = plain
	s.announce()
}

func (s *Server) updateSecrets(c *call) answer {
	var in struct {
		Values map[string]*string `json:"values"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	for name := range in.Values {
		if why := badSecretName(name); why != "" {
			return fail(http.StatusBadRequest, why)
		}
	}
	s.changeSecrets(c.app, in.Values)
	return ok(struct {
		Secrets []secretView `json:"secrets"`
		versioned
	}{c.app.secretViews(false), versioned{c.app.secrets.version, c.app.secrets.version}})
}

func badSecretName(name string) string {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') && r != '.' && r != '-' {
			return "invalid_argument: invalid secret name " + strconv.Quote(name)
		}
	}
	if name == "" {
		return "invalid_argument: a secret needs a name"
	}
	return ""
}

func (s *Server) setSecret(c *call) answer {
	var in struct {
		Value *string `json:"value"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	name := c.r.PathValue("name")
	if why := badSecretName(name); why != "" {
		return fail(http.StatusBadRequest, why)
	}
	if in.Value == nil {
		return fail(http.StatusBadRequest, "invalid_argument: value is required")
	}
	s.changeSecrets(c.app, map[string]*string{name: in.Value})
	return created(struct {
		secretView
		versioned
	}{c.app.secrets.values[name].view(name, false), versioned{c.app.secrets.version, c.app.secrets.version}})
}

func (s *Server) deleteSecret(c *call) answer {
	s.changeSecrets(c.app, map[string]*string{c.r.PathValue("name"): nil})
	return ok(versioned{c.app.secrets.version, c.app.secrets.version})
}
