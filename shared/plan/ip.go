package plan

import (
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
)

// meets reports whether an address is one that is wanted. Fly calls an address without a region
// global; shared ones have none.
func meets(have IP, want machine.IP) bool {
	region := have.Region
	if region == "global" {
		region = ""
	}
	if want.Region != "" && want.Region != region && !have.Shared {
		return false
	}
	return typeOf(have) == want.Type
}

func typeOf(ip IP) string {
	v6 := strings.Contains(ip.Address, ":")
	switch {
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
