package flysim

import (
	"encoding/json"
	"net/http"
	"syscall"
	"time"
)

// machineOrder is the body of POST /_sim/machines/{id}/{do}.
type machineOrder struct {
	Code   int    `json:"code"`
	Signal string `json:"signal"`
	Status string `json:"status"`
	OOM    bool   `json:"oom"`
}

func (s *Server) postMachine(r *http.Request, body []byte) answer {
	var in machineOrder
	if len(body) > 0 {
		if err := json.Unmarshal(body, &in); err != nil {
			return bad(err)
		}
	}
	return s.order(r.PathValue("id"), r.PathValue("do"), in)
}

// order does to a machine, by its id or name, what the world does to machines.
func (s *Server) order(id, do string, in machineOrder) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	m := s.anyMachine(id)
	if m == nil {
		return failf(http.StatusNotFound, "no machine %s", id)
	}
	act, known := map[string]func(*machine, machineOrder) answer{
		"kill": s.orderKill, "exit": s.orderExit, "stop": s.orderAutostop, "autostop": s.orderAutostop, "autostart": s.orderAutostart,
		"wedge": s.orderWedge, "unwedge": s.orderUnwedge, "vanish": s.orderVanish, "host": s.orderHost, "checks": s.orderChecks,
	}[do]
	if !known {
		return failf(http.StatusNotFound, "unknown order %q: kill, exit, stop, autostop, autostart, wedge, unwedge, vanish, host or checks", do)
	}
	return act(m, in)
}

func (s *Server) anyMachine(id string) *machine {
	var named *machine
	for _, a := range s.apps {
		for _, m := range a.machines {
			if m.id == id {
				return m
			}
			if m.name == id && m.alive() {
				named = m
			}
		}
	}
	return named
}

// orderKill ends the main process with SIGKILL, as a crash or a lack of memory does.
func (s *Server) orderKill(m *machine, in machineOrder) answer {
	if m.state != stateStarted {
		return failf(http.StatusConflict, "machine %s is %s: only a started one can be killed", m.id, m.state)
	}
	if m.proc != nil {
		m.proc.oom = in.OOM
		m.proc.kill()
		return ok(done{OK: true})
	}
	sig := int(syscall.SIGKILL)
	s.exited(m, exitEvent{ExitCode: 128 + sig, Signal: sig, GuestSignal: sig, OOMKilled: in.OOM})
	return ok(done{OK: true})
}

// orderExit lets the main process exit with a code.
func (s *Server) orderExit(m *machine, in machineOrder) answer {
	if m.state != stateStarted {
		return failf(http.StatusConflict, "machine %s is %s: only a started one can exit", m.id, m.state)
	}
	if m.proc != nil {
		m.proc.code = &in.Code
		m.proc.kill()
		return ok(done{OK: true})
	}
	s.exited(m, exitEvent{ExitCode: in.Code})
	return ok(done{OK: true})
}

// orderAutostop is the proxy stopping (or suspending) a machine that has no load.
func (s *Server) orderAutostop(m *machine, _ machineOrder) answer {
	if m.state != stateStarted {
		return failf(http.StatusConflict, "machine %s is %s", m.id, m.state)
	}
	for _, svc := range m.spec.Services {
		if svc.Autostop != nil && svc.Autostop.String() == "suspend" {
			return s.suspend(&call{m: m})
		}
	}
	s.halt(m, stateStopping, m.stopOrder())
	return ok(done{OK: true})
}

// orderAutostart is the proxy waking a machine for a request. A leased machine cannot be woken.
func (s *Server) orderAutostart(m *machine, _ machineOrder) answer {
	if l := s.held(m); l != nil {
		return failf(http.StatusConflict, "[PM01] machines API returned an error: \"machine ID %s lease currently held by %s, expires at %s\"",
			m.id, l.owner, l.expires.UTC().Format(time.RFC3339))
	}
	return s.start(&call{m: m})
}

// orderWedge makes a machine hang: its process stands still and its state does not move.
func (s *Server) orderWedge(m *machine, _ machineOrder) answer {
	m.wedged = true
	if m.proc != nil {
		m.proc.signal(stopSignal)
	}
	s.touch(m)
	return ok(done{OK: true})
}

func (s *Server) orderUnwedge(m *machine, _ machineOrder) answer {
	m.wedged = false
	if m.proc != nil {
		m.proc.signal(contSignal)
	}
	switch m.state {
	case stateCreated, stateStarting, stateReplacing:
		s.boot(m, s.opts.Boot)
	}
	return ok(done{OK: true})
}

// orderVanish is a host that loses a machine: no stop, no events that anybody waits for.
func (s *Server) orderVanish(m *machine, _ machineOrder) answer {
	if m.alive() {
		s.remove(m)
	}
	return ok(done{OK: true})
}

// orderHost sets the state of the machine's host: {"status":"unreachable"}. Standbys take over.
func (s *Server) orderHost(m *machine, in machineOrder) answer {
	switch in.Status {
	case hostOK, "unknown", "unreachable":
	default:
		return failf(http.StatusBadRequest, "host status %q must be ok, unknown or unreachable", in.Status)
	}
	m.host = in.Status
	s.touch(m)
	if m.host != hostOK {
		s.takeOver(m)
	}
	return ok(done{OK: true})
}

// orderChecks holds the machine's checks in a state: {"status":"critical"}; "" lets them go.
func (s *Server) orderChecks(m *machine, in machineOrder) answer {
	switch in.Status {
	case "", "passing", "warning", "critical":
	default:
		return failf(http.StatusBadRequest, "check status %q must be passing, warning, critical or empty", in.Status)
	}
	m.forced = in.Status
	s.judge(m, s.fate(m.spec.Image).Checks)
	return ok(done{OK: true})
}
