package flysim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// waiting is what a wait waits for.
type waiting struct {
	states    []string
	version   string
	fromEvent string
	timeout   time.Duration
}

func parseWait(r *http.Request) (waiting, answer, bool) {
	q := r.URL.Query()
	w := waiting{version: q.Get("version"), fromEvent: q.Get("from_event_id"), timeout: 60 * time.Second}
	if w.version == "" {
		w.version = q.Get("instance_id")
	}
	for _, v := range q["state"] {
		w.states = append(w.states, strings.Split(v, ",")...)
	}
	if len(w.states) == 0 {
		w.states = []string{stateStarted}
	}
	known := []string{stateCreated, stateStarted, stateStopped, stateSuspended, stateDestroyed, stateFailed, "settled"}
	for _, state := range w.states {
		if !slices.Contains(known, state) {
			return w, failf(http.StatusBadRequest, "invalid_argument: unsupported state %q, expected one of %s", state, strings.Join(known, ", ")), false
		}
	}
	if text := q.Get("timeout"); text != "" {
		d, err := seconds(text)
		if err != nil || d < time.Second || d > 60*time.Second {
			return w, failf(http.StatusBadRequest, "invalid_argument: timeout must be between 1s and 60s, not %q", text), false
		}
		w.timeout = d
	}
	return w, answer{}, true
}

func (w waiting) wants(state string) bool {
	if slices.Contains(w.states, state) {
		return true
	}
	return slices.Contains(w.states, "settled") &&
		slices.Contains([]string{stateStarted, stateStopped, stateSuspended, stateFailed, stateDestroyed}, state)
}

// met tells whether the machine is, or since the named event was, in a wanted state.
func (w waiting) met(m *machine) bool {
	if w.version != "" && w.version != m.instance {
		return false
	}
	if w.wants(m.state) {
		return true
	}
	if w.fromEvent == "" {
		return false
	}
	return slices.ContainsFunc(m.events, func(e event) bool { return e.ID > w.fromEvent && w.wants(e.Status) })
}

// waited is the body of a wait that was met.
type waited struct {
	OK      bool   `json:"ok"`
	State   string `json:"state"`
	Version string `json:"version"`
	EventID string `json:"event_id"`
}

func (s *Server) wait(c *call) answer {
	w, refusal, fine := parseWait(c.r)
	if !fine {
		return refusal
	}
	s.mu.Lock()
	deadline := s.clock.now().Add(w.timeout)
	s.later(nil, w.timeout, s.announce)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		s.settle()
		a, over := s.waitOver(c.m, w, deadline)
		changed := s.changed
		s.mu.Unlock()
		if over {
			return a
		}
		select {
		case <-changed:
		case <-c.r.Context().Done():
			return fail(http.StatusRequestTimeout, "canceled: the client is gone")
		case <-s.done:
			return fail(http.StatusServiceUnavailable, "unavailable: the simulator is closed")
		}
	}
}

func (s *Server) waitOver(m *machine, w waiting, deadline time.Time) (answer, bool) {
	switch {
	case w.met(m):
		return ok(waited{OK: true, State: m.state, Version: m.instance, EventID: m.events[0].ID}), true
	case !m.alive():
		return failf(http.StatusNotFound, "not_found: machine %s has been destroyed", m.id), true
	case !s.now().Before(deadline):
		return failf(http.StatusRequestTimeout, "deadline_exceeded: machine failed to reach desired state, %s, currently %s", strings.Join(w.states, ", "), m.state), true
	}
	return answer{}, false
}
