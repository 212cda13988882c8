package flysim

import (
	"maps"
	"slices"

	"github.com/superfly/macaroon/resset"
)

// webRoutes are what flyctl asks of Fly's other APIs over REST: organisations, builds, logs.
func (s *Server) webRoutes() []route {
	routes := []route{
		{pattern: "GET /api/v1/organizations", action: resset.ActionRead, run: s.listOrgs},
		{pattern: "GET /api/v1/organizations/{org}", action: resset.ActionRead, run: s.showOrg},
		{pattern: "POST /api/v1/builds", action: resset.ActionWrite, run: s.startBuild},
		{pattern: "POST /api/v1/builds/finish", action: resset.ActionWrite, run: s.finishBuild},
		{pattern: "GET /api/v1/apps/{app}/logs", action: resset.ActionRead, scope: toApp, run: s.readLogs},
		{pattern: "POST /graphql", action: resset.ActionRead, run: s.graphql},
	}
	return append(append(routes, s.releaseRoutes()...), s.egressRoutes()...)
}

// webOrg is an organisation as the web's API shows it.
type webOrg struct {
	ID            string `json:"id"`
	RawSlug       string `json:"raw_slug"`
	PaidPlan      bool   `json:"paid_plan"`
	Personal      bool   `json:"personal"`
	Billable      bool   `json:"billable"`
	BillingStatus string `json:"billing_status"`
	Beta          bool   `json:"provisions_beta_extensions"`
	BuilderImage  string `json:"remote_builder_image"`
	orgView
}

func (o *org) id() string { return "org-" + o.slug }

func (o *org) web() webOrg {
	return webOrg{
		ID: o.id(), RawSlug: o.slug, PaidPlan: true, Personal: o.slug == "personal", Billable: true, BillingStatus: "CURRENT", orgView: o.view(),
	}
}

func (s *Server) showOrg(c *call) answer {
	o, a, refused := s.orgFor(c.who, resset.ActionRead, c.r.PathValue("org"))
	if refused {
		return a
	}
	return ok(map[string]webOrg{"organization": o.web()})
}

func (s *Server) listOrgs(c *call) answer {
	list := []webOrg{}
	for _, o := range s.orgsOf(c.who) {
		list = append(list, o.web())
	}
	return ok(map[string][]webOrg{"organizations": list})
}

// orgsOf are the organisations that the caller may see. Where none has been named so far, there is
// the personal one.
func (s *Server) orgsOf(who identity) []*org {
	if len(s.orgs) == 0 {
		s.organization("personal")
	}
	var list []*org
	for _, slug := range slices.Sorted(maps.Keys(s.orgs)) {
		if _, refused := s.authorize(who, resset.ActionRead, s.orgs[slug], nil); !refused {
			list = append(list, s.orgs[slug])
		}
	}
	return list
}

func (s *Server) startBuild(*call) answer {
	s.builds++
	return ok(struct {
		ID int `json:"build_id"`
	}{9000 + s.builds})
}

func (s *Server) finishBuild(c *call) answer {
	var in struct {
		ID int `json:"build_id"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	return ok(struct {
		ID     int    `json:"build_id"`
		Status string `json:"status"`
	}{in.ID, "completed"})
}
