package fly

import (
	"context"
	"encoding/json"
	"fmt"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

func (ch *Change) updateMachine(ctx context.Context, s plan.UpdateMachine) error {
	m, ok := ch.known(s.Machine.ID)
	switch {
	case !ok:
		return &problem{fmt.Sprintf("update machine %s of %s: it is gone; try again", s.Machine.ID, ch.app), nil}
	case !hostOK(m) || m.Raw == nil:
		return &problem{fmt.Sprintf("update machine %s of %s: its host does not answer, and its config is not known", m.ID, ch.app), nil}
	}
	return ch.update(ctx, m, s)
}

// sent is the last config that a machine was given by this change, and the version that made.
type sent struct {
	want    string
	version string
}

func (ch *Change) update(ctx context.Context, m plan.Machine, s plan.UpdateMachine) error {
	want, err := json.Marshal(s.Config)
	if err != nil {
		return fmt.Errorf("write machine config: %w", err)
	}
	raw := s.Raw
	if raw == nil {
		if raw, err = overlay(m.Raw, s.Config); err != nil {
			return err
		}
	}
	if err := ch.learnSecrets(ctx, m, s); err != nil {
		return err
	}
	e := &machineUpdate{
		ch: ch, id: m.ID, from: m.InstanceID, want: string(want) + string(s.Raw), config: raw, skip: s.SkipLaunch,
	}
	if err := ch.bring(ctx, e); err != nil {
		return err
	}
	e.remember()
	if s.SkipLaunch || m.State == flygo.MachineStateStarted {
		return nil
	}
	return ch.wake(ctx, m.ID)
}

// learnSecrets learns the version of the secrets where the machine is to say that it has other ones than it had, and this
// change set none: an earlier one that was broken off did, or a person.
func (ch *Change) learnSecrets(ctx context.Context, m plan.Machine, s plan.UpdateMachine) error {
	if ch.minSecrets() != nil || s.Config == nil || m.GetMetadataByKey(plan.MetaSecrets) == s.Config.Metadata[plan.MetaSecrets] {
		return nil
	}
	ch.secretMu.Lock()
	defer ch.secretMu.Unlock()
	if ch.minSecrets() != nil {
		return nil
	}
	return ch.bring(ctx, &secretSync{ch: ch})
}

// machineUpdate gives a leased machine a config in place.
type machineUpdate struct {
	ch *Change
	id string
	// from is the version that is updated. While the lease is ours, any other is the update's.
	from string
	// want is the config that was asked for, config what is sent: with all that fly-go does not know.
	want   string
	config json.RawMessage
	skip   bool
}

func (e *machineUpdate) String() string {
	return fmt.Sprintf("update machine %s of %s", e.id, e.ch.app)
}

func (e *machineUpdate) seen(ctx context.Context, fresh bool) (bool, error) {
	if !fresh {
		e.ch.mu.Lock()
		defer e.ch.mu.Unlock()
		m := e.ch.machines[e.id]
		return sameJSON(m.Raw, e.config) || e.ch.sent[e.id] == sent{e.want, m.InstanceID}, nil
	}
	m, err := e.ch.client.machine(ctx, e.ch.app, e.id)
	if err != nil {
		return false, e.ch.client.explain(ctx, "look at machine "+e.id, err)
	}
	if m == nil {
		e.ch.forget(e.id)
		return false, &problem{fmt.Sprintf("%s: it is gone; try again", e), nil}
	}
	e.ch.note(*m)
	return m.InstanceID != e.from, nil
}

// remember makes a repetition of the same update a no-op.
func (e *machineUpdate) remember() {
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	e.ch.sent[e.id] = sent{e.want, e.ch.machines[e.id].InstanceID}
}

func (e *machineUpdate) do(ctx context.Context) error {
	nonce, held := e.ch.leases.nonce(e.id)
	if !held {
		return &problem{fmt.Sprintf("%s: not started: it is not leased", e), []error{ErrUntrusted}}
	}
	said := &call{config: e.config, version: e.from}
	m, err := e.ch.client.flaps.Update(withCall(ctx, said), e.ch.app, flygo.LaunchMachineInput{
		ID: e.id, SkipLaunch: e.skip, MinSecretsVersion: e.ch.minSecrets(),
	}, nonce)
	if err != nil {
		return err
	}
	now, err := withRaw(m, said)
	if err != nil {
		return err
	}
	if now.Raw == nil {
		now.Raw = e.config
	}
	e.ch.note(*now)
	return nil
}

// wake starts a machine that Fly left stopped after its update, as it may, although it was to run.
// A machine that does not come to rest in time is left to the proof.
func (ch *Change) wake(ctx context.Context, id string) error {
	c := ch.client
	for end := c.options.Now().Add(c.options.writeTime()); c.options.Now().Before(end); {
		m, err := c.machine(ctx, ch.app, id)
		if err == nil && m != nil {
			ch.note(*m)
			switch m.State {
			case flygo.MachineStateStarted, "starting":
				return nil
			case flygo.MachineStateStopped, flygo.MachineStateSuspended:
				return ch.bring(ctx, &machineStart{ch, id})
			}
		}
		if err := sleep(ctx, c.options.Poll); err != nil {
			return fmt.Errorf("start machine %s of %s: %w", id, ch.app, err)
		}
	}
	return nil
}

type machineStart struct {
	ch *Change
	id string
}

func (e *machineStart) String() string { return fmt.Sprintf("start machine %s of %s", e.id, e.ch.app) }

func (e *machineStart) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		m, err := e.ch.client.machine(ctx, e.ch.app, e.id)
		if err != nil || m == nil {
			return false, e.ch.client.explain(ctx, "look at machine "+e.id, err)
		}
		e.ch.note(*m)
	}
	m, _ := e.ch.known(e.id)
	return m.Machine != nil && m.State != flygo.MachineStateStopped && m.State != flygo.MachineStateSuspended, nil
}

func (e *machineStart) do(ctx context.Context) error {
	nonce, _ := e.ch.leases.nonce(e.id)
	_, err := e.ch.client.flaps.Start(ctx, e.ch.app, e.id, nonce)
	return err
}
