package flysim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	flygo "github.com/superfly/fly-go"
)

const keptEvents = 100

// to moves a machine to a state; its older tasks lapse.
func (s *Server) to(m *machine, state string) {
	m.state = state
	m.epoch++
	s.touch(m)
}

// touch notes that a machine changed and wakes those who wait for it.
func (s *Server) touch(m *machine) {
	m.updated = s.now()
	if s.lag.List > 0 {
		s.remember(m)
	}
	s.announce()
}

func (s *Server) remember(m *machine) {
	var text json.RawMessage
	if m.alive() {
		text, _ = json.Marshal(m.view()) // a view always marshals
	}
	m.past = append(m.past, snapshot{at: s.now(), json: text})
	if len(m.past) > keptEvents {
		m.past = slices.Clone(m.past[len(m.past)-keptEvents:])
	}
}

// note adds an event.
func (s *Server) note(m *machine, kind, status, source string) *event {
	at := s.now()
	m.events = slices.Insert(slices.Clip(m.events), 0, event{
		ID: s.ulid(at), Type: kind, Status: status, Source: source, Timestamp: at.UnixMilli(),
	})
	if len(m.events) > keptEvents {
		m.events = m.events[:keptEvents]
	}
	return &m.events[0]
}

// renew gives the machine a new version.
func (s *Server) renew(m *machine) {
	m.instance = s.ulid(s.now())
	m.versions = slices.Insert(slices.Clip(m.versions), 0, version{Version: m.instance, UserConfig: m.config})
}

// launch begins a machine's life.
func (s *Server) launch(m *machine, skip bool) {
	s.note(m, "launch", stateCreated, "user")
	s.to(m, stateCreated)
	switch {
	case s.fate(m.spec.Image).Stuck:
	case skip:
		s.later(m, s.opts.Settle, func() { s.to(m, stateStopped) })
	default:
		s.later(m, s.opts.Boot/2, func() { s.boot(m, s.opts.Boot/2) })
	}
}

// boot starts a machine that is not running.
func (s *Server) boot(m *machine, in time.Duration) {
	if m.wedged {
		return
	}
	s.to(m, stateStarting)
	s.later(m, in, func() { s.started(m) })
}

// started is the moment at which the main process runs.
func (s *Server) started(m *machine) {
	if m.wedged {
		return
	}
	m.launches++
	s.note(m, "start", stateStarted, "flyd")
	m.checks = m.freshChecks(s.now())
	s.to(m, stateStarted)
	s.watchIdle(m)
	if s.spawn(m) {
		return
	}
	fate := s.fate(m.spec.Image)
	if len(m.checks) > 0 {
		s.later(m, s.opts.Check, func() { s.judge(m, fate.Checks) })
	}
	for _, line := range fate.Output {
		s.say(m, line)
	}
	switch {
	case fate.Exit != nil:
		code := *fate.Exit
		s.later(m, time.Duration(fate.After)*time.Millisecond, func() { s.exited(m, exitEvent{ExitCode: code}) })
	case m.hasEnd():
		s.later(m, s.opts.Command, func() { s.exited(m, exitEvent{}) })
	}
}

// hasEnd tells whether the machine's program does something and ends: a command in an ephemeral
// machine, or whatever runs by a schedule.
func (m *machine) hasEnd() bool {
	return m.spec.Schedule != "" || m.ephemeral() && len(m.commandLine()) > 0
}

// ephemeral machines are gone when their program has ended.
func (m *machine) ephemeral() bool {
	return m.spec.AutoDestroy && m.spec.Restart != nil && m.spec.Restart.Policy == flygo.MachineRestartPolicyNo
}

// commandLine is what the config says instead of the image's own command.
func (m *machine) commandLine() []string {
	if len(m.spec.Init.Exec) > 0 {
		return m.spec.Init.Exec
	}
	return slices.Concat(m.spec.Init.Entrypoint, m.spec.Init.Cmd)
}

// halt ends the main process gracefully; then follows m.after, or the machine is stopped.
func (s *Server) halt(m *machine, state string, how stopOrder) {
	s.to(m, state)
	if m.proc != nil {
		if !m.wedged {
			m.proc.signal(contSignal) // a suspended process cannot hear
		}
		m.proc.stop(how)
		return
	}
	s.later(m, s.opts.Settle, func() { s.exited(m, exitEvent{RequestedStop: true}) })
}

