package fly

import (
	"cmp"
	"context"
	"slices"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// Look observes the app again, in the same scope and under the leases, of machines that are new too.
// What this change did counts also where Fly's lists do not show it yet. It changes nothing but
// leases, and may be repeated; steps must not be applied meanwhile.
func (ch *Change) Look(ctx context.Context) (plan.Observed, error) {
	o, err := ch.client.Observe(ctx, ch.app, ch.scope)
	if err != nil {
		return plan.Observed{}, err
	}
	if o.Machines, err = ch.current(ctx, o.Machines); err != nil {
		return plan.Observed{}, err
	}
	o.Secrets, o.Addons = ch.knownSecrets(o.Secrets), ch.knownAddons(o.Addons)
	if !ch.scope.Secrets {
		o.Secrets = nil
	}
	ch.mu.Lock()
	ch.volumes, ch.ips = ch.withMade(o.Volumes), o.IPs
	slices.SortFunc(ch.volumes, func(a, b flygo.Volume) int { return cmp.Compare(a.ID, b.ID) })
	o.Volumes = ch.released(ch.volumes)
	ch.observed = o
	ch.mu.Unlock()
	ch.noteCerts(o)
	if err := ch.settle(ctx); err != nil {
		return plan.Observed{}, err
	}
	return ch.Observed(), nil
}

// released shows volumes as free whose machine this change destroyed: it may still be on its way out. The
// caller holds mu.
func (ch *Change) released(list []flygo.Volume) []flygo.Volume {
	out := slices.Clone(list)
	for i, v := range out {
		if v.AttachedMachine != nil && ch.gone[*v.AttachedMachine] {
			out[i].AttachedMachine = nil
		}
	}
	return out
}

// Machines lists the app's machines again, as Look does, and nothing else.
func (ch *Change) Machines(ctx context.Context) ([]plan.Machine, error) {
	list, err := ch.client.machines(ctx, ch.app)
	if err != nil {
		return nil, err
	}
	return ch.current(ctx, list)
}

// current mends a list of machines that trails behind what this change did: without what it
// destroyed, with what it made, and with the versions that it gave.
func (ch *Change) current(ctx context.Context, list []plan.Machine) ([]plan.Machine, error) {
	ch.mu.Lock()
	out := slices.DeleteFunc(slices.Clone(list), func(m plan.Machine) bool { return ch.gone[m.ID] })
	var late []string
	for id, s := range ch.sent {
		at := slices.IndexFunc(out, func(m plan.Machine) bool { return m.ID == id })
		if !ch.gone[id] && (at < 0 || out[at].InstanceID != s.version) {
			late = append(late, id)
		}
	}
	ch.mu.Unlock()
	for id := range ch.leases.all() {
		if !ch.destroyed(id) && !slices.Contains(late, id) && !slices.ContainsFunc(out, func(m plan.Machine) bool { return m.ID == id }) {
			late = append(late, id)
		}
	}
	for _, id := range late {
		m, err := ch.client.machine(ctx, ch.app, id)
		if err != nil {
			return nil, ch.client.explain(ctx, "look at machine "+id, err)
		}
		out = slices.DeleteFunc(out, func(m plan.Machine) bool { return m.ID == id })
		if m != nil {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b plan.Machine) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// noteCerts makes the host names that were observed those that are known.
func (ch *Change) noteCerts(o plan.Observed) {
	if !ch.scope.Certs {
		return
	}
	ch.certs = map[string]bool{}
	for _, c := range o.Certs {
		ch.certs[c.Hostname] = true
	}
}
