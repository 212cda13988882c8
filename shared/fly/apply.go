package fly

import (
	"context"
	"errors"
	"fmt"

	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// Apply makes one step true. A step that is true already does nothing, so it may be repeated, by
// this change or by the next one. Steps for different things may be applied side by side. An error
// that wraps job.ErrRejected cannot be cured by repeating; with any other the step may or may not
// have happened.
func (ch *Change) Apply(ctx context.Context, step plan.Step) error {
	switch s := step.(type) {
	case plan.CreateApp:
		return ch.createApp(ctx, s)
	case plan.DestroyApp:
		return ch.destroyApp(ctx)
	case plan.AllocateIP:
		ch.ipMu.Lock()
		defer ch.ipMu.Unlock()
		return ch.bring(ctx, &allocation{ch, s.IP})
	case plan.ReleaseIP:
		ch.ipMu.Lock()
		defer ch.ipMu.Unlock()
		return ch.bring(ctx, &release{ch, s.Address})
	case plan.CreateVolume:
		return ch.createVolume(ctx, s)
	case plan.CreateMachine:
		return ch.createMachine(ctx, s)
	case plan.UpdateMachine:
		return ch.updateMachine(ctx, s)
	case plan.ReplaceMachine:
		return ch.replaceMachine(ctx, s)
	case plan.DestroyMachine:
		return ch.destroyMachine(ctx, s.Machine.ID)
	}
	return fmt.Errorf("apply %T: not a step that is known", step)
}

// effect is something that is to become true on Fly.
type effect interface {
	// seen reports whether it is true: by what is known, or, if fresh, by looking.
	seen(ctx context.Context, fresh bool) (bool, error)
	// do asks for it, once.
	do(ctx context.Context) error
	// String says what it is: verb, object.
	String() string
}

// tries is how often a write is sent at most.
const tries = 4

// bring makes an effect true. After an answer that leaves it open whether it happened, it looks
// until Lag is over before it asks again; so a lost answer never makes a thing twice.
func (ch *Change) bring(ctx context.Context, e effect) error {
	if ok, err := e.seen(ctx, false); ok || err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := ch.write(ctx, e)
		if err == nil {
			return nil
		}
		f := fateOf(ctx, err)
		var told *problem
		if f == over || f == forbidden || f == invalid || f == full || f == leased || errors.As(err, &told) {
			return ch.client.explain(ctx, e.String(), err)
		}
		ok, serr := ch.watch(ctx, e)
		if ok || serr != nil {
			return serr
		}
		if try == tries || f == stale {
			return ch.client.explain(ctx, e.String(), err)
		}
	}
}

// write starts one write if it is trusted to end in time.
func (ch *Change) write(ctx context.Context, e effect) error {
	wctx, cancel, err := ch.guard(ctx, e.String())
	if err != nil {
		return err
	}
	defer cancel()
	return e.do(wctx)
}

// watch looks for an effect until it is there or Lag is over.
func (ch *Change) watch(ctx context.Context, e effect) (bool, error) {
	c := ch.client
	for end := c.options.Now().Add(c.options.Lag); ; {
		ok, err := e.seen(ctx, true)
		if ok || err != nil {
			return ok, err
		}
		if !c.options.Now().Before(end) {
			return false, nil
		}
		if err := sleep(ctx, c.options.Poll); err != nil {
			return false, fmt.Errorf("%s: %w", e, err)
		}
	}
}

func (ch *Change) createApp(ctx context.Context, s plan.CreateApp) error {
	ch.appMu.Lock()
	defer ch.appMu.Unlock()
	e := &appCreation{ch, s}
	if err := ch.bring(ctx, e); err != nil {
		return err
	}
	// it may take a moment until every part of Fly knows the app
	ok, err := ch.watch(ctx, e)
	if err == nil && !ok {
		err = fmt.Errorf("%s: made, but not to be seen yet; try again", e)
	}
	return err
}

type appCreation struct {
	ch   *Change
	want plan.CreateApp
}

func (e *appCreation) String() string { return "create app " + e.want.App }

func (e *appCreation) seen(ctx context.Context, _ bool) (bool, error) {
	app, err := e.ch.client.app(ctx, e.want.App)
	if err != nil || app == nil {
		return false, err
	}
	// personal is an alias: Fly may answer with the organisation's own slug
	if org := app.Organization.Slug; org != e.want.Org && e.want.Org != "" && e.want.Org != "personal" && org != "" {
		return false, reject(ErrRefused, fmt.Sprintf("%s: it is in the organisation %s already, and should be in %s: "+
			"choose another name, or move it with `fly apps move`", e, org, e.want.Org))
	}
	return true, nil
}

func (e *appCreation) do(ctx context.Context) error {
	_, err := e.ch.client.flaps.CreateApp(ctx, flaps.CreateAppRequest{Name: e.want.App, Org: e.want.Org, Network: e.want.Network})
	if err == nil || !nameTaken(err) {
		return err
	}
	// the name may be ours, from a try whose answer was lost
	if ok, serr := e.ch.watch(ctx, e); ok || serr != nil {
		return serr
	}
	return reject(ErrRefused, fmt.Sprintf("the name %s belongs to somebody else on Fly: choose another name", e.want.App))
}

type allocation struct {
	ch   *Change
	want machine.IP
}

func (e *allocation) String() string {
	return fmt.Sprintf("allocate a %s address for %s", e.want.Type, e.ch.app)
}

func (e *allocation) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		ips, err := e.ch.client.ips(ctx, e.ch.app)
		if err != nil {
			return false, err
		}
		e.ch.ips = ips
	}
	for _, ip := range e.ch.ips {
		if fits(ip, e.want) {
			return true, nil
		}
	}
	return false, nil
}

func (e *allocation) do(ctx context.Context) error {
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
}

func (e *release) String() string {
	return fmt.Sprintf("release address %s of %s", e.address, e.ch.app)
}

func (e *release) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		ips, err := e.ch.client.ips(ctx, e.ch.app)
		if err != nil {
			return false, err
		}
		e.ch.ips = ips
	}
	for _, ip := range e.ch.ips {
		if ip.Address == e.address {
			return false, nil
		}
	}
	return true, nil
}

func (e *release) do(ctx context.Context) error {
	err := e.ch.client.flaps.DeleteIPAssignment(ctx, e.ch.app, e.address)
	if err != nil && fateOf(ctx, err) != missing {
		return err
	}
	e.ch.ips = withoutIP(e.ch.ips, e.address)
	return nil
}
