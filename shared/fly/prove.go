package fly

import (
	"context"
	"errors"
	"fmt"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/plan"
)

const (
	defaultWait = 5 * time.Minute
	// waitChunk is how long one wait asks Fly to wait: far below Fly's limit of 60 s, since a machine
	// that crashes at once and is started again may never be seen in any state that is waited for.
	waitChunk = 5 * time.Second
)

// Prove returns nil once every machine of the proof runs as wanted: invariant 8. It waits for
// machines that are on their way, for Proof.WaitTimeout each (five minutes where that is zero), and
// takes a failed look for nothing. The error has a sentence per machine; it wraps ErrUnproven where one
// was seen not to run as it should, and not where Fly did not let it be seen. It changes nothing and may be repeated.
func (ch *Change) Prove(ctx context.Context, p plan.Proof) error {
	errs := make([]error, len(p.Machines))
	slots := make(chan struct{}, abreast)
	done := make(chan struct{})
	for i, m := range p.Machines {
		go func() {
			defer func() { done <- struct{}{} }()
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = ch.prove(ctx, m, p.WaitTimeout)
		}()
	}
	for range p.Machines {
		<-done
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if _, err := ch.leases.until(time.Time{}); err != nil {
		return &problem{fmt.Sprintf("prove %s: %v, so somebody else may have changed it", ch.app, err), []error{ErrUntrusted, ErrUnproven}}
	}
	return nil
}

func (ch *Change) prove(ctx context.Context, want plan.ProofMachine, wait time.Duration) error {
	c := ch.client
	if wait <= 0 {
		wait = defaultWait
	}
	if want.Impossible != "" {
		return &problem{fmt.Sprintf("%s cannot be proven: %s", ch.app, want.Impossible), []error{ErrUnproven}}
	}
	id, err := ch.idOf(ctx, want)
	if err != nil {
		return err
	}
	pctx, cancel := atMost(ctx, wait+max(c.options.Smoke, 0), context.DeadlineExceeded)
	defer cancel()
	w := proofOf{ch: ch, want: want, id: id, last: pending("machine %s was not seen", id)}
	if m, ok := ch.known(id); ok && want.Launched && onItsWay(m) {
		_ = ch.pass(pctx, m, want) // it was written this moment: a look would only show that it is not there yet
	}
	for !w.last.proven && !w.last.hopeless {
		m := w.look(pctx)
		if w.last.proven || w.last.hopeless {
			break
		}
		if ch.pass(pctx, m, want) != nil {
			w.look(ctx) // once more: the wait may have hidden what there is to see
			break
		}
	}
	switch {
	case w.last.proven:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("prove machine %s of %s: %w", id, ch.app, context.Cause(ctx))
	}
	if w.lost != "" {
		// Fly's failure, and not the release's
		return &problem{fmt.Sprintf("whether %s runs as it should is not known: %s; last seen: %s", ch.app, w.lost, w.last.why), nil}
	}
	return &problem{fmt.Sprintf("%s does not run as it should: %s", ch.app, w.last.why), []error{ErrUnproven}}
}

// proofOf is the proof of one machine on its way.
type proofOf struct {
	ch   *Change
	want plan.ProofMachine
	id   string
	up   uptime
	last verdict
	// lost is why the last look failed; empty where it did not.
	lost string
}

// look judges the machine as it is now. A look that fails changes nothing but lost.
func (w *proofOf) look(ctx context.Context) plan.Machine {
	c := w.ch.client
	m, err := w.ch.view(ctx, w.id)
	if err != nil {
		if ctx.Err() == nil {
			w.lost = c.sentence(err)
		}
		return plan.Machine{}
	}
	w.lost = ""
	w.last = judge(m, w.want, w.up.see(m, c.options.Now()), c.options.Smoke)
	return m
}

func (ch *Change) idOf(ctx context.Context, want plan.ProofMachine) (string, error) {
	if want.ID != "" {
		return want.ID, nil
	}
	m, ok := ch.named(want.Name)
	if !ok {
		list, err := ch.client.machines(ctx, ch.app)
		if err != nil {
			return "", err
		}
		ch.noteAll(list)
		if m, ok = ch.named(want.Name); !ok {
			return "", &problem{fmt.Sprintf("machine %s of %s does not exist", want.Name, ch.app), []error{ErrUnproven}}
		}
	}
	return m.ID, nil
}

// view looks at a machine as it is now. One that answers 404 may have been made this moment.
func (ch *Change) view(ctx context.Context, id string) (plan.Machine, error) {
	c := ch.client
	said := &call{}
	m, err := c.flaps.Get(withCall(ctx, said), ch.app, id)
	if err != nil {
		return plan.Machine{}, err
	}
	now, err := withRaw(m, said)
	if err != nil {
		return plan.Machine{}, err
	}
	return *now, nil
}

// onItsWay is true of a machine that is neither here nor there.
func onItsWay(m plan.Machine) bool {
	return m.Machine != nil && m.State != flygo.MachineStateStarted && m.State != flygo.MachineStateStopped
}

// pass lets time pass until another look is worth it. For a machine that should start, Fly tells.
// The error is ctx's alone.
func (ch *Change) pass(ctx context.Context, m plan.Machine, want plan.ProofMachine) error {
	c := ch.client
	if onItsWay(m) {
		// whatever it comes to: one that starts and ends at once is never seen started
		states := []string{"started", "stopped", "failed"}
		if want.Stopped || m.State != flygo.MachineStateSuspended {
			states = append(states, "suspended")
		}
		start := c.options.Now()
		err := c.flaps.Wait(ctx, ch.app, m.ID, flaps.WithWaitStates(states...),
			flaps.WithWaitVersion(m.InstanceID), flaps.WithWaitTimeout(waitChunk))
		if err == nil || c.options.Now().Sub(start) >= c.options.Poll {
			return context.Cause(ctx) // what the wait says is looked at by ourselves
		}
	}
	return sleep(ctx, c.options.Poll)
}
