package flysim

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/superfly/macaroon/resset"
)

// appView is an app as the API shows it.
type appView struct {
	ID                string  `json:"id"`
	Name              string  `json:"name"`
	InternalNumericID uint64  `json:"internal_numeric_id"`
	Network           string  `json:"network"`
	Status            string  `json:"status"`
	MachineCount      int     `json:"machine_count"`
	VolumeCount       int     `json:"volume_count"`
	Organization      orgView `json:"organization"`
	CnameTarget       string  `json:"cname_target"`
	AppRole           string  `json:"app_role"`
}

type orgView struct {
	Name              string `json:"name"`
	Slug              string `json:"slug"`
	InternalNumericID uint64 `json:"internal_numeric_id"`
}

func (o *org) view() orgView {
	return orgView{Name: o.slug, Slug: o.slug, InternalNumericID: o.numeric}
}

func (a *app) view() appView {
	v := appView{
		ID: a.id, Name: a.name, InternalNumericID: a.numeric, Network: a.network, Status: "pending",
		VolumeCount: len(a.lastingVolumes()), Organization: a.org.view(), AppRole: a.role,
		CnameTarget: fmt.Sprintf("%s.%s.fly.dev", a.id[:6], a.name),
	}
	for _, m := range a.machines {
		if !m.alive() {
			continue
		}
		v.MachineCount++
		switch {
		case m.state == stateStarted || m.state == stateStarting || m.state == stateReplacing:
			v.Status = "deployed"
		case v.Status == "pending":
			v.Status = "suspended"
		}
	}
	return v
}

func (s *Server) appRoutes() []route {
	return []route{
		{pattern: "GET /v1/apps", action: resset.ActionRead, run: s.listApps},
		{pattern: "POST /v1/apps", action: resset.ActionCreate, run: s.createApp},
		{pattern: "GET /v1/apps/{app}", action: resset.ActionRead, scope: toApp, run: func(c *call) answer { return ok(c.app.view()) }},
		{pattern: "DELETE /v1/apps/{app}", action: resset.ActionDelete, scope: toApp, run: s.deleteApp},
		{pattern: "POST /v1/apps/{app}/deploy_token", action: resset.ActionWrite, scope: toApp, run: s.deployToken},
	}
}

func (s *Server) listApps(c *call) answer {
	slug := c.r.URL.Query().Get("org_slug")
	if slug == "" {
		return fail(http.StatusBadRequest, "invalid_argument: org_slug is required")
	}
	o, a, refused := s.orgFor(c.who, resset.ActionRead, slug)
	if refused {
		return a
	}
	role := c.r.URL.Query().Get("app_role")
	views := []appView{}
	for _, a := range s.sortedApps() {
		if a.org == o && (role == "" || a.role == role) {
			views = append(views, a.view())
		}
	}
	return ok(struct {
		TotalApps int       `json:"total_apps"`
		Apps      []appView `json:"apps"`
	}{len(views), views})
}

func (s *Server) sortedApps() []*app {
	return slices.SortedFunc(maps.Values(s.apps), func(a, b *app) int { return cmp.Compare(a.name, b.name) })
}

// orgFor finds an organisation that the caller may use.
func (s *Server) orgFor(who identity, action resset.Action, slug string) (*org, answer, bool) {
	if len(s.opts.Orgs) > 0 && !slices.Contains(s.opts.Orgs, slug) {
		return nil, failf(http.StatusNotFound, "Could not find Organization with slug %q", slug), true
	}
	o := s.organization(slug)
	a, refused := s.authorize(who, action, o, nil)
	return o, a, refused
}

func (s *Server) createApp(c *call) answer {
	var in struct {
		Name    string `json:"name"`
		AppName string `json:"app_name"`
		Org     string `json:"org_slug"`
		Network string `json:"network"`
		Role    string `json:"app_role_id"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	in.Name = cmp.Or(in.Name, in.AppName)
	if in.Org == "" {
		return fail(http.StatusUnprocessableEntity, "invalid_argument: org_slug is required")
	}
	o, a, refused := s.orgFor(c.who, resset.ActionCreate, in.Org)
	if refused {
		return a
	}
	if why := badAppName(in.Name); why != "" {
		return failf(http.StatusUnprocessableEntity, "Validation failed: Name %s", why)
	}
	if s.foreign[in.Name] || s.apps[in.Name] != nil {
		return answer{status: http.StatusUnprocessableEntity, body: problem{Error: "Validation failed: Name has already been taken", Status: "name_taken"}}
	}
	fresh := s.newApp(in.Name, o, in.Network)
	fresh.role = in.Role
	return created(struct {
		ID        string `json:"id"`
		CreatedAt int64  `json:"created_at"`
		appView
	}{fresh.id, fresh.created.UnixMilli(), fresh.view()})
}

func (s *Server) newApp(name string, o *org, network string) *app {
	if network == "" {
		network = "default"
	}
	s.serial++
	a := &app{
		id: s.token(6) + fmt.Sprintf("%02d", s.serial%100), name: name, network: network, numeric: 5000 + s.serial, org: o,
		created: s.now(), certificates: map[string]*certificate{}, keys: map[string]*secretKey{},
	}
	a.secrets.values = map[string]*secret{}
	s.apps[name] = a
	s.announce()
	return a
}

var appName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func badAppName(name string) string {
	switch {
	case name == "":
		return "can't be blank"
	case len(name) > 63:
		return "is too long (maximum is 63 characters)"
	case !appName.MatchString(name):
		return "may only contain numbers, lowercase letters and dashes"
	}
	return ""
}

func (s *Server) deleteApp(c *call) answer {
	for _, m := range c.app.machines {
		if m.alive() {
			s.remove(m)
		}
	}
	delete(s.apps, c.app.name)
	s.announce()
	return empty(http.StatusAccepted)
}
