package flysim

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/superfly/macaroon/resset"
)

func (s *Server) deleteCluster(_ *call, p *cluster) answer {
	p.deleted = true
	s.announce()
	return empty(http.StatusNoContent)
}

func (s *Server) clusterRegions(c *call) answer {
	if _, a, refused := s.orgFor(c.who, resset.ActionRead, c.r.PathValue("org")); refused {
		return a
	}
	type region struct {
		Code      string `json:"code"`
		Available bool   `json:"available"`
	}
	list := []region{}
	for _, r := range regions() {
		list = append(list, region{r.Code, true})
	}
	return ok(data{list})
}

func (p *cluster) user(name string) *pgUser {
	for _, u := range p.users {
		if u.Name == name {
			return u
		}
	}
	return nil
}

func (s *Server) createUser(c *call, p *cluster) answer {
	var in struct {
		Username string `json:"username"`
		UserName string `json:"user_name"`
		Role     string `json:"role"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	name, role := cmp.Or(in.Username, in.UserName), cmp.Or(in.Role, "writer")
	switch {
	case name == "":
		return fail(http.StatusUnprocessableEntity, "a user needs a name")
	case p.user(name) != nil:
		return failf(http.StatusUnprocessableEntity, "user %s exists", name)
	case !slices.Contains([]string{"schema_admin", "writer", "reader"}, role):
		return failf(http.StatusUnprocessableEntity, "role %q must be schema_admin, writer or reader", role)
	}
	u := &pgUser{name, role, s.token(12)}
	p.users = append(p.users, u)
	s.announce()
	return created(data{u})
}

func (s *Server) deleteUser(c *call, p *cluster) answer {
	u := p.user(c.r.PathValue("user"))
	switch u {
	case nil:
		return fail(http.StatusNotFound, "user not found")
	case p.users[0]:
		return fail(http.StatusUnprocessableEntity, "the first user of a cluster stays")
	}
	p.users = slices.DeleteFunc(slices.Clone(p.users), func(other *pgUser) bool { return other == u })
	s.announce()
	return empty(http.StatusNoContent)
}

// showCredentials answers under the names of both generations.
func (s *Server) showCredentials(c *call, p *cluster) answer {
	u := p.user(c.r.PathValue("user"))
	if u == nil {
		return fail(http.StatusNotFound, "user not found")
	}
	return ok(data{map[string]string{"username": u.Name, "user": u.Name, "password": u.password}})
}

func (p *cluster) databaseViews() []map[string]string {
	list := []map[string]string{}
	for _, name := range p.databases {
		list = append(list, map[string]string{"name": name})
	}
	return list
}

func (s *Server) createDatabase(c *call, p *cluster) answer {
	var in struct {
		Name string `json:"name"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if in.Name == "" || slices.Contains(p.databases, in.Name) {
		return failf(http.StatusUnprocessableEntity, "database %q has no name or exists", in.Name)
	}
	p.databases = append(p.databases, in.Name)
	s.announce()
	return created(data{map[string]string{"name": in.Name}})
}

// attachCluster notes that an app uses the cluster. The secret with its address is the client's to set.
func (s *Server) attachCluster(c *call, p *cluster) answer {
	var in struct {
		App string `json:"app_name"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	a, err := s.appBy(c.who, resset.ActionWrite, in.App)
	if err != nil || a.org != p.org {
		return fail(http.StatusNotFound, "app not found")
	}
	at := slices.IndexFunc(p.attached, func(one *attachment) bool { return one.app == a })
	if at < 0 {
		s.serial++
		p.attached = append(p.attached, &attachment{id: int64(s.serial), app: a, at: s.now()}) //nolint:gosec // it counts
		at = len(p.attached) - 1
		s.announce()
	}
	one := p.attached[at]
	return created(data{map[string]any{
		"id": one.id, "app_id": a.numeric, "managed_service_id": p.numeric, "attached_at": one.at.UTC().Format(time.RFC3339),
	}})
}

func (s *Server) detachCluster(c *call, p *cluster) answer {
	before := len(p.attached)
	p.attached = slices.DeleteFunc(slices.Clone(p.attached), func(one *attachment) bool { return one.app.name == c.r.PathValue("app") })
	if len(p.attached) == before {
		return fail(http.StatusNotFound, "attachment not found")
	}
	s.announce()
	return ok(data{map[string]string{"message": "detached"}})
}
