package flysim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

// webRoutes are what flyctl's deploy asks of Fly's other APIs: organisations, builds and releases
// over REST, and a few queries of the GraphQL one, known by the words in them.
func (s *Server) webRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}", action: resset.ActionRead, run: s.showOrg},
		{pattern: "POST /api/v1/builds", action: resset.ActionWrite, run: s.startBuild},
		{pattern: "POST /api/v1/builds/finish", action: resset.ActionWrite, run: s.finishBuild},
		{pattern: "POST /api/v1/releases", action: resset.ActionWrite, run: s.createRelease},
		{pattern: "PATCH /api/v1/releases/{release}", action: resset.ActionWrite, run: s.updateRelease},
		{pattern: "POST /graphql", action: resset.ActionRead, run: s.graphql},
	}
}

// release is a release record.
type release struct {
	ID         string          `json:"id"`
	Version    int             `json:"version"`
	Status     string          `json:"status"`
	Strategy   string          `json:"strategy"`
	ImageRef   string          `json:"image_ref"`
	Definition json.RawMessage `json:"definition"`
	Metadata   json.RawMessage `json:"metadata"`
	InProgress bool            `json:"in_progress"`
	Stable     bool            `json:"stable"`
	CreatedAt  time.Time       `json:"created_at"`
	User       string          `json:"user"`
}

func (s *Server) showOrg(c *call) answer {
	o, a, refused := s.orgFor(c.who, resset.ActionRead, c.r.PathValue("org"))
	if refused {
		return a
	}
	return ok(struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Raw  string `json:"raw_slug"`
		orgView
	}{"org-" + o.slug, "PERSONAL", o.slug, o.view()})
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

func (s *Server) createRelease(c *call) answer {
	var in struct {
		App        string          `json:"app_name"`
		Definition json.RawMessage `json:"definition"`
		Image      string          `json:"image"`
		Strategy   string          `json:"strategy"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	a := s.apps[in.App]
	if a == nil {
		return fail(http.StatusNotFound, "app not found")
	}
	if refusal, refused := s.authorize(c.who, resset.ActionWrite, a.org, a); refused {
		return refusal
	}
	r := &release{
		ID: s.token(16), Version: len(a.releases) + 1, Status: "pending", Strategy: in.Strategy, ImageRef: in.Image,
		Definition: in.Definition, InProgress: true, CreatedAt: s.now().UTC().Truncate(time.Second), User: c.who.owner,
	}
	a.releases = append(a.releases, r)
	return created(map[string]*release{"release": r})
}

func (s *Server) updateRelease(c *call) answer {
	var in struct {
		Status   string          `json:"status"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	for _, a := range s.apps {
		for _, r := range a.releases {
			if r.ID != c.r.PathValue("release") {
				continue
			}
			if refusal, refused := s.authorize(c.who, resset.ActionWrite, a.org, a); refused {
				return refusal
			}
			r.Status, r.InProgress, r.Stable = in.Status, in.Status == "running", in.Status == "complete"
			if len(in.Metadata) > 0 {
				r.Metadata = in.Metadata
			}
			return ok(map[string]*release{"release": r})
		}
	}
	return fail(http.StatusNotFound, "release not found")
}

// graphql answers the queries of a deploy: the image of an app, its egress addresses, whether it
// may be deployed blue-green.
func (s *Server) graphql(c *call) answer {
	var in struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	text := func(key string) string {
		v, _ := in.Variables[key].(string)
		return v
	}
	name := text("appName")
	if name == "" {
		name = text("name")
	}
	switch a := s.apps[name]; {
	case strings.Contains(in.Query, "canPerformBluegreenDeployment"):
		return data(map[string]any{"canPerformBluegreenDeployment": true})
	case a == nil:
		return ok(map[string]any{"data": nil, "errors": []any{map[string]any{"message": "Could not find App", "extensions": map[string]string{"code": "NOT_FOUND"}}}})
	case strings.Contains(in.Query, "egressIpAddresses"):
		return data(map[string]any{"app": map[string]any{"id": a.id, "egressIpAddresses": map[string]any{"nodes": []any{}}}})
	case strings.Contains(in.Query, "image("):
		return data(map[string]any{"app": map[string]any{"id": a.id, "image": graphImage(text("imageRef"))}})
	}
	return ok(map[string]any{"data": nil, "errors": []any{map[string]any{"message": "the simulator does not know this query"}}})
}

func data(v any) answer { return ok(map[string]any{"data": v}) }

func graphImage(ref string) map[string]any {
	r := parseImage(ref)
	host := r.Registry
	if host == "registry-1.docker.io" {
		host = "docker-hub-mirror.fly.io"
	}
	full := host + "/" + r.Repository
	if r.Tag != "" {
		full += ":" + r.Tag
	} else {
		full += "@" + r.Digest
	}
	return map[string]any{"id": "img_" + r.Digest[7:21], "digest": r.Digest, "ref": full, "compressedSize": strconv.Itoa(70 << 20)}
}