// exited is the end of the main process, however it came.
func (s *Server) exited(m *machine, exit exitEvent) {
	exit.RequestedStop = exit.RequestedStop || m.state != stateStarted
	exit.GuestExitCode, exit.ExitedAt = exit.ExitCode, s.now().UTC()
	if exit.Signal == 0 {
		exit.Signal, exit.GuestSignal = -1, -1
	}
	exit.Restarting = !exit.RequestedStop && s.restarts(m, exit.ExitCode)
	if exit.ExitCode == 0 {
		s.remark(m, "Main child exited normally with code: 0")
	} else {
		s.remark(m, fmt.Sprintf("Main child exited with code: %d", exit.ExitCode))
	}
	e := s.note(m, "exit", stateStopped, "flyd")
	e.Request = &eventRequest{ExitEvent: &exit, MonitorEvent: &monitorEvent{ExitEvent: &exit}, RestartCount: m.restarts}
	m.checks = m.freshChecks(s.now())
	switch next := m.after; {
	case m.state == stateDestroying:
		s.destroyed(m)
	case next != nil:
		m.after = nil
		next()
	case exit.Restarting:
		m.restarts++
		backoff := min(s.opts.Boot<<min(m.restarts, 12), 5*time.Second)
		s.boot(m, backoff)
	case m.spec.AutoDestroy && m.spec.Schedule == "": // the one who asked for the stop meant the end
		s.destroy(m)
	default:
		s.to(m, stateStopped)
	}
}

// restarts applies the restart policy to an exit that nobody asked for.
func (s *Server) restarts(m *machine, code int) bool {
	policy, most := "on-failure", 10
	if r := m.spec.Restart; r != nil && r.Policy != "" {
		policy = string(r.Policy)
		if r.MaxRetries > 0 {
			most = r.MaxRetries
		}
	}
	switch policy {
	case "always":
		return true
	case "no":
		return false
	}
	return code != 0 && m.restarts < most
}

// replace swaps the running version for the new one. A machine that is not running is started only
// if launching was not skipped.
func (s *Server) replace(m *machine, skip bool) {
	running := m.state == stateStarted || m.state == stateStarting || m.state == stateReplacing || m.state == stateFailed
	if !running && s.opts.LeaveStopped {
		skip = true
	}
	m.restarts = 0
	s.note(m, "update", stateReplacing, "user")
	swap := func() {
		s.note(m, "launch", stateCreated, "user")
		switch {
		case skip:
			s.to(m, stateStopped)
		case s.fate(m.spec.Image).Stuck:
			s.to(m, stateCreated)
		default:
			s.to(m, stateReplacing)
			s.later(m, s.opts.Boot, func() { s.started(m) })
		}
	}
	if m.proc == nil {
		s.to(m, stateReplacing)
		s.later(m, s.opts.Settle, swap)
		return
	}
	m.after = swap
	s.halt(m, stateReplacing, m.stopOrder())
}

// destroy begins the end of a machine.
func (s *Server) destroy(m *machine) {
	s.to(m, stateDestroying)
	m.after = nil
	if m.proc != nil {
		m.proc.kill()
		return // the end of the process is the end of the machine
	}
	s.later(m, s.opts.Settle, func() { s.destroyed(m) })
}

func (s *Server) destroyed(m *machine) {
	if m.wedged {
		return
	}
	s.note(m, "destroy", stateDestroyed, "flyd")
	m.gone = s.now()
	m.lease, m.checks = nil, nil
	s.detach(m)
	s.dropHome(m)
	m.app.egress = slices.DeleteFunc(slices.Clone(m.app.egress), func(e *egressIP) bool { return e.Machine == m.id })
	s.to(m, stateDestroyed)
}

// remove makes a machine vanish at once, without a trace in its process.
func (s *Server) remove(m *machine) {
	m.wedged = false
	s.destroy(m)
	if m.proc == nil {
		s.destroyed(m)
	}
}

// keepSchedule starts a scheduled machine again and again, beginning one interval after it got its
// schedule. A machine that still runs is left alone.
func (s *Server) keepSchedule(m *machine) {
	every, known := map[string]time.Duration{
		"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 30 * 24 * time.Hour,
	}[m.spec.Schedule]
	if m.schedule == m.spec.Schedule {
		return
	}
	m.schedule = m.spec.Schedule
	m.timetable++ // what was arranged before lapses
	if !known {
		return
	}
	mine := m.timetable
	var tick func()
	tick = func() {
		if !m.alive() || m.timetable != mine {
			return
		}
		if m.state == stateStopped || m.state == stateFailed {
			s.boot(m, s.opts.Boot)
		}
		s.later(nil, every, tick)
	}
	s.later(nil, every, tick)
}

// takeOver starts the standbys of a machine whose host is lost.
func (s *Server) takeOver(lost *machine) {
	for _, m := range lost.app.machines {
		if m.spec != nil && slices.Contains(m.spec.Standbys, lost.id) && m.state == stateStopped {
			s.boot(m, s.opts.Boot)
		}
	}
}
