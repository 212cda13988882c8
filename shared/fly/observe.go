package fly

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/plan"
)

// ephemeral are the process groups of machines that come and go by themselves.
func ephemeral(group string) bool {
	switch group {
	case flygo.MachineProcessGroupFlyAppReleaseCommand, flygo.MachineProcessGroupFlyAppTestMachineCommand,
		flygo.MachineProcessGroupFlyAppConsole:
		return true
	}
	return false
}

// runsCommand reports whether a machine is a release command's, a seed's or a check's.
func runsCommand(m *flygo.Machine) bool {
	group := m.ProcessGroup()
	return m.IsReleaseCommandMachine() || group == flygo.MachineProcessGroupFlyAppReleaseCommand ||
		group == flygo.MachineProcessGroupFlyAppTestMachineCommand
}

// Observe says what Fly holds for app now: one request for the app, then one list each of its
// machines, volumes and addresses, and what scope asks for: one list for each kind, and one look at each
// certificate that is not issued and each Postgres cluster that is wanted. An app that does not exist is no error; a name
// that belongs to somebody else is a rejection. It changes nothing and may be repeated.
func (c *Client) Observe(ctx context.Context, app string, scope plan.Scope) (plan.Observed, error) {
	o := plan.Observed{App: app}
	found, err := c.app(ctx, app)
	if err != nil || found == nil {
		return o, err
	}
	o.Exists, o.Org = true, found.Organization.Slug
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if o.Machines, o.Commands, err = c.allMachines(gctx, app, scope.Commands); err != nil {
			return err
		}
		o.Addons, err = c.addons(gctx, o.Org, wantedAddons(scope, o.Machines))
		return err
	})
	g.Go(func() (err error) { o.Volumes, err = c.volumes(gctx, app); return err })
	g.Go(func() (err error) { o.IPs, err = c.allIPs(gctx, app, scope.Egress); return err })
	if scope.Secrets {
		g.Go(func() error {
			list, err := c.secretsOf(gctx, app)
			o.Secrets = observedSecrets(list)
			return err
		})
	}
	if scope.Certs {
		g.Go(func() (err error) { o.Certs, err = c.certs(gctx, app); return err })
	}
	if err := g.Wait(); err != nil {
		return plan.Observed{App: app}, err
	}
	return o, c.letGo(ctx, &o)
}

// letGo shows a volume as free whose machine is going: another one may wait for it, where a new, empty volume
// would take its place otherwise. A machine that the list does not show yet is looked at.
func (c *Client) letGo(ctx context.Context, o *plan.Observed) error {
	for i, v := range o.Volumes {
		if v.AttachedMachine == nil || slices.ContainsFunc(o.Machines, func(m plan.Machine) bool { return m.ID == *v.AttachedMachine }) {
			continue
		}
		m, err := c.machine(ctx, o.App, *v.AttachedMachine)
		if err != nil {
			return c.explain(ctx, "look at the machine of volume "+v.ID, err)
		}
		if m == nil {
			o.Volumes[i].AttachedMachine = nil
		}
	}
	return nil
}

// app gives the app, or nil where there is none.
func (c *Client) app(ctx context.Context, name string) (*flaps.App, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	var found *flaps.App
	op := "look at app " + name
	err := c.look(ctx, func(ctx context.Context) (err error) {
		found, err = c.flaps.GetApp(ctx, name)
		return err
	})
	switch {
	case err == nil:
		return found, nil
	case statusOf(err) == http.StatusNotFound:
		return nil, nil
	case statusOf(err) == http.StatusForbidden:
		return nil, reject(ErrRefused, fmt.Sprintf("the name %s belongs to somebody else on Fly, or the token may not see it: "+
			"choose another name, or use a token of its organisation", name))
	}
	return nil, c.explain(ctx, op, err)
}

// look makes a read that may be lost: it tries a few times before the error counts. The error comes
// back as fly-go gave it.
func (c *Client) look(ctx context.Context, read func(context.Context) error) error {
	for try := 0; ; try++ {
		err := read(ctx)
		if err == nil {
			return nil
		}
		// a 429 has been waited for already, by the wire
		f, status := fateOf(ctx, err), statusOf(err)
		if (f != unknown && f != again) || status == http.StatusTooManyRequests || try == 2 {
			return err
		}
		if sleep(ctx, c.options.Poll/2) != nil {
			return err
		}
	}
}

