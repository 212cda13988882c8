package flysim

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

// cluster is a managed Postgres cluster. No database runs behind its address.
type cluster struct {
	id, name, region, plan, major string
	numeric                       int64
	org                           *org
	disk                          int
	postgis                       bool
	created, ready                time.Time
	users                         []*pgUser
	databases                     []string
	attached                      []*attachment
	deleted                       bool
}

type pgUser struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	password string
}

// attachment is a note that an app uses a cluster.
type attachment struct {
	id  int64
	app *app
	at  time.Time
}

// pgPlan is a size: CPUs of a kind, and MiB.
type pgPlan struct {
	kind       string
	cpus, size int
}

func pgPlans() map[string]pgPlan {
	return map[string]pgPlan{
		"basic": {"shared", 2, 1024}, "starter": {"shared", 2, 2048}, "launch": {"performance", 2, 8192},
		"scale": {"performance", 4, 32768}, "performance": {"performance", 8, 65536},
	}
}

// postgresRoutes are three APIs for the same clusters: the Machines API, and both generations of the
// web's, which flyctl uses.
func (s *Server) postgresRoutes() []route {
	routes := []route{
		{pattern: "POST /v1/postgres", action: resset.ActionCreate, run: s.createCluster},
		s.onCluster("GET /v1/postgres/{id}", resset.ActionRead, func(_ *call, p *cluster) answer { return ok(data{s.publicCluster(p)}) }),
		s.onCluster("GET /v1/postgres/{id}/users/{user}/credentials", resset.ActionRead, s.showCredentials),
		{pattern: "GET /api/v1/organizations/{org}/postgres", action: resset.ActionRead, run: s.listClusters(false)},
		{pattern: "GET /api/v1/organizations/{org}/postgres/deleted", action: resset.ActionRead, run: s.listClusters(true)},
		{pattern: "POST /api/v1/organizations/{org}/postgresv2", action: resset.ActionCreate, run: s.createCluster},
		{pattern: "GET /api/v1/organizations/{org}/postgresv2/regions", action: resset.ActionRead, run: s.clusterRegions},
	}
	for _, generation := range []string{"postgres", "postgresv2"} {
		inOrg, one := " /api/v1/organizations/{org}/"+generation+"/{id}", " /api/v1/"+generation+"/{id}"
		routes = append(routes,
			s.onCluster("GET"+inOrg, resset.ActionRead, s.showCluster), s.onCluster("DELETE"+inOrg, resset.ActionDelete, s.deleteCluster),
			s.onCluster("GET"+one, resset.ActionRead, s.showCluster),
			s.onCluster("GET"+one+"/users", resset.ActionRead, func(_ *call, p *cluster) answer { return ok(data{listed(p.users)}) }),
			s.onCluster("POST"+one+"/users", resset.ActionWrite, s.createUser),
			s.onCluster("DELETE"+one+"/users/{user}", resset.ActionWrite, s.deleteUser),
			s.onCluster("GET"+one+"/users/{user}/credentials", resset.ActionRead, s.showCredentials),
			s.onCluster("GET"+one+"/databases", resset.ActionRead, func(_ *call, p *cluster) answer { return ok(data{p.databaseViews()}) }),
			s.onCluster("POST"+one+"/databases", resset.ActionWrite, s.createDatabase),
			s.onCluster("POST"+one+"/attachments", resset.ActionWrite, s.attachCluster),
			s.onCluster("DELETE"+one+"/attachments/{app}", resset.ActionWrite, s.detachCluster),
		)
	}
	return routes
}

// data wraps what these APIs answer.
type data struct {
	Data any `json:"data"`
}

func (s *Server) onCluster(pattern string, action resset.Action, run func(*call, *cluster) answer) route {
	return route{pattern: pattern, action: action, run: func(c *call) answer {
		slug := c.r.PathValue("org")
		at := slices.IndexFunc(s.clusters, func(p *cluster) bool {
			return p.id == c.r.PathValue("id") && !p.deleted && (slug == "" || slug == p.org.slug)
		})
		if at < 0 {
			return fail(http.StatusNotFound, "cluster not found")
		}
		if a, refused := s.authorizeAddons(c.who, action, s.clusters[at].org); refused {
			return a
		}
		return run(c, s.clusters[at])
	}}
}

