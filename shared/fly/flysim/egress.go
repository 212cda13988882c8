package flysim

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/superfly/macaroon/resset"
)

// egressIP is a static address that machines call out from: of an app in a region, or of one
// machine.
type egressIP struct {
	ID        string    `json:"id"`
	IP        string    `json:"ip"`
	Version   int       `json:"version"`
	Region    string    `json:"region"`
	UpdatedAt time.Time `json:"updatedAt"`
	// Machine is the one that it belongs to, empty for one of the app.
	Machine string `json:"machine_id,omitempty"`
}

func (s *Server) egressRoutes() []route {
	return []route{
		{pattern: "POST /api/v1/apps/{app}/egress_ips/{ip}/promote", action: resset.ActionWrite, scope: toApp, run: s.promoteEgress},
	}
}

// allocateEgress gives an app a pair of addresses in a region, or a machine one of its own. A pair
// that is there already is given again.
func (s *Server) allocateEgress(a *app, machineID, region string) ([2]*egressIP, error) {
	if machineID != "" {
		m := s.find(a, machineID)
		if m == nil || !m.alive() {
			return [2]*egressIP{}, notFound("Machine")
		}
		region = m.region
	}
	if !knownRegion(region) || region == anyRegion {
		return [2]*egressIP{}, invalidInput("Region %q not found", region)
	}
	var pair [2]*egressIP
	for _, ip := range a.egress {
		if ip.Machine == machineID && ip.Region == region {
			pair[(ip.Version-4)/2] = ip
		}
	}
	if pair[0] != nil {
		return pair, nil
	}
	s.serial++
	n := s.serial
	now := s.now().UTC().Truncate(time.Second)
	pair[0] = &egressIP{ID: "eip_" + s.token(6), IP: fmt.Sprintf("209.71.%d.%d", n>>8&255, n&255), Version: 4, Region: region, UpdatedAt: now, Machine: machineID}
	pair[1] = &egressIP{ID: "eip_" + s.token(6), IP: fmt.Sprintf("2605:4c40:%x:%x::1", a.numeric, n), Version: 6, Region: region, UpdatedAt: now, Machine: machineID}
	a.egress = append(a.egress, pair[:]...)
	s.announce()
	return pair, nil
}

// releaseEgress gives back one address of the app, or the pair of a machine. It returns what was
// released, v4 first.
func (s *Server) releaseEgress(a *app, machineID, ip string) ([2]string, error) {
	var gone [2]string
	a.egress = slices.DeleteFunc(slices.Clone(a.egress), func(e *egressIP) bool {
		hit := machineID != "" && e.Machine == machineID || ip != "" && e.IP == ip
		if hit {
			gone[(e.Version-4)/2] = e.IP
		}
		return hit
	})
	if gone == [2]string{} {
		return gone, notFound("EgressIpAddress")
	}
	s.announce()
	return gone, nil
}

// promoteEgress turns an address of a machine into one of the app.
func (s *Server) promoteEgress(c *call) answer {
	for _, ip := range c.app.egress {
		if ip.IP == c.r.PathValue("ip") && ip.Machine != "" {
			ip.Machine = ""
			s.announce()
			return ok(ip)
		}
	}
	return fail(http.StatusNotFound, "egress ip not found")
}