// lookList is look for a list of an app that exists: the app may have been made this moment.
func (c *Client) lookList(ctx context.Context, op string, read func(context.Context) error) error {
	for end := c.options.Now().Add(c.options.Lag); ; {
		err := c.look(ctx, read)
		if err == nil || fateOf(ctx, err) != missing || !c.options.Now().Before(end) || sleep(ctx, c.options.Poll) != nil {
			return c.explain(ctx, op, err)
		}
	}
}

// machines lists the app's machines with the bytes of their configs, in the order of their ids.
func (c *Client) machines(ctx context.Context, app string) ([]plan.Machine, error) {
	out, _, err := c.allMachines(ctx, app, false)
	return out, err
}

// allMachines lists the machines that stay and, where commands are asked for, those that commands run
// in, destroyed ones too, newest first. It is one list.
func (c *Client) allMachines(ctx context.Context, app string, withCommands bool) (stay, commands []plan.Machine, err error) {
	query := ""
	if withCommands {
		query = "include_deleted=true"
	}
	err = c.lookList(ctx, "list machines of "+app, func(ctx context.Context) error {
		said := &call{}
		list, err := c.flaps.List(withCall(ctx, said), app, query)
		if err != nil {
			return err
		}
		var raws []rawMachine
		if err := json.Unmarshal(said.answer, &raws); err != nil || len(raws) != len(list) {
			return fmt.Errorf("read list of machines: %w", cmp.Or(err, errUnequal))
		}
		stay, commands = stay[:0], commands[:0]
		for i, m := range list {
			it := plan.Machine{Machine: m, Raw: raws[i].config()}
			switch {
			case runsCommand(m):
				commands = append(commands, it)
			case m.IsActive() && !ephemeral(m.ProcessGroup()):
				stay = append(stay, it)
			}
		}
		return nil
	})
	if !withCommands {
		commands = nil
	}
	slices.SortFunc(stay, func(a, b plan.Machine) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(commands, func(a, b plan.Machine) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return stay, commands, err
}

// machine gives one machine, or nil where it is gone. The error is fly-go's.
func (c *Client) machine(ctx context.Context, app, id string) (*plan.Machine, error) {
	var out *plan.Machine
	err := c.look(ctx, func(ctx context.Context) error {
		said := &call{}
		m, err := c.flaps.Get(withCall(ctx, said), app, id)
		if err != nil {
			return err
		}
		out, err = withRaw(m, said)
		return err
	})
	if err != nil {
		if fateOf(ctx, err) == missing {
			return nil, nil
		}
		return nil, err
	}
	if !out.IsActive() {
		return nil, nil
	}
	return out, nil
}

// rawMachine is what must be kept as it came.
type rawMachine struct {
	Config     json.RawMessage `json:"config"`
	Incomplete json.RawMessage `json:"incomplete_config"`
}

func (r rawMachine) config() json.RawMessage {
	if len(r.Config) == 0 || string(r.Config) == "null" {
		return nil
	}
	return r.Config
}

var errUnequal = fmt.Errorf("read twice, and not the same")

func withRaw(m *flygo.Machine, said *call) (*plan.Machine, error) {
	var raw rawMachine
	if err := json.Unmarshal(said.answer, &raw); err != nil {
		return nil, fmt.Errorf("read machine %s: %w", m.ID, err)
	}
	return &plan.Machine{Machine: m, Raw: raw.config()}, nil
}

// volumes lists the app's volumes but those that are being destroyed, in the order of their ids.
func (c *Client) volumes(ctx context.Context, app string) ([]flygo.Volume, error) {
	var out []flygo.Volume
	err := c.lookList(ctx, "list volumes of "+app, func(ctx context.Context) (err error) {
		out, err = c.flaps.GetVolumes(ctx, app)
		return err
	})
	slices.SortFunc(out, func(a, b flygo.Volume) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// ips lists the app's addresses in their order.
func (c *Client) ips(ctx context.Context, app string) ([]plan.IP, error) {
	var out []plan.IP
	err := c.lookList(ctx, "list addresses of "+app, func(ctx context.Context) error {
		res, err := c.flaps.GetIPAssignments(ctx, app)
		if err != nil {
			return err
		}
		out = out[:0]
		for _, ip := range res.IPs {
			out = append(out, observedIP(ip))
		}
		return nil
	})
	slices.SortFunc(out, func(a, b plan.IP) int { return cmp.Compare(a.Address, b.Address) })
	return out, err
}

func observedIP(a flaps.IPAssignment) plan.IP {
	return plan.IP{Address: a.IP, Region: a.Region, Shared: a.Shared, Private: a.IsFlycast()}
}
