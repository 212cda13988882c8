package fly

import (
	"context"
	"fmt"
)

// cordon takes a machine out of the proxy's sight, or brings it in.
type cordon struct {
	ch       *Change
	id, name string
	hidden   bool
}

func (e *cordon) String() string {
	verb, of := "uncordon", e.id
	if e.hidden {
		verb = "cordon"
	}
	if of == "" {
		of = e.name
	}
	return fmt.Sprintf("%s machine %s of %s", verb, of, e.ch.app)
}

func (e *cordon) repeatable() bool { return true }

// seen finds the machine by its name where its id is not known. That Fly does not call a machine cordoned is
// no proof that it is not: a green machine that is never uncordoned serves nobody. So an uncordon counts
// only once this change made it.
func (e *cordon) seen(context.Context, bool) (bool, error) {
	if e.id == "" {
		m, ok := e.ch.named(e.name)
		if !ok {
			return false, &problem{fmt.Sprintf("%s: it does not exist; try again", e), nil}
		}
		e.id = m.ID
	}
	m, ok := e.ch.known(e.id)
	if !ok {
		return false, &problem{fmt.Sprintf("%s: it is gone; try again", e), nil}
	}
	if e.hidden {
		return m.Cordoned, nil
	}
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	return e.ch.uncordoned[e.id], nil
}

func (e *cordon) do(ctx context.Context) error {
	nonce, _ := e.ch.leases.nonce(e.id)
	ask := e.ch.client.flaps.Uncordon
	if e.hidden {
		ask = e.ch.client.flaps.Cordon
	}
	if err := ask(ctx, e.ch.app, e.id, nonce); err != nil {
		return err
	}
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	e.ch.uncordoned[e.id] = !e.hidden
	if m, ok := e.ch.machines[e.id]; ok && m.Machine != nil {
		now := *m.Machine
		now.Cordoned = e.hidden
		m.Machine = &now
		e.ch.machines[e.id] = m
	}
	return nil
}
