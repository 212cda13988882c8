package flysim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/superfly/macaroon/resset"
)

func (s *Server) actionRoutes() []route {
	const one = "POST /v1/apps/{app}/machines/{id}"
	act := func(name string, run func(*call) answer) route {
		return route{pattern: one + "/" + name, action: resset.ActionControl, scope: toMachine, leased: true, run: run}
	}
	free := act("exec", s.execute)
	free.free = true
	return []route{
		act("start", s.start), act("stop", s.stop), act("suspend", s.suspend), act("restart", s.restart),
		act("signal", s.signal), act("cordon", s.cordon(true)), act("uncordon", s.cordon(false)), free,
		{pattern: "GET /v1/apps/{app}/machines/{id}/ps", action: resset.ActionRead, scope: toMachine, run: s.ps},
		{pattern: "GET /v1/apps/{app}/machines/{id}/memory", action: resset.ActionRead, scope: toMachine, run: s.memory},
	}
}

func (s *Server) start(c *call) answer {
	m := c.m
	previous := m.state
	switch m.state {
	case stateStarted, stateStarting:
	case stateStopped, stateFailed:
		m.restarts = 0
		s.boot(m, s.opts.Boot)
	case stateSuspended:
		s.resumed(m)
	default:
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to start machine from current state: '%s'", m.state)
	}
	return ok(struct {
		PreviousState string `json:"previous_state"`
		Migrated      bool   `json:"migrated"`
		NewHost       string `json:"new_host"`
	}{PreviousState: previous})
}

// resumed wakes a suspended machine: no boot, a start event, the same process.
func (s *Server) resumed(m *machine) {
	if m.wedged {
		return
	}
	s.to(m, stateStarting)
	s.later(m, s.opts.Settle, func() {
		if m.proc == nil {
			s.started(m)
			return
		}
		s.note(m, "start", stateStarted, "flyd")
		m.proc.signal(contSignal)
		s.to(m, stateStarted)
		s.watchIdle(m)
	})
}

// stopOrder is how a main process is asked to end, and for how long.
type stopOrder struct {
	signal  syscall.Signal
	timeout time.Duration
}

func (m *machine) stopOrder() stopOrder {
	how := stopOrder{signal: syscall.SIGINT, timeout: 5 * time.Second}
	if sc := m.spec.StopConfig; sc != nil {
		if sc.Signal != nil {
			if sig, known := signalNamed(*sc.Signal); known {
				how.signal = sig
			}
		}
		if sc.Timeout != nil {
			how.timeout = min(sc.Timeout.Duration, 300*time.Second)
		}
	}
	return how
}

func (s *Server) stop(c *call) answer {
	var in struct {
		Signal  string          `json:"signal"`
		Timeout json.RawMessage `json:"timeout"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	how := c.m.stopOrder()
	if a, fine := how.override(in.Signal, strings.Trim(string(in.Timeout), `"`)); !fine {
		return a
	}
	switch c.m.state {
	case stateStarted, stateStarting, stateSuspended:
		s.halt(c.m, stateStopping, how)
	case stateStopping, stateStopped, stateCreated, stateFailed:
	default:
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to stop machine from current state: '%s'", c.m.state)
	}
	return ok(done{OK: true})
}

// override takes what a request says; a timeout of zero means the machine's own, as flyctl sends it.
func (o *stopOrder) override(signal, timeout string) (answer, bool) {
	if signal != "" {
		sig, known := signalNamed(signal)
		if !known {
			return failf(http.StatusBadRequest, "invalid_argument: unknown signal %q", signal), false
		}
		o.signal = sig
	}
	if timeout == "" || timeout == "null" {
		return answer{}, true
	}
	d, err := time.ParseDuration(timeout)
	if err != nil {
		if d, err = seconds(timeout); err != nil {
			return failf(http.StatusBadRequest, "invalid_argument: timeout %q is not a duration", timeout), false
		}
	}
	if d > 0 {
		o.timeout = d
	}
	return answer{}, true
}

func (s *Server) suspend(c *call) answer {
	m := c.m
	switch m.state {
	case stateStarted:
		s.to(m, stateSuspending)
		s.later(m, s.opts.Settle, func() {
			if m.wedged {
				return
			}
			s.note(m, "suspend", stateSuspended, "flyd")
			if m.proc != nil {
				m.proc.signal(stopSignal)
			}
			s.to(m, stateSuspended)
		})
	case stateSuspending, stateSuspended:
	default:
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to suspend machine from current state: '%s'", m.state)
	}
	return ok(done{OK: true})
}

func (s *Server) restart(c *call) answer {
	m, q := c.m, c.r.URL.Query()
	how := m.stopOrder()
	if a, fine := how.override(q.Get("signal"), q.Get("timeout")); !fine {
		return a
	}
	if q.Get("force_stop") == "true" {
		how.signal = syscall.SIGKILL
	}
	switch m.state {
	case stateStarted, stateStarting:
		m.after = func() { s.boot(m, s.opts.Boot) }
		s.halt(m, stateStopping, how)
	case stateStopped, stateFailed, stateSuspended:
		s.boot(m, s.opts.Boot)
	default:
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to restart machine from current state: '%s'", m.state)
	}
	return ok(done{OK: true})
}

func (s *Server) signal(c *call) answer {
	var in struct {
		Signal any `json:"signal"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	var sig syscall.Signal
	known := false
	switch v := in.Signal.(type) {
	case string:
		sig, known = signalNamed(v)
	case float64: // fly-go's Kill sends the number
		sig, known = syscall.Signal(int(v)), v > 0 && v < 32
	}
	if !known {
		return failf(http.StatusBadRequest, "invalid_argument: unknown signal %v", in.Signal)
	}
	if c.m.state != stateStarted {
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to signal machine from current state: '%s'", c.m.state)
	}
	s.deliver(c.m, sig)
	return ok(done{OK: true})
}

// deliver sends a signal to the main process; a simulated one dies of the deadly ones.
func (s *Server) deliver(m *machine, sig syscall.Signal) {
	if m.proc != nil {
		m.proc.signal(sig)
		return
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGQUIT {
		s.exited(m, exitEvent{ExitCode: 128 + int(sig), Signal: int(sig), GuestSignal: int(sig)})
	}
}

func (s *Server) cordon(on bool) func(*call) answer {
	return func(c *call) answer {
		c.m.cordoned = on
		s.touch(c.m)
		return ok(done{OK: true})
	}
}

func (s *Server) memory(c *call) answer {
	return ok(struct {
		AvailableMB int `json:"available_mb"`
		LimitMB     int `json:"limit_mb"`
	}{c.m.guestMemory() / 2, c.m.guestMemory()})
}

func signalNamed(name string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 32 {
		return syscall.Signal(n), true
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	sig, known := map[string]syscall.Signal{
		"SIGABRT": syscall.SIGABRT, "SIGALRM": syscall.SIGALRM, "SIGFPE": syscall.SIGFPE, "SIGHUP": syscall.SIGHUP,
		"SIGILL": syscall.SIGILL, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL, "SIGPIPE": syscall.SIGPIPE,
		"SIGQUIT": syscall.SIGQUIT, "SIGSEGV": syscall.SIGSEGV, "SIGTERM": syscall.SIGTERM, "SIGTRAP": syscall.SIGTRAP,
		"SIGUSR1": userSignal1, "SIGUSR2": userSignal2,
	}[name]
	return sig, known
}
