package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
)

const egress = "egress"

// meets reports whether an address is one that is wanted. Fly calls an address without a region
// global; shared ones have none.
func meets(have IP, want machine.IP) bool {
	if want.Region != "" && want.Region != regionOf(have) && !have.Shared {
		return false
	}
	return typeOf(have) == want.Type
}

func regionOf(ip IP) string {
	if ip.Region == "global" {
		return ""
	}
	return ip.Region
}

func typeOf(ip IP) string {
	v6 := strings.Contains(ip.Address, ":")
	switch {
	case ip.Egress:
		return egress
	case v6 && ip.Private:
		return "private_v6"
	case v6:
		return "v6"
	case ip.Shared:
		return "shared_v4"
	}
	return "v4"
}

// onlyV6 is true of an app without addresses, and of one whose first deploy was cut off after the
// first of them. An app with any other address had somebody choose: a private one stays private.
func onlyV6(o Observed) bool {
	return !slices.ContainsFunc(o.IPs, func(ip IP) bool { return typeOf(ip) != "v6" })
}

// addresses gives the steps for the addresses: those that are named, or flyctl's for a first deploy.
func (all *decisions) addresses(o Observed, want Intent) (allocate []AllocateIP, release []ReleaseIP) {
	t := want.Target
	wanted, prune := t.IPs, t.PruneIPs
	if len(wanted) == 0 && t.DefaultIPs == "shared" && all.firstDeploy() && onlyV6(o) {
		wanted, prune = []machine.IP{{Type: "v6"}, {Type: "shared_v4"}}, false
	}
	if ignoredOf(t).covers("ips") {
		if prune = false; !all.firstDeploy() {
			return nil, nil
		}
	}
	missing, left := missingIPs(o.IPs, wanted)
	for _, ip := range missing {
		n := countIPs(o.IPs, ip)
		for _, before := range allocate {
			n += yes(before.IP.Type == ip.Type && (ip.Region == "" || before.IP.Region == ip.Region))
		}
		allocate = append(allocate, AllocateIP{App: t.App, IP: ip, Ordinal: n})
	}
	if prune && len(t.IPs) > 0 {
		release = all.giveBack(want, left)
	}
	return allocate, release
}

// missingIPs matches what is wanted with what is there, each address once: first those whose region is
// named, so that one that may be anywhere takes none of theirs.
func missingIPs(have []IP, wanted []machine.IP) (missing []machine.IP, left []IP) {
	left = slices.Clone(have)
	lacks := make([]bool, len(wanted))
	for _, anywhere := range []bool{false, true} {
		for i, ip := range wanted {
			if (ip.Region == "") == anywhere {
				left, lacks[i] = take(left, ip)
			}
		}
	}
	for i, ip := range wanted {
		if lacks[i] {
			missing = append(missing, ip)
		}
	}
	return missing, left
}

// take removes the address that is wanted, an egress address with the one of the other family. One
// without a region is taken before others.
func take(left []IP, want machine.IP) (rest []IP, lacks bool) {
	i := slices.IndexFunc(left, func(have IP) bool { return meets(have, want) && (want.Region != "" || regionOf(have) == "") })
	if i < 0 {
		i = slices.IndexFunc(left, func(have IP) bool { return meets(have, want) })
	}
	if i < 0 {
		return left, true
	}
	taken := left[i]
	left = slices.Delete(slices.Clone(left), i, i+1)
	if !taken.Egress {
		return left, false
	}
	i = slices.IndexFunc(left, func(have IP) bool {
		return have.Egress && have.Region == taken.Region && isV6(have) != isV6(taken)
	})
	if i >= 0 {
		left = slices.Delete(left, i, i+1)
	}
	return left, false
}

func isV6(ip IP) bool { return strings.Contains(ip.Address, ":") }

// countIPs counts the addresses of the kind, a pair of egress addresses as one.
func countIPs(have []IP, want machine.IP) int {
	n, v6 := 0, 0
	for _, ip := range have {
		switch {
		case !meets(ip, want):
		case ip.Egress && isV6(ip):
			v6++
		default:
			n++
		}
	}
	return max(n, v6)
}

// giveBack releases what the manifest does not name. An address that can never be had again wants a
// confirmation.
func (all *decisions) giveBack(want Intent, left []IP) []ReleaseIP {
	var release []ReleaseIP
	for _, ip := range left {
		kind := typeOf(ip)
		if dedicated := kind == "v4" || kind == "v6" || kind == egress; dedicated && !want.Confirm {
			all.notes = append(all.notes, fmt.Sprintf("address %s (%s) would be given back for good, since network.ips does not name it: %s", ip.Address, kind, confirmHint))
			continue
		}
		release = append(release, ReleaseIP{App: want.Target.App, Address: ip.Address, Egress: ip.Egress, Why: "network.ips does not name it"})
	}
	return release
}
