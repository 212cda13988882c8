package machine

import (
	"slices"

	"github.com/gigurra/flycd/shared/manifest"
)

// ips gives the addresses that the manifest names.
func (t *translator) ips() []IP {
	var all []IP
	for _, ip := range t.app.Network.IPs {
		one := IP{Type: t.ipType(ip), Region: ip.Region, Network: ip.Network, Org: ip.Org}
		if ip.Egress {
			one.Region = first(ip.Region, t.primaryRegion())
			if slices.Contains(all, one) {
				continue // v4 and v6 come together, and may be listed both
			}
		}
		all = append(all, one)
	}
	return all
}

func (t *translator) ipType(ip manifest.IP) string {
	switch {
	case ip.Egress && (ip.Shared || ip.Private || ip.Network != "" || ip.Org != ""):
		t.bad("network.ips.egress", "goes only with v and region: it is an address of its own kind")
	case ip.Egress && first(ip.Region, t.primaryRegion()) == "":
		t.bad("network.ips.region", "is missing; say in which region machines call out from the egress address")
	case ip.Egress:
		return "egress"
	case ip.V == "v4" && ip.Private:
		t.bad("network.ips.private", "does not go with v: v4; private addresses are v6")
	case ip.V == "v6" && ip.Shared:
		t.bad("network.ips.shared", "does not go with v: v6; shared addresses are v4")
	case ip.V == "v4" && ip.Shared:
		return "shared_v4"
	case ip.V == "v6" && ip.Private:
		return "private_v6"
	case ip.V == "v4", ip.V == "v6":
		return ip.V
	default:
		t.bad("network.ips.v", "is %q; it can be v4 or v6", ip.V)
	}
	return ""
}

// defaultIPs says what a first deploy needs where the manifest names no addresses: flyctl's rule.
func (t *translator) defaultIPs() string {
	named := slices.ContainsFunc(t.app.Network.IPs, func(ip manifest.IP) bool { return !ip.Egress })
	if named || t.app.HTTPService == nil && len(t.app.Services) == 0 {
		return ""
	}
	if slices.ContainsFunc(t.app.Services, needsDedicated) {
		t.warn("services", "some need dedicated addresses, which cost money and are not allocated unasked: name them under network.ips, such as {v: v4} and {v: v6}")
		return "dedicated"
	}
	return "shared"
}

// needsDedicated is true of what the shared address cannot carry: UDP, and TCP other than HTTP on
// port 80 and HTTPS on port 443.
func needsDedicated(s manifest.Service) bool {
	return s.Protocol == "udp" || s.Protocol == "tcp" && slices.ContainsFunc(s.Ports, notHTTP)
}

func notHTTP(p manifest.Port) bool {
	var from, to int
	switch {
	case p.Port != nil:
		from, to = *p.Port, *p.Port
	case p.StartPort != nil || p.EndPort != nil:
		from, to = orElse(p.StartPort, 0), orElse(p.EndPort, 65535)
	default:
		return false
	}
	for n := from; n <= to; n++ {
		if n != 80 && n != 443 {
			return true
		}
	}
	is := func(want ...string) bool { return slices.Equal(p.Handlers, want) }
	return from <= 80 && to >= 80 && !is("http") || from <= 443 && to >= 443 && !is("http", "tls") && !is("tls", "http")
}

func orElse(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}
