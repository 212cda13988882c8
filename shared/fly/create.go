package fly

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

func (ch *Change) createMachine(ctx context.Context, s plan.CreateMachine) error {
	if s.Name == "" || s.Config == nil {
		return reject(nil, fmt.Sprintf("create machine of %s: without a name or a config", ch.app))
	}
	e := &machineCreation{ch: ch, want: s}
	if err := ch.bring(ctx, e); err != nil {
		return err
	}
	return ch.adopt(ctx, e)
}

// machineCreation makes a machine under its own name, which Fly holds unique within the app.
type machineCreation struct {
	ch   *Change
	want plan.CreateMachine
	// sent is the config with what only now is known: the volume and the machine stood by for.
	sent *flygo.MachineConfig
	// made is true once a request of ours made it.
	made bool
}

func (e *machineCreation) String() string {
	return fmt.Sprintf("create machine %s of %s", e.want.Name, e.ch.app)
}

func (e *machineCreation) unique() bool { return true }

func (e *machineCreation) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		list, err := e.ch.client.machines(ctx, e.ch.app)
		if err != nil {
			return false, err
		}
		e.ch.noteAll(list)
	}
	_, ok := e.ch.named(e.want.Name)
	return ok, nil
}

func (e *machineCreation) do(ctx context.Context) error {
	ch, c := e.ch, e.ch.client
	if err := e.complete(); err != nil {
		return err
	}
	said, start := &call{}, c.options.Now()
	m, err := c.flaps.Launch(withCall(ctx, said), ch.app, flygo.LaunchMachineInput{
		Config: e.sent, Region: e.region(), Name: e.want.Name, SkipLaunch: e.want.SkipLaunch,
		SkipServiceRegistration: e.want.Hidden, MinSecretsVersion: ch.minSecrets(), LeaseTTL: c.options.leaseSeconds(),
	})
	if err != nil {
		return e.conflict(ctx, err)
	}
	made, err := withRaw(m, said)
	if err != nil {
		return err
	}
	if m.LeaseNonce != "" {
		ch.leases.put(m.ID, m.LeaseNonce, c.trust(start))
	}
	ch.note(*made)
	e.made = true
	return nil
}

var machineID = regexp.MustCompile(`\b[0-9a-f]{14}\b`)

// conflict looks whether a conflict names the machine that is wanted: lists lag, and the name is
// checked where it is kept.
func (e *machineCreation) conflict(ctx context.Context, err error) error {
	if fateOf(ctx, err) != taken {
		return err
	}
	_, body := answerOf(err)
	for _, id := range machineID.FindAllString(string(body), 3) {
		m, merr := e.ch.client.machine(ctx, e.ch.app, id)
		if merr == nil && m != nil && m.Name == e.want.Name {
			e.ch.note(*m)
			return nil
		}
	}
	return err
}

// complete fills into a copy of the config what the plan could not know.
func (e *machineCreation) complete() error {
	config := *e.want.Config
	if name := e.want.StandbyFor; name != "" {
		first, ok := e.ch.named(name)
		if !ok {
			return fmt.Errorf("%s: there is no machine %s to stand by for", e, name)
		}
		config.Standbys = []string{first.ID}
		config.Env = maps.Clone(config.Env)
		if config.Env == nil {
			config.Env = map[string]string{}
		}
		config.Env["FLY_STANDBY_FOR"] = first.ID
	}
	if e.want.Volume != "" {
		v, err := e.ch.claim(e.want)
		if err != nil {
			return err
		}
		config.Mounts = slices.Clone(config.Mounts)
		for i, m := range config.Mounts {
			if m.Name == e.want.Volume || len(config.Mounts) == 1 {
				config.Mounts[i].Volume = v.ID
			}
		}
	}
	e.sent = &config
	return nil
}

// region is where the machine is made: with its volume.
func (e *machineCreation) region() string {
	if e.want.Region != "" || e.want.Volume == "" {
		return e.want.Region
	}
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	for _, v := range e.ch.volumes {
		if v.ID == e.ch.claimed[e.want.Name] {
			return v.Region
		}
	}
	return ""
}

// adopt makes a machine that has the wanted name, but was not made by this request, ours: it takes
// the lease, looks, and gives it the wanted config where that differs. It does nothing for one
// that was just made.
func (ch *Change) adopt(ctx context.Context, e *machineCreation) error {
	m, _ := ch.named(e.want.Name)
	if _, held := ch.leases.nonce(m.ID); !held {
		err := ch.lease(ctx, m.ID)
		var seen *plan.Machine
		if err == nil {
			seen, err = ch.client.machine(ctx, ch.app, m.ID)
			err = ch.client.explain(ctx, "look at machine "+m.ID, err)
		}
		switch {
		case errors.Is(err, errGone), err == nil && seen == nil:
			ch.forget(m.ID)
			return &problem{fmt.Sprintf("%s: it was there and is gone; try again", e), nil}
		case err != nil:
			return err
		}
		m = *seen
		ch.note(m)
	}
	if e.made {
		return nil
	}
	if e.sent == nil {
		ch.claimOf(m)
		if err := e.complete(); err != nil {
			return err
		}
	}
	if holds(m, e.sent) {
		return nil
	}
	return ch.update(ctx, m, plan.UpdateMachine{App: ch.app, Machine: m, Config: e.sent, SkipLaunch: e.want.SkipLaunch})
}
