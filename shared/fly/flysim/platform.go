package flysim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/superfly/macaroon/resset"
)

func (s *Server) platformRoutes() []route {
	return append(s.ipRoutes(),
		route{pattern: "GET /v1/platform/regions", action: resset.ActionRead, run: s.listRegions},
		route{pattern: "POST /v1/platform/placements", action: resset.ActionRead, run: s.place},
		route{pattern: "GET /v1/tokens/current", action: resset.ActionRead, run: s.currentToken},
		route{pattern: "GET /v1/orgs/{org}/machines", action: resset.ActionRead, run: s.orgMachines},
		route{pattern: "GET /v1/orgs/{org}/volumes", action: resset.ActionRead, run: s.orgVolumes},
	)
}

type regionView struct {
	Code      string  `json:"code"`
	Name      string  `json:"name"`
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Gateway   bool    `json:"gateway_available"`
	Geo       string  `json:"geo_region"`
}

func regions() []regionView {
	return []regionView{
		{"ams", "Amsterdam, Netherlands", 52.37, 4.89, true, "europe"},
		{"arn", "Stockholm, Sweden", 59.66, 17.92, false, "europe"},
		{"bom", "Mumbai, India", 19.07, 72.87, false, "asia_pacific"},
		{"cdg", "Paris, France", 48.86, 2.35, true, "europe"},
		{"dfw", "Dallas, Texas (US)", 32.78, -96.81, true, "north_america"},
		{"ewr", "Secaucus, NJ (US)", 40.79, -74.06, false, "north_america"},
		{"fra", "Frankfurt, Germany", 50.12, 8.68, true, "europe"},
		{"gru", "Sao Paulo, Brazil", -23.55, -46.63, false, "south_america"},
		{"iad", "Ashburn, Virginia (US)", 39.02, -77.54, true, "north_america"},
		{"jnb", "Johannesburg, South Africa", -26.13, 28.23, false, "africa"},
		{"lax", "Los Angeles, California (US)", 33.94, -118.41, true, "north_america"},
		{"lhr", "London, United Kingdom", 51.52, -0.14, true, "europe"},
		{"mad", "Madrid, Spain", 40.42, -3.7, false, "europe"},
		{"nrt", "Tokyo, Japan", 35.62, 139.75, true, "asia_pacific"},
		{"ord", "Chicago, Illinois (US)", 41.89, -87.64, true, "north_america"},
		{"sea", "Seattle, Washington (US)", 47.45, -122.31, true, "north_america"},
		{"sin", "Singapore, Singapore", 1.3, 103.86, true, "asia_pacific"},
		{"sjc", "San Jose, California (US)", 37.35, -121.96, true, "north_america"},
		{"syd", "Sydney, Australia", -33.87, 151.21, true, "asia_pacific"},
		{"waw", "Warsaw, Poland", 52.17, 20.97, false, "europe"},
		{"yyz", "Toronto, Canada", 43.64, -79.43, true, "north_america"},
	}
}

// anyRegion lets Fly choose.
const anyRegion = "any"

func knownRegion(code string) bool {
	return code == anyRegion || slices.ContainsFunc(regions(), func(r regionView) bool { return r.Code == code })
}

func (s *Server) listRegions(*call) answer {
	return ok(struct {
		Regions []regionView `json:"regions"`
		Nearest string       `json:"nearest"`
	}{regions(), s.opts.Nearest})
}

type placement struct {
	Region      string `json:"region"`
	Count       int    `json:"count"`
	Concurrency int    `json:"concurrency"`
}

// place says where machines would fit. Where nobody asks for a number, a region has room for eight.
func (s *Server) place(c *call) answer {
	var in struct {
		Org    string `json:"org_slug"`
		Region string `json:"region"`
		Count  int    `json:"count"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if _, a, refused := s.orgFor(c.who, resset.ActionRead, in.Org); refused {
		return a
	}
	left := in.Count
	out := []placement{}
	for _, code := range strings.Split(cmp.Or(in.Region, s.opts.Nearest), ",") {
		if code == anyRegion {
			code = s.opts.Nearest
		}
		if !knownRegion(code) {
			return failf(http.StatusUnprocessableEntity, "invalid_argument: region %s not found", code)
		}
		room := 8
		if limit, limited := s.opts.Capacity[code]; limited {
			room = max(0, limit)
		}
		if in.Count > 0 {
			room = min(room, left)
			left -= room
		}
		out = append(out, placement{Region: code, Count: room, Concurrency: 1})
	}
	return ok(struct {
		Regions []placement `json:"regions"`
	}{out})
}

type orgMachine struct {
	AppName string `json:"app_name"`
	machineView
}

func (s *Server) orgMachines(c *call) answer {
	o, a, refused := s.orgFor(c.who, resset.ActionRead, c.r.PathValue("org"))
	if refused {
		return a
	}
	q := c.r.URL.Query()
	list := []orgMachine{}
	for _, a := range s.sortedApps() {
		for _, m := range a.machines {
			if a.org == o && (m.alive() || q.Get("include_deleted") == "true") && (!q.Has("state") || q.Get("state") == m.state) {
				list = append(list, orgMachine{a.name, m.view()})
			}
		}
	}
	return ok(struct {
		Machines []orgMachine `json:"machines"`
	}{list})
}

type orgVolume struct {
	AppName string `json:"app_name"`
	*volume
}

func (s *Server) orgVolumes(c *call) answer {
	o, a, refused := s.orgFor(c.who, resset.ActionRead, c.r.PathValue("org"))
	if refused {
		return a
	}
	list := []orgVolume{}
	for _, a := range s.sortedApps() {
		for _, v := range a.volumes {
			if a.org == o {
				list = append(list, orgVolume{a.name, v})
			}
		}
	}
	return ok(struct {
		Volumes []orgVolume `json:"volumes"`
	}{list})
}
