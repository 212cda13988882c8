package flysim

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/superfly/macaroon/resset"
)

// metadataRoutes do not ask for the lease: flyctl writes metadata without its nonce.
func (s *Server) metadataRoutes() []route {
	const all = " /v1/apps/{app}/machines/{id}/metadata"
	write := func(pattern string, run func(*call) answer) route {
		return route{pattern: pattern, action: resset.ActionWrite, scope: toMachine, run: run}
	}
	return []route{
		{pattern: "GET" + all, action: resset.ActionRead, scope: toMachine, run: func(c *call) answer { return ok(c.m.metadata()) }},
		{pattern: "GET" + all + "/{key}", action: resset.ActionRead, scope: toMachine, run: s.showMetadata},
		write("PUT"+all, s.setMetadata(true)),
		write("PATCH"+all, s.setMetadata(false)),
		write("POST"+all+"/{key}", s.putMetadata),
		write("DELETE"+all+"/{key}", s.deleteMetadata),
	}
}

func (m *machine) metadata() map[string]string {
	out := map[string]string{}
	if given, is := m.config["metadata"].(map[string]any); is {
		for k, v := range given {
			out[k] = fmt.Sprint(v)
		}
	}
	return out
}

// changeMetadata lays a new config with other metadata; the version stays.
func (s *Server) changeMetadata(m *machine, change func(map[string]string)) {
	values := m.metadata()
	change(values)
	fresh := map[string]any{}
	for k, v := range values {
		fresh[k] = v
	}
	m.config = maps.Clone(m.config)
	m.config["metadata"] = fresh
	m.spec.Metadata = values
	m.versions[0].UserConfig = m.config
	s.touch(m)
}

func (s *Server) showMetadata(c *call) answer {
	value, is := c.m.metadata()[c.r.PathValue("key")]
	if !is {
		return fail(http.StatusNotFound, "metadata key not found")
	}
	return ok(struct {
		Value string `json:"value"`
	}{value})
}

func (s *Server) setMetadata(whole bool) func(*call) answer {
	return func(c *call) answer {
		var in struct {
			Metadata map[string]*string `json:"metadata"`
			Version  string             `json:"machine_version"`
		}
		if a, fine := c.decode(&in); !fine {
			return a
		}
		if in.Version != "" && in.Version != c.m.instance {
			return failf(http.StatusPreconditionFailed, "failed_precondition: machine version mismatch: machine_version %s is not the current version %s", in.Version, c.m.instance)
		}
		s.changeMetadata(c.m, func(values map[string]string) {
			if whole {
				clear(values)
			}
			for k, v := range in.Metadata {
				if v == nil {
					delete(values, k)
					continue
				}
				values[k] = *v
			}
		})
		return empty(http.StatusNoContent)
	}
}

func (s *Server) putMetadata(c *call) answer {
	var in struct {
		Value *string `json:"value"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if in.Value == nil {
		return fail(http.StatusBadRequest, "invalid_argument: value is required")
	}
	s.changeMetadata(c.m, func(values map[string]string) { values[c.r.PathValue("key")] = *in.Value })
	return empty(http.StatusNoContent)
}

func (s *Server) deleteMetadata(c *call) answer {
	s.changeMetadata(c.m, func(values map[string]string) { delete(values, c.r.PathValue("key")) })
	return empty(http.StatusNoContent)
}
