package fly

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/superfly/fly-go/flaps"

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
	if have.Egress || want.Type == egressType {
		return have.Egress && want.Type == egressType
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

func (ch *Change) allocateIP(ctx context.Context, s plan.AllocateIP) error {
	ch.ipMu.Lock()
	defer ch.ipMu.Unlock()
	if s.IP.Type == egressType && !ch.scope.Egress {
		if err := ch.lookAtIPs(ctx, true); err != nil {
			return err
		}
	}
	return ch.bring(ctx, &allocation{ch, s.IP, s.Ordinal})
}

func (ch *Change) releaseIP(ctx context.Context, s plan.ReleaseIP) error {
	ch.ipMu.Lock()
	defer ch.ipMu.Unlock()
	e := &release{ch: ch, address: s.Address}
	for _, ip := range ch.ips {
		e.egress = e.egress || ip.Address == s.Address && ip.Egress
	}
	return ch.bring(ctx, e)
}

type allocation struct {
	ch   *Change
	want machine.IP
	// ordinal is how many of the kind there may be already.
	ordinal int
}

func (e *allocation) String() string {
	return fmt.Sprintf("allocate a %s address for %s", e.want.Type, e.ch.app)
}

func (e *allocation) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		if err := e.ch.lookAtIPs(ctx, e.want.Type == egressType); err != nil {
			return false, err
		}
	}
	n := 0
	for _, ip := range e.ch.ips {
		if fits(ip, e.want) {
			n++
		}
	}
	if e.want.Type == egressType {
		n /= 2 // a v4 and a v6 come together
	}
	return n > e.ordinal, nil
}

func (e *allocation) do(ctx context.Context) error {
	if e.want.Type == egressType {
		return e.ch.allocateEgress(ctx, e.want)
	}
	ip, err := e.ch.client.flaps.AssignIP(ctx, e.ch.app, flaps.AssignIPRequest{
		Type: e.want.Type, Region: e.want.Region, Organization: e.want.Org, Network: e.want.Network,
	})
	if err == nil {
		e.ch.ips = append(e.ch.ips, observedIP(*ip))
	}
	return err
}

type release struct {
	ch      *Change
	address string
	// egress is true of an address to call out from.
	egress bool
}

func (e *release) String() string {
	return fmt.Sprintf("release address %s of %s", e.address, e.ch.app)
}

func (e *release) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		if err := e.ch.lookAtIPs(ctx, e.egress); err != nil {
			return false, err
		}
	}
	for _, ip := range e.ch.ips {
		if ip.Address == e.address {
			return false, nil
		}
	}
	return true, nil
}

func (e *release) do(ctx context.Context) error {
	ask := func() error { return e.ch.client.flaps.DeleteIPAssignment(ctx, e.ch.app, e.address) }
	if e.egress {
		ask = func() error { return e.ch.releaseEgress(ctx, e.address) }
	}
	err := ask()
	if err != nil && fateOf(ctx, err) != missing {
		return err
	}
	e.ch.ips = withoutIP(e.ch.ips, e.address)
	return nil
}
