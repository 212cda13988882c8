package fly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	flygo "github.com/superfly/fly-go"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// Change is the exclusive right to change one app, from Begin to Close. Its methods may be used side
// by side. While it lives it refreshes its leases by itself.
type Change struct {
	client *Client
	app    string
	leases leases

	// scope is what is observed of the app.
	scope plan.Scope
	// Output gets what commands say, and what people should know, a line each; nil: nobody does. Set it before the
	// first Apply. It is written to by one at a time.
	Output io.Writer

	mu       sync.Mutex
	observed plan.Observed
	// machines, volumes and ips are what is known now, our own changes included: lists lag.
	machines map[string]plan.Machine
	volumes  []flygo.Volume
	ips      []plan.IP
	// certs are the host names that are known; nil where nobody looked.
	certs map[string]bool
	// claimed is the volume that each new machine, by name, is to mount.
	claimed map[string]string
	// sent is what each machine was given last, by id; gone are the machines and volumes that were
	// destroyed, made the volumes that were made, uncordoned the machines that were brought into sight.
	sent                   map[string]sent
	gone, made, uncordoned map[string]bool
	// values are the secrets that may be set, digests what Fly made of those that were ("" where one was
	// removed), told the values that only the making of an add-on told.
	values         map[string]manifest.Secret
	digests        map[string]string
	told           map[string]map[string]manifest.Secret
	secretsVersion uint64
	secretsKey     string

	// These make changes that count things, or that wait, go one after another; outMu is for Output.
	appMu, volumeMu, ipMu, certMu, secretMu, addonMu, outMu sync.Mutex

	stop, done chan struct{}
	once       sync.Once
	closed     error
}

// Begin observes app, takes the leases of all its machines, and reads them again, so that what
// Observed gives cannot change under the caller. Where somebody else holds a lease it waits up to
// Options.LeaseWait, and then gives ErrLeased. An app that does not exist gives a Change without
// leases. The caller must Close the change. Beginning is safe to repeat.
func (c *Client) Begin(ctx context.Context, app string, scope plan.Scope) (*Change, error) {
	o, err := c.Observe(ctx, app, scope)
	if err != nil {
		return nil, err
	}
	return c.begin(ctx, o, scope)
}

// BeginFrom is Begin for whoever has just observed the app, in the same scope. Only the machines are read
// again. Where they are not what was observed, somebody else has been there, and everything is.
func (c *Client) BeginFrom(ctx context.Context, o plan.Observed, scope plan.Scope) (*Change, error) {
	if o.Exists && len(o.Machines) == 0 {
		return c.Begin(ctx, o.App, scope) // nothing to lease: nobody could be noticed
	}
	ch, err := c.begin(ctx, o, scope)
	if err != nil || slices.EqualFunc(o.Machines, ch.Observed().Machines, sameVersion) {
		return ch, err
	}
	if _, err := ch.Look(ctx); err != nil {
		return nil, errors.Join(err, ch.Close())
	}
	return ch, nil
}

func sameVersion(a, b plan.Machine) bool { return a.ID == b.ID && a.InstanceID == b.InstanceID }

