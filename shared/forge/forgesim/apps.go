package forgesim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func (s *Server) appRoutes() []route {
	return []route{
		{pattern: "GET /app", app: true, run: s.showApp},
		{pattern: "GET /app/installations", app: true, run: s.listInstallations},
		{pattern: "GET /app/installations/{id}", app: true, run: s.showInstallation},
		{pattern: "POST /app/installations/{id}/access_tokens", app: true, run: s.mintToken},
		{pattern: "GET /repos/{owner}/{repo}/installation", app: true, run: s.installationOf},
		{pattern: "GET /orgs/{owner}/installation", app: true, run: s.installationOf},
		{pattern: "GET /users/{owner}/installation", app: true, run: s.installationOf},
		{pattern: "GET /installation/repositories", run: s.reposOfInstallation},
		{pattern: "DELETE /installation/token", run: s.revokeToken},
	}
}

func (a App) key() (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(a.PublicKey))
	if block == nil {
		return nil, fmt.Errorf("app %d: the public key is not in PEM form", a.ID)
	}
	if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read public key of app %d: %w", a.ID, err)
	}
	key, fine := parsed.(*rsa.PublicKey)
	if !fine {
		return nil, fmt.Errorf("app %d: the public key is none of RSA", a.ID)
	}
	return key, nil
}

// signed verifies an App's JWT as GitHub does, and says why not.
func (s *Server) signed(token string) (*App, string) {
	const undecodable = "A JSON web token could not be decoded"
	parts := strings.Split(token, ".")
	var head struct{ Alg string }
	var claims struct {
		Iss json.RawMessage
		Iat json.Number
		Exp json.Number
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !unpack(parts[0], &head) || !unpack(parts[1], &claims) || head.Alg != "RS256" {
		return nil, undecodable
	}
	issuer := strings.Trim(string(claims.Iss), `"`)
	for i := range s.opts.Apps {
		a := &s.opts.Apps[i]
		if strconv.FormatInt(a.ID, 10) != issuer {
			continue
		}
		key, err := a.key()
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if err != nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
			return nil, undecodable
		}
		return a, s.lifetime(claims.Iat, claims.Exp)
	}
	return nil, "Integration not found"
}

func unpack(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}

