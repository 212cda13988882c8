package fly

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/plan"
)

// Apply makes one step true. A step that is true already does nothing, so it may be repeated, by
// this change or by the next one. Steps for different things may be applied side by side. An error
// that wraps job.ErrRejected cannot be cured by repeating; with any other the step may or may not
// have happened.
func (ch *Change) Apply(ctx context.Context, step plan.Step) error { //nolint:funlen // one switch, so that the linter finds a step that is missing
	switch s := step.(type) {
	case plan.CreateApp:
		return ch.createApp(ctx, s)
	case plan.DestroyApp:
		return ch.destroyApp(ctx)
	case plan.SetSecrets:
		return ch.setSecrets(ctx, s)
	case plan.AllocateIP:
		return ch.allocateIP(ctx, s)
	case plan.ReleaseIP:
		return ch.releaseIP(ctx, s)
	case plan.AddCert:
		return ch.addCert(ctx, s)
	case plan.RemoveCert:
		return ch.removeCert(ctx, s)
	case plan.CreateAddon:
		return ch.createAddon(ctx, s)
	case plan.DestroyAddon:
		return ch.destroyAddon(ctx, s)
	case plan.CreateVolume:
		return ch.createVolume(ctx, s)
	case plan.ExtendVolume:
		return ch.extendVolume(ctx, s)
	case plan.UpdateVolume:
		return ch.updateVolume(ctx, s)
	case plan.DestroyVolume:
		return ch.destroyVolume(ctx, s)
	case plan.RunCommand:
		return ch.runCommand(ctx, s)
	case plan.Cordon:
		return ch.bring(ctx, &cordon{ch: ch, id: s.Machine, name: s.Name, hidden: true})
	case plan.Uncordon:
		return ch.bring(ctx, &cordon{ch: ch, id: s.Machine, name: s.Name})
	case plan.CreateMachine:
		return ch.createMachine(ctx, s)
	case plan.UpdateMachine:
		return ch.updateMachine(ctx, s)
	case plan.ReplaceMachine:
		return ch.replaceMachine(ctx, s)
	case plan.DestroyMachine:
		return ch.destroy(ctx, s.Machine)
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

// repeatable is an effect whose request does no harm when it comes twice: after a lost answer it is simply sent again.
type repeatable interface{ repeatable() bool }

// unique is an effect whose second request collides with the first by name: after a 429 it is sent again without
// a look.
type unique interface{ unique() bool }

// refusals is how often a write that came too early is sent again, a second or more apart.
const refusals = 60

// tries is how often a write is sent at most.
const tries = 4

// bring makes an effect true. After an answer that leaves it open whether it happened, it looks
// until Lag is over before it asks again; so a lost answer never makes a thing twice.
func (ch *Change) bring(ctx context.Context, e effect) error {
	if ok, err := e.seen(ctx, false); ok || err != nil {
		return err
	}
	for try, early := 1, 0; ; try++ {
		err := ch.write(ctx, e)
		if err == nil {
			return nil
		}
		f := fateOf(ctx, err)
		if u, ok := e.(unique); ok && u.unique() && statusOf(err) == http.StatusTooManyRequests && early < refusals {
			early, try = early+1, try-1 // the wire has waited as long as Fly asks; lists have limits too
			continue
		}
		var told *problem
		if f == over || f == forbidden || f == invalid || f == full || f == leased || errors.As(err, &told) {
			return ch.client.explain(ctx, e.String(), err)
		}
		ok, serr := ch.settled(ctx, e)
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

// settled waits until it is known whether the effect is there.
func (ch *Change) settled(ctx context.Context, e effect) (bool, error) {
	if r, ok := e.(repeatable); ok && r.repeatable() {
		if err := sleep(ctx, ch.client.options.Poll); err != nil {
			return false, fmt.Errorf("%s: %w", e, err)
		}
		return e.seen(ctx, true)
	}
	return ch.watch(ctx, e)
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
	if err == nil {
		ch.mu.Lock()
		ch.observed.Exists = true
		ch.mu.Unlock()
	}
	return err
}

type appCreation struct {
	ch   *Change
	want plan.CreateApp
}

func (e *appCreation) String() string { return "create app " + e.want.App }

func (e *appCreation) seen(ctx context.Context, fresh bool) (bool, error) {
	if !fresh && !e.ch.Observed().Exists {
		return false, nil
	}
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
