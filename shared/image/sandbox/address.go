package sandbox

import (
	"encoding/binary"
	"net/netip"
)

// unreachable lists what no sandbox reaches, whatever the machine's routes are: all that is not the public internet.
//
//nolint:gochecknoglobals // a table
var unreachable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's metadata has a public address
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"), // also the sandboxes' own
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// pool is where sandboxes have their own addresses from: set aside for measurements, so that no network uses it.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var pool = netip.MustParsePrefix("198.18.0.0/15")

// public tells whether an address is one of the public IPv4 internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.Is4() {
		return false
	}
	for _, p := range unreachable {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// freeSubnet gives the first /30 of the pool, counted from start, that touches none of taken.
func freeSubnet(taken []netip.Prefix, start int) (netip.Prefix, bool) {
	const count = 1 << (30 - 15)
	base := pool.Addr().As4()
	for i := range count {
		at := binary.BigEndian.Uint32(base[:]) + uint32((start+i)%count)<<2 //nolint:gosec // less than the pool
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, at))), 30)
		if !overlapsAny(p, taken) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func overlapsAny(p netip.Prefix, all []netip.Prefix) bool {
	for _, o := range all {
		// a default route touches everything and takes nothing
		if o.Bits() > 0 && p.Overlaps(o) {
			return true
		}
	}
	return false
}
