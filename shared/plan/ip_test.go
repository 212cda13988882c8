package plan_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/plan"
)

func TestAddresses(t *testing.T) {
	const udp = source + "services: [{protocol: udp, internal_port: 53, ports: [{port: 53}]}]\n"
	v6, v4 := plan.IP{Address: "2a09::1"}, plan.IP{Address: "1.2.3.4", Region: "global"}
	shared, private := plan.IP{Address: "66.1.1.1", Shared: true}, plan.IP{Address: "fdaa::3", Private: true}
	table := []struct {
		name, yaml string
		have       []plan.IP
		want       string
	}{
		{"first deploy", web, nil, "allocate v6, allocate shared_v4"},
		{"cut off after the first", web, []plan.IP{v6}, "allocate shared_v4"},
		{"somebody chose", web, []plan.IP{private}, ""},
		{"dedicated is not bought unasked", udp, nil, ""},
		{"no services", worker, nil, ""},
		{"named", web + "network: {ips: [{v: v4}, {v: v6, private: true}]}\n", []plan.IP{shared}, "allocate v4, allocate private_v6"},
		{"named and there", web + "network: {ips: [{v: v4}, {v: v6}]}\n", []plan.IP{v4, v6}, ""},
		{"two of a kind", web + "network: {ips: [{v: v6}, {v: v6}]}\n", []plan.IP{v6}, "allocate v6"},
		{"in a region", web + "network: {ips: [{v: v6, region: ams}]}\n", []plan.IP{v6}, "allocate v6 in ams"},
		{"not pruned", web + "network: {ips: [{v: v6}]}\n", []plan.IP{v6, v4}, ""},
		{"pruned", web + "network: {ips: [{v: v6}], auto_prune_ips: true}\n", []plan.IP{v6, v4, shared}, "release 66.1.1.1: network.ips does not name it"},
		{"nothing named, nothing pruned", web + "network: {auto_prune_ips: true}\n", []plan.IP{v4}, ""},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			p := mustDiff(t, plan.Observed{Exists: true, App: "shop", IPs: row.have}, intent(t, row.yaml))
			var got []string
			for _, line := range p.Summary() {
				if strings.Contains(line, " address ") {
					got = append(got, strings.Replace(line, " address", "", 1))
				}
			}
			if got := strings.Join(got, ", "); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
			if row.yaml == udp && len(p.Notes) != 1 {
				t.Errorf("nothing says that the app cannot be reached: %q", p.Notes)
			}
		})
	}
}

func TestAddressesOfARunningAppAreItsOwn(t *testing.T) {
	a, want := deployed(t, web)
	a.o.IPs = nil
	if p := mustDiff(t, a.o, want); !p.Empty() {
		t.Errorf("an app that somebody made private is made public: %v", p.Summary())
	}
}