// lifetime says what is wrong with the times of a JWT.
func (s *Server) lifetime(issued, expires json.Number) string {
	iat, err := issued.Float64()
	if err != nil {
		return "Missing 'issued at' claim ('iat') in assertion"
	}
	exp, err := expires.Float64()
	now := float64(s.now().Unix())
	switch {
	case err != nil:
		return "Missing 'expiration time' claim ('exp') in assertion"
	case iat > now+1:
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case exp <= now:
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case exp > now+600:
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

func (s *Server) showApp(c *call) answer {
	a := c.who.app
	return ok(obj{
		"id": a.ID, "slug": a.Slug, "name": a.Slug, "permissions": permitted(a.Permissions), "events": []string{"push"},
		"installations_count": len(a.Installations), "html_url": s.base + "/apps/" + a.Slug,
	})
}

func (s *Server) installationView(a *App, i *Installation) obj {
	selection := "all"
	if len(i.Repos) > 0 {
		selection = "selected"
	}
	v := obj{
		"id": i.ID, "account": s.userView(i.Account), "app_id": a.ID, "app_slug": a.Slug, "repository_selection": selection,
		"permissions": i.granted(a), "events": []string{"push"}, "target_type": s.kindOf(i.Account), "suspended_at": nil,
		"access_tokens_url": fmt.Sprintf("%s/app/installations/%d/access_tokens", s.base, i.ID),
	}
	if i.Suspended {
		v["suspended_at"] = s.now()
	}
	return v
}

func (i *Installation) granted(a *App) map[string]string {
	if i.Permissions != nil {
		return permitted(i.Permissions)
	}
	return permitted(a.Permissions)
}

func (i *Installation) reaches(r *repo) bool {
	if !strings.EqualFold(i.Account, r.owner) {
		return false
	}
	for _, name := range i.Repos {
		if strings.EqualFold(name, r.name) {
			return true
		}
	}
	return len(i.Repos) == 0
}

func (s *Server) listInstallations(c *call) answer {
	list := []obj{}
	for i := range c.who.app.Installations {
		list = append(list, s.installationView(c.who.app, &c.who.app.Installations[i]))
	}
	return paged(s, c, list)
}

func (c *call) installation() *Installation {
	for i := range c.who.app.Installations {
		if c.who.app.Installations[i].ID == c.number("id") {
			return &c.who.app.Installations[i]
		}
	}
	return nil
}

func (s *Server) showInstallation(c *call) answer {
	i := c.installation()
	if i == nil {
		return notFound()
	}
	return ok(s.installationView(c.who.app, i))
}

// installationOf finds the installation on an account, or the one that reaches a repository.
func (s *Server) installationOf(c *call) answer {
	name := c.r.PathValue("repo")
	for i := range c.who.app.Installations {
		in := &c.who.app.Installations[i]
		if !strings.EqualFold(in.Account, c.r.PathValue("owner")) {
			continue
		}
		if name == "" {
			return ok(s.installationView(c.who.app, in))
		}
		if r := s.find(c.r.PathValue("owner"), name); r != nil && in.reaches(r) {
			return ok(s.installationView(c.who.app, in))
		}
	}
	return notFound()
}

// mintToken gives an installation's token, narrowed to what was asked for.
func (s *Server) mintToken(c *call) answer {
	var in struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	i := c.installation()
	switch {
	case i == nil:
		return notFound()
	case i.Suspended:
		return fail(http.StatusForbidden, "This installation has been suspended")
	}
	granted := i.granted(c.who.app)
	for name, level := range in.Permissions {
		if rank(level) < 1 || rank(granted[name]) < rank(level) {
			return fail(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
	}
	if len(in.Permissions) > 0 {
		granted = permitted(in.Permissions)
	}
	m := &minted{app: c.who.app, installation: i, permissions: granted, expires: s.now().Add(time.Hour)}
	list, fine := s.narrowed(i, m, in.Repositories, in.RepositoryIDs)
	if !fine {
		return fail(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
	}
	m.text = fmt.Sprintf("ghs_%s%d", secretText(), s.id())
	s.minted[m.text] = m
	body := obj{"token": m.text, "expires_at": m.expires, "permissions": m.permissions, "repository_selection": "all"}
	if m.repos != nil {
		body["repository_selection"], body["repositories"] = "selected", list
	}
	return created(body)
}

// narrowed sets the repositories of a token and reports whether they are the installation's.
func (s *Server) narrowed(i *Installation, m *minted, names []string, ids []int64) ([]obj, bool) {
	if len(names)+len(ids)+len(i.Repos) == 0 {
		return nil, true
	}
	m.repos = map[string]bool{}
	var list []obj
	add := func(r *repo) bool {
		if r == nil || !i.reaches(r) {
			return false
		}
		m.repos[r.key()] = true
		list = append(list, s.repoView(r))
		return true
	}
	if len(names)+len(ids) == 0 {
		for _, name := range i.Repos {
			add(s.find(i.Account, name))
		}
		return list, true
	}
	for _, name := range names {
		if !add(s.find(i.Account, name)) {
			return nil, false
		}
	}
	for _, id := range ids {
		if !add(s.numbered(id)) {
			return nil, false
		}
	}
	return list, true
}

func (s *Server) reposOfInstallation(c *call) answer {
	if c.who.minted == nil {
		return fail(http.StatusForbidden, "You must authenticate with an installation access token in order to list repositories for an installation.")
	}
	list := []obj{}
	for _, r := range s.all() {
		if c.who.minted.reaches(r) {
			list = append(list, s.repoView(r))
		}
	}
	part, header := page(s, c, list)
	return answer{http.StatusOK, obj{"total_count": len(list), "repositories": part}, header}
}

func (s *Server) revokeToken(c *call) answer {
	if c.who.minted == nil {
		return fail(http.StatusForbidden, "Resource not accessible by "+c.who.kind())
	}
	delete(s.minted, c.who.minted.text)
	return empty()
}
