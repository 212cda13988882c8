package flysim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/superfly/macaroon/resset"
)

// ipAssignment is an address, as the API shows it.
type ipAssignment struct {
	IP          string    `json:"ip"`
	Region      string    `json:"region"`
	ServiceName string    `json:"service_name"`
	Shared      bool      `json:"shared"`
	CreatedAt   time.Time `json:"created_at"`
}

func (s *Server) ipRoutes() []route {
	const all = " /v1/apps/{app}/ip_assignments"
	return []route{
		{pattern: "GET" + all, action: resset.ActionRead, scope: toApp, run: s.listIPs},
		{pattern: "POST" + all, action: resset.ActionWrite, scope: toApp, run: s.assignIP},
		{pattern: "DELETE" + all + "/{ip}", action: resset.ActionWrite, scope: toApp, run: s.releaseIP},
	}
}

func (s *Server) listIPs(c *call) answer {
	return ok(struct {
		IPs []*ipAssignment `json:"ips"`
	}{listed(c.app.ips)})
}

func (s *Server) assignIP(c *call) answer {
	var in struct {
		Type        string `json:"type"`
		Region      string `json:"region"`
		ServiceName string `json:"service_name"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	ip := &ipAssignment{Region: cmp.Or(in.Region, "global"), ServiceName: in.ServiceName, CreatedAt: s.now().UTC().Truncate(time.Second)}
	s.serial++
	switch n := s.serial; in.Type {
	case "shared_v4":
		for _, old := range c.app.ips {
			if old.Shared {
				return ok(old)
			}
		}
		ip.IP, ip.Shared = fmt.Sprintf("66.241.%d.%d", 124+n>>8&1, n&255), true
	case "v4":
		ip.IP = fmt.Sprintf("37.16.%d.%d", n>>8&255, n&255)
	case "v6":
		ip.IP = fmt.Sprintf("2a09:8280:1::%x:%x:0", c.app.numeric, n)
	case "private_v6":
		ip.IP = fmt.Sprintf("fdaa:0:%x:0:1::%x", c.app.org.numeric, n)
	default:
		return failf(http.StatusUnprocessableEntity, "invalid_argument: unknown address type %q, must be one of [v4 v6 shared_v4 private_v6]", in.Type)
	}
	c.app.ips = append(c.app.ips, ip)
	s.announce()
	return ok(ip)
}

func (s *Server) releaseIP(c *call) answer {
	address := c.r.PathValue("ip")
	before := len(c.app.ips)
	c.app.ips = slices.DeleteFunc(slices.Clone(c.app.ips), func(ip *ipAssignment) bool { return ip.IP == address })
	if len(c.app.ips) == before {
		return fail(http.StatusNotFound, "not_found: ip assignment not found")
	}
	s.announce()
	return empty(http.StatusNoContent)
}
