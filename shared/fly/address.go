package fly

import (
	"net/netip"
	"slices"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// fits reports whether an address is of the kind that is wanted, as plan does. Shared addresses have
// no region of their own.
func fits(have plan.IP, want machine.IP) bool {
	if want.Region != "" && have.Region != want.Region && !have.Shared {
		return false
	}
	a, err := netip.ParseAddr(have.Address)
	if err != nil {
		return false
	}
	switch want.Type {
	case "v4":
		return a.Is4() && !have.Shared
	case "shared_v4":
		return a.Is4() && have.Shared
	case "v6":
		return a.Is6() && !have.Private
	case "private_v6":
		return a.Is6() && have.Private
	}
	return false
}

func withoutIP(ips []plan.IP, address string) []plan.IP {
	return slices.DeleteFunc(slices.Clone(ips), func(ip plan.IP) bool { return ip.Address == address })
}