// createCluster takes the bodies of both APIs.
func (s *Server) createCluster(c *call) answer {
	var in struct {
		Name    string `json:"name"`
		Org     string `json:"org_slug"`
		Region  string `json:"region"`
		Plan    string `json:"plan"`
		Disk    int    `json:"disk_size_gb"`
		Storage int    `json:"storage_in_gb"`
		Major   string `json:"pg_major_version"`
		PostGIS bool   `json:"postgis_enabled"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	o, a, refused := s.orgFor(c.who, resset.ActionRead, cmp.Or(c.r.PathValue("org"), in.Org))
	if refused {
		return a
	}
	if a, refused := s.authorizeAddons(c.who, resset.ActionCreate, o); refused {
		return a
	}
	in.Plan, in.Major, in.Disk = strings.ToLower(in.Plan), cmp.Or(in.Major, "16"), cmp.Or(in.Disk, in.Storage, 10)
	_, known := pgPlans()[in.Plan]
	switch {
	case !known:
		return failf(http.StatusUnprocessableEntity, "plan %q must be one of basic, starter, launch, scale, performance", in.Plan)
	case !knownRegion(in.Region) || in.Region == anyRegion:
		return failf(http.StatusUnprocessableEntity, "region %q not found", in.Region)
	case in.Major != "16" && in.Major != "17":
		return failf(http.StatusUnprocessableEntity, "pg_major_version %q must be 16 or 17", in.Major)
	case in.Disk < 1 || in.Disk > 1000:
		return failf(http.StatusUnprocessableEntity, "disk size %d must be between 1 and 1000", in.Disk)
	}
	s.serial++
	p := &cluster{
		id: s.token(8), numeric: int64(s.serial), name: cmp.Or(in.Name, s.machineName()), region: in.Region, plan: in.Plan, major: in.Major, org: o, //nolint:gosec // it counts
		disk: in.Disk, postgis: in.PostGIS, created: s.now(), ready: s.now().Add(s.opts.Boot), databases: []string{"fly-db"},
		users: []*pgUser{{"fly-user", "schema_admin", s.token(12)}},
	}
	s.clusters = append(s.clusters, p)
	s.announce()
	if c.r.PathValue("org") == "" {
		return created(data{s.publicCluster(p)})
	}
	return created(struct {
		OK   bool       `json:"ok"`
		Data webCluster `json:"data"`
	}{true, s.webCluster(p)})
}

func (s *Server) clusterStatus(p *cluster) string {
	switch {
	case p.deleted:
		return "deleted"
	case s.now().Before(p.ready):
		return "initializing"
	}
	return "ready"
}

func (p *cluster) host(kind string) string { return kind + "." + p.id + ".flympg.net" }

// webCluster is a cluster as the web's API shows it.
type webCluster struct {
	ID        string            `json:"id"`
	ClusterID string            `json:"mpgd_cluster_id"`
	Version   int               `json:"version"`
	Name      string            `json:"name"`
	Region    string            `json:"region"`
	Status    string            `json:"status"`
	Engine    string            `json:"engine"`
	Plan      string            `json:"plan"`
	Disk      int               `json:"disk"`
	Replicas  int               `json:"replicas"`
	PostGIS   bool              `json:"postgis_enabled"`
	Org       pgOrg             `json:"organization"`
	IPs       map[string]string `json:"ip_assignments"`
	Attached  []pgApp           `json:"attached_apps"`
}

type pgOrg struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
	Raw  string `json:"rawSlug"`
}

type pgApp struct {
	Name string `json:"name"`
	ID   int64  `json:"id"`
}

func (p *cluster) apps() []pgApp {
	list := []pgApp{}
	for _, a := range p.attached {
		list = append(list, pgApp{a.app.name, int64(a.app.numeric)}) //nolint:gosec // it counts
	}
	return list
}

func (s *Server) webCluster(p *cluster) webCluster {
	return webCluster{
		ID: p.id, ClusterID: p.id, Version: 2, Name: p.name, Region: p.region, Status: s.clusterStatus(p), Engine: "postgres", Plan: p.plan, Disk: p.disk,
		Replicas: 1, PostGIS: p.postgis, Org: pgOrg{p.org.id(), p.org.slug, p.org.slug, p.org.slug}, IPs: map[string]string{"direct": "fdaa:0:1::" + p.id[:4]},
		Attached: p.apps(),
	}
}

// publicCluster is a cluster as the Machines API shows it.
func (s *Server) publicCluster(p *cluster) any {
	type endpoint struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	}
	plan := pgPlans()[p.plan]
	return map[string]any{
		"id": p.id, "name": p.name, "status": s.clusterStatus(p), "region": p.region, "plan": p.plan, "disk_size_gb": p.disk, "cpus": plan.cpus, "cpu_kind": plan.kind,
		"memory_mb": plan.size, "replicas": 1, "pg_major_version": p.major, "postgis_enabled": p.postgis, "created_at": p.created.UTC().Format(time.RFC3339),
		"endpoints":    map[string]any{"primary": map[string]any{"direct": endpoint{p.host("direct"), 5432}, "pooler": endpoint{p.host("pgbouncer"), 5432}}},
		"organization": pgOrg{p.org.id(), p.org.slug, p.org.slug, p.org.slug}, "attached_apps": p.apps(),
	}
}

func (s *Server) showCluster(_ *call, p *cluster) answer {
	u := p.users[0]
	uri := url.URL{Scheme: "postgresql", User: url.UserPassword(u.Name, u.password), Host: p.host("pgbouncer"), Path: "/" + p.databases[0]}
	return ok(struct {
		Data        webCluster        `json:"data"`
		Credentials map[string]string `json:"credentials"`
	}{s.webCluster(p), map[string]string{
		"status": s.clusterStatus(p), "user": u.Name, "password": u.password, "dbname": p.databases[0], "pgbouncer_uri": uri.String(),
	}})
}

func (s *Server) listClusters(deleted bool) func(*call) answer {
	return func(c *call) answer {
		o, a, refused := s.orgFor(c.who, resset.ActionRead, c.r.PathValue("org"))
		if refused {
			return a
		}
		if a, refused := s.authorizeAddons(c.who, resset.ActionRead, o); refused {
			return a
		}
		list := []webCluster{}
		for _, p := range s.clusters {
			if p.org == o && p.deleted == deleted {
				list = append(list, s.webCluster(p))
			}
		}
		return ok(data{list})
	}
}
