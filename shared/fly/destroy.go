package fly

import (
	"context"
	"errors"
	"fmt"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// destroy destroys a machine; one that was only planned when the step was made (a canary) has no id, and
// is found by its name.
func (ch *Change) destroy(ctx context.Context, m plan.Machine) error {
	if m.Machine == nil {
		return nil
	}
	if m.ID != "" {
		return ch.destroyMachine(ctx, m.ID)
	}
	found, ok := ch.named(m.Name)
	if !ok {
		return nil
	}
	return ch.destroyMachine(ctx, found.ID)
}

func (ch *Change) destroyMachine(ctx context.Context, id string) error {
	if err := ch.bring(ctx, &destruction{ch, id}); err != nil {
		ch.leases.end(id, false)
		return err
	}
	ch.leases.drop(id)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	delete(ch.machines, id)
	ch.gone[id] = true
	return nil
}

// destroyed reports whether this change destroyed the machine: lists may still show it.
func (ch *Change) destroyed(id string) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.gone[id]
}

type destruction struct {
	ch *Change
	id string
}

func (e *destruction) String() string { return fmt.Sprintf("destroy machine %s of %s", e.id, e.ch.app) }

func (e *destruction) seen(ctx context.Context, fresh bool) (bool, error) {
	if _, ok := e.ch.known(e.id); !ok || !fresh {
		return !ok, nil
	}
	m, err := e.ch.client.machine(ctx, e.ch.app, e.id)
	return err == nil && m == nil, e.ch.client.explain(ctx, "look at machine "+e.id, err)
}

func (e *destruction) do(ctx context.Context) error {
	m, _ := e.ch.known(e.id)
	nonce, held := e.ch.leases.nonce(e.id)
	if !held && hostOK(m) {
		return &problem{fmt.Sprintf("%s: not started: it is not leased", e), []error{ErrUntrusted}}
	}
	e.ch.leases.end(e.id, true)
	err := e.ch.client.flaps.Destroy(ctx, e.ch.app, flygo.RemoveMachineInput{ID: e.id, Kill: true}, nonce)
	if err != nil && fateOf(ctx, err) == missing {
		return nil
	}
	return err
}

// replaceMachine makes the new machine, proves it, and only then destroys the old one; where they
// cannot be side by side (one name, one volume) the old one goes first.
func (ch *Change) replaceMachine(ctx context.Context, s plan.ReplaceMachine) error {
	if s.Old.Name == s.Create.Name || (s.Create.Volume != "" && s.Old.Config != nil && len(s.Old.Config.Mounts) > 0) {
		if err := ch.destroyMachine(ctx, s.Old.ID); err != nil {
			return err
		}
		return ch.createMachine(ctx, s.Create)
	}
	if _, there := ch.known(s.Old.ID); !there {
		return ch.createMachine(ctx, s.Create)
	}
	if err := ch.createMachine(ctx, s.Create); err != nil {
		return err
	}
	m, _ := ch.named(s.Create.Name)
	proof := plan.Stage{Steps: []plan.Step{s.Create}}.Proof(plan.Intent{Image: s.Create.Config.Image})
	err := ch.prove(ctx, proof.Machines[0], 0)
	if err != nil {
		return errors.Join(err, ch.destroyMachine(ctx, m.ID))
	}
	return ch.destroyMachine(ctx, s.Old.ID)
}

func (ch *Change) destroyApp(ctx context.Context) error {
	ch.appMu.Lock()
	defer ch.appMu.Unlock()
	return ch.bring(ctx, &appDestruction{ch})
}

type appDestruction struct{ ch *Change }

func (e *appDestruction) String() string { return "destroy app " + e.ch.app }

func (e *appDestruction) seen(ctx context.Context, _ bool) (bool, error) {
	app, err := e.ch.client.app(ctx, e.ch.app)
	return err == nil && app == nil, err
}

func (e *appDestruction) do(ctx context.Context) error {
	list, err := e.ch.client.machines(ctx, e.ch.app)
	if err != nil {
		return err
	}
	for _, m := range list {
		if !e.ch.destroyed(m.ID) {
			return &problem{fmt.Sprintf("%s: not started: it still has machine %s", e, m.ID), []error{ErrUntrusted}}
		}
	}
	err = e.ch.client.flaps.DeleteApp(ctx, e.ch.app)
	if err != nil && fateOf(ctx, err) == missing {
		return nil
	}
	return err
}
