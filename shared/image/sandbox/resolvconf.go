package sandbox

import (
	"net/netip"
	"strings"
)

// parseNameservers reads the servers of a resolv.conf; where it names none, the resolver of every system asks its own
// machine, and so do we.
func parseNameservers(text string) []netip.AddrPort {
	var servers []netip.AddrPort
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(a, 53))
		}
	}
	if len(servers) == 0 {
		return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return servers
}