func (c *Client) begin(ctx context.Context, o plan.Observed, scope plan.Scope) (*Change, error) {
	ch := &Change{
		client: c, app: o.App, scope: scope, observed: o, volumes: o.Volumes, ips: o.IPs,
		machines: map[string]plan.Machine{}, claimed: map[string]string{},
		sent: map[string]sent{}, gone: map[string]bool{}, made: map[string]bool{}, uncordoned: map[string]bool{},
		values: map[string]manifest.Secret{}, digests: map[string]string{}, told: map[string]map[string]manifest.Secret{},
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	ch.noteCerts(o)
	go ch.keep(context.WithoutCancel(ctx))
	if err := ch.settle(ctx); err != nil {
		return nil, errors.Join(err, ch.Close())
	}
	return ch, nil
}

// settle leases and reads again until no machine is without a lease.
func (ch *Change) settle(ctx context.Context) error {
	gone := map[string]bool{}
	for range 4 {
		free := ch.free(gone)
		if len(free) == 0 {
			ch.know(gone)
			return nil
		}
		if err := ch.leaseAll(ctx, free, gone); err != nil {
			return err
		}
		machines, err := ch.client.machines(ctx, ch.app)
		if err == nil {
			machines, err = ch.current(ctx, machines)
		}
		if err != nil {
			return err
		}
		ch.mu.Lock()
		ch.observed.Machines = machines
		ch.mu.Unlock()
	}
	return fmt.Errorf("lease the machines of %s: new ones keep appearing; try again", ch.app)
}

// free lists the machines without a lease of ours. A host that does not answer grants none; what is
// on it is never updated.
func (ch *Change) free(gone map[string]bool) []string {
	var out []string
	for _, m := range ch.observed.Machines {
		if _, held := ch.leases.nonce(m.ID); !held && !gone[m.ID] && hostOK(m) {
			out = append(out, m.ID)
		}
	}
	return out
}

func hostOK(m plan.Machine) bool {
	return m.HostStatus == "" || m.HostStatus == flygo.HostStatusOk
}

// leaseAll takes the first lease alone: whoever has it has the right of way, so that two deployers
// never wait for each other with half of the leases each.
func (ch *Change) leaseAll(ctx context.Context, ids []string, gone map[string]bool) error {
	var mu sync.Mutex
	one := func(ctx context.Context, id string) error {
		err := ch.lease(ctx, id)
		if errors.Is(err, errGone) {
			mu.Lock()
			defer mu.Unlock()
			gone[id] = true
			return nil
		}
		return err
	}
	if err := one(ctx, ids[0]); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	for _, id := range ids[1:] {
		g.Go(func() error { return one(gctx, id) })
	}
	return g.Wait()
}

// know makes the last reading the one that counts.
func (ch *Change) know(gone map[string]bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.observed.Machines = slices.DeleteFunc(ch.observed.Machines, func(m plan.Machine) bool { return gone[m.ID] })
	clear(ch.machines)
	for _, m := range ch.observed.Machines {
		ch.machines[m.ID] = m
	}
}

// Observed is what Fly held when the leases had been taken, or at the last Look.
func (ch *Change) Observed() plan.Observed {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.observed
}

// TrustedUntil is when the right to change the app must be taken for lost unless a refresh succeeds
// before: for each lease the start of its last refresh + TTL − margin, and the earliest of these.
// The zero time means that it is lost for good. Without machines nothing can be lost, and it stays
// ahead of the clock.
func (ch *Change) TrustedUntil() time.Time {
	until, err := ch.leases.until(ch.client.trust(ch.client.options.Now()))
	if err != nil {
		return time.Time{}
	}
	return until
}

// guard bounds one write: it does not start unless both the leases and ctx outlast it.
func (ch *Change) guard(ctx context.Context, op string) (context.Context, context.CancelFunc, error) {
	c, need := ch.client, ch.client.options.writeTime()
	until, err := ch.leases.until(c.trust(c.options.Now()))
	if err != nil {
		return nil, nil, &problem{op + ": not started: " + err.Error(), []error{ErrUntrusted}}
	}
	if left := until.Sub(c.options.Now()); left < need {
		return nil, nil, &problem{fmt.Sprintf("%s: not started: the leases are trusted for %s more, a change may take %s",
			op, max(left, 0).Round(time.Second), need), []error{ErrUntrusted}}
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < need {
		return nil, nil, &problem{fmt.Sprintf("%s: not started: %s are left, a change may take %s",
			op, max(time.Until(end), 0).Round(time.Second), need), []error{ErrUntrusted}}
	}
	ctx, cancel := context.WithTimeout(ctx, need)
	return ctx, cancel, nil
}

// Close stops refreshing and gives the leases back, even where the context that Begin had is
// cancelled, within ten seconds. Its error is for the log: leases that could not be given back run
// out by themselves. It may be called again.
func (ch *Change) Close() error {
	ch.once.Do(func() { close(ch.stop) })
	<-ch.done
	return ch.closed
}

// named finds a machine of the app by its name.
func (ch *Change) named(name string) (plan.Machine, bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var found []plan.Machine
	for _, m := range ch.machines {
		if m.Name == name {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return plan.Machine{}, false
	}
	return slices.MinFunc(found, func(a, b plan.Machine) int { return cmp.Compare(a.ID, b.ID) }), true
}

func (ch *Change) known(id string) (plan.Machine, bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	m, ok := ch.machines[id]
	return m, ok
}

func (ch *Change) note(m plan.Machine) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.machines[m.ID] = m
}

func (ch *Change) forget(id string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	delete(ch.machines, id)
}

// noteAll adds machines that a list shows and that were not known.
func (ch *Change) noteAll(list []plan.Machine) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, m := range list {
		if _, ok := ch.machines[m.ID]; !ok && !ch.gone[m.ID] {
			ch.machines[m.ID] = m
		}
	}
}
