package flysim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

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

func (s *Server) releaseRoutes() []route {
	return []route{
		{pattern: "POST /api/v1/releases", action: resset.ActionWrite, run: s.createRelease},
		{pattern: "PATCH /api/v1/releases/{release}", action: resset.ActionWrite, run: s.updateRelease},
		{pattern: "GET /api/v1/releases/all_current", action: resset.ActionRead, run: s.currentReleases},
		{pattern: "GET /api/v1/apps/{app}/releases", action: resset.ActionRead, scope: toApp, run: s.listReleases},
		{pattern: "GET /api/v1/apps/{app}/releases/current", action: resset.ActionRead, scope: toApp, run: s.currentRelease},
	}
}

// newRelease begins a release of an app. Its definition must be a JSON object, or is left out.
func (s *Server) newRelease(a *app, who identity, in release) *release {
	in.ID, in.Version, in.Status, in.InProgress = s.token(16), len(a.releases)+1, "pending", true
	in.CreatedAt, in.User, in.Strategy = s.now().UTC().Truncate(time.Second), who.email(), strings.ToUpper(in.Strategy)
	a.releases = append(a.releases, &in)
	s.announce()
	return &in
}

// end gives a release a status. Only one that is complete is stable.
func (r *release) end(status string, metadata json.RawMessage) {
	r.Status, r.InProgress, r.Stable = status, status == "running", status == "complete"
	if len(metadata) > 0 {
		r.Metadata = metadata
	}
}

// current is the newest release, whatever became of it.
func (a *app) current() *release {
	if len(a.releases) == 0 {
		return nil
	}
	return a.releases[len(a.releases)-1]
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
	strategies := []string{"BLUEGREEN", "CANARY", "IMMEDIATE", "ROLLING", "ROLLING_ONE", "SIMPLE"}
	if in.Strategy != "" && !slices.Contains(strategies, strings.ToUpper(in.Strategy)) {
		return failf(http.StatusUnprocessableEntity, "strategy %q must be one of %s", in.Strategy, strings.Join(strategies, ", "))
	}
	r := s.newRelease(a, c.who, release{Strategy: in.Strategy, ImageRef: in.Image, Definition: in.Definition})
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
	a, r := s.releaseOf(c.r.PathValue("release"))
	if r == nil {
		return fail(http.StatusNotFound, "release not found")
	}
	if refusal, refused := s.authorize(c.who, resset.ActionWrite, a.org, a); refused {
		return refusal
	}
	if known := []string{"pending", "running", "complete", "failed", "interrupted"}; !slices.Contains(known, in.Status) {
		return failf(http.StatusUnprocessableEntity, "status %q must be one of %s", in.Status, strings.Join(known, ", "))
	}
	r.end(in.Status, in.Metadata)
	s.announce()
	return ok(r)
}

func (s *Server) releaseOf(id string) (*app, *release) {
	for _, a := range s.apps {
		for _, r := range a.releases {
			if r.ID == id {
				return a, r
			}
		}
	}
	return nil, nil
}

// listReleases answers the releases, newest first.
func (s *Server) listReleases(c *call) answer {
	list := listed(c.app.releases)
	slices.Reverse(list)
	if text := c.r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return failf(http.StatusBadRequest, "limit %q is not a number above 0", text)
		}
		list = list[:min(n, len(list))]
	}
	return ok(map[string][]*release{"releases": list})
}

func (s *Server) currentRelease(c *call) answer {
	if r := c.app.current(); r != nil {
		return ok(r)
	}
	return fail(http.StatusNotFound, "the app has no release")
}

// currentReleases answers when each app was last released.
func (s *Server) currentReleases(c *call) answer {
	at := map[string]time.Time{}
	for _, a := range s.sortedApps() {
		if _, refused := s.authorize(c.who, resset.ActionRead, a.org, a); refused {
			continue
		}
		if r := a.current(); r != nil {
			at[a.name] = r.CreatedAt
		}
	}
	return ok(at)
}
