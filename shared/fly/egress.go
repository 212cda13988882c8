package fly

import (
	"cmp"
	"context"
	"slices"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// egressType is the type of addresses to call out from. They are an app's in a region, in pairs of v4 and
// v6, and only GraphQL knows them.
const egressType = "egress"

const egressQuery = `query($appName: String!) { app(name: $appName) { egressIpAddresses { nodes { id ip version region updatedAt } } } }`

// egress lists the app's addresses to call out from.
func (c *Client) egress(ctx context.Context, app string) ([]plan.IP, error) {
	var out []plan.IP
	err := c.lookList(ctx, "list egress addresses of "+app, func(ctx context.Context) error {
		var said struct {
			App struct {
				EgressIPAddresses struct {
					Nodes []struct{ IP, Region string }
				}
			}
		}
		if err := c.rest.query(ctx, egressQuery, map[string]any{"appName": app}, &said); err != nil {
			return err
		}
		out = out[:0]
		for _, ip := range said.App.EgressIPAddresses.Nodes {
			out = append(out, plan.IP{Address: ip.IP, Region: ip.Region, Egress: true})
		}
		return nil
	})
	return out, err
}

const (
	allocateEgress = `mutation($input: AllocateEgressIPAddressInput!) { allocateEgressIpAddress(input: $input) { v4 v6 } }`
	releaseEgress  = `mutation($input: ReleaseEgressIPAddressInput!) { releaseEgressIpAddress(input: $input) { v4 v6 clientMutationId } }`
)

func (ch *Change) allocateEgress(ctx context.Context, want machine.IP) error {
	var said struct {
		AllocateEgressIPAddress struct{ V4, V6 string }
	}
	err := ch.client.rest.mutate(ctx, allocateEgress, map[string]any{"input": map[string]any{"appId": ch.app, "region": want.Region}}, &said)
	if err != nil {
		return err
	}
	for _, a := range []string{said.AllocateEgressIPAddress.V4, said.AllocateEgressIPAddress.V6} {
		if a != "" {
			ch.ips = append(ch.ips, plan.IP{Address: a, Region: want.Region, Egress: true})
		}
	}
	return nil
}

func (ch *Change) releaseEgress(ctx context.Context, address string) error {
	return ch.client.rest.mutate(ctx, releaseEgress, map[string]any{"input": map[string]any{"appId": ch.app, "ip": address}}, nil)
}

// allIPs lists the app's addresses, with those to call out from where they are asked for.
func (c *Client) allIPs(ctx context.Context, app string, egress bool) ([]plan.IP, error) {
	ips, err := c.ips(ctx, app)
	if err != nil || !egress {
		return ips, err
	}
	more, err := c.egress(ctx, app)
	if err != nil {
		return nil, err
	}
	ips = append(ips, more...)
	slices.SortFunc(ips, func(a, b plan.IP) int { return cmp.Compare(a.Address, b.Address) })
	return ips, nil
}

// lookAtIPs lists the addresses again. The caller holds ipMu.
func (ch *Change) lookAtIPs(ctx context.Context, egress bool) error {
	ips, err := ch.client.allIPs(ctx, ch.app, egress || ch.scope.Egress)
	if err == nil {
		ch.ips = ips
	}
	return err
}
