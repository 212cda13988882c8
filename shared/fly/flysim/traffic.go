package flysim

import (
	"cmp"
	"slices"
	"time"

	flygo "github.com/superfly/fly-go"
)

// traffic is what the proxy did for an app.
type traffic struct{ requests, starts, stops int }

// load is what a machine has to do for the proxy.
type load struct {
	now  int
	last time.Time
}

// enter gives a request to a machine, or starts one that can take it soon. The caller holds the lock.
func (s *Server) enter(name string) (*passage, string) {
	a := s.apps[name]
	if a == nil {
		return nil, "it is gone"
	}
	var ready, asleep []*machine
	coming, busy := false, true
	for _, m := range a.machines {
		svc := m.door()
		if svc == nil || m.cordoned || m.host != hostOK || m.wedged {
			continue
		}
		switch m.state {
		case stateStarted:
			soft, hard := limitsOf(svc)
			if hard == 0 || m.load.now < hard {
				ready = append(ready, m)
			}
			busy = busy && soft > 0 && m.load.now >= soft
		case stateStarting, stateReplacing:
			coming = true
		case stateStopped, stateSuspended, stateFailed:
			if value(svc.Autostart, true) && m.schedule == "" {
				asleep = append(asleep, m)
			}
		}
	}
	why := "no started machine serves it"
	if busy && !coming && len(asleep) > 0 {
		why = s.rouse(a, asleep)
	}
	if len(ready) == 0 {
		return nil, why
	}
	// the first one that says it is well, and of those the one with the least to do
	return s.take(a, slices.MinFunc(ready, func(x, y *machine) int {
		return cmp.Or(cmp.Compare(x.ailing(), y.ailing()), cmp.Compare(x.load.now, y.load.now))
	})), ""
}

// take lets a request into a machine.
func (s *Server) take(a *app, m *machine) *passage {
	m.load.now++
	return &passage{m: m, p: m.proc, port: m.portFor(m.door().InternalPort), id: s.ulid(s.now()) + "-" + cmp.Or(m.region, a.name)}
}

func (m *machine) portFor(inside int) int {
	if m.proc == nil {
		return 0
	}
	return m.ports[inside]
}

// leave is the end of a request.
func (s *Server) leave(p *passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.m.load.now--
	p.m.load.last = s.now()
	s.announce()
}

// rouse starts one of the machines that are asleep; it says what keeps it from doing so.
func (s *Server) rouse(a *app, asleep []*machine) string {
	why := ""
	for _, m := range asleep {
		refused := s.orderAutostart(m, machineOrder{})
		if refused.status < 300 {
			a.traffic.starts++
			return "machine " + m.id + " does not start"
		}
		if said, is := refused.body.(problem); is {
			why = said.Error
		}
	}
	return why
}

// door is the service that the world comes in by: the one at port 443, else at 80, else the first that speaks HTTP.
func (m *machine) door() *flygo.MachineService {
	if m.spec == nil {
		return nil
	}
	for _, wanted := range []func(flygo.MachinePort) bool{
		func(p flygo.MachinePort) bool { return p.ContainsPort(443) },
		func(p flygo.MachinePort) bool { return p.ContainsPort(80) },
		func(p flygo.MachinePort) bool { return slices.Contains(p.Handlers, "http") },
	} {
		for i, svc := range m.spec.Services {
			if slices.ContainsFunc(svc.Ports, wanted) {
				return &m.spec.Services[i]
			}
		}
	}
	return nil
}

func limitsOf(svc *flygo.MachineService) (soft, hard int) {
	if c := svc.Concurrency; c != nil {
		return c.SoftLimit, c.HardLimit
	}
	return 0, 0
}

// ailing counts the checks that do not pass.
func (m *machine) ailing() int {
	n := 0
	for _, c := range m.checks {
		if c.Status != "passing" {
			n++
		}
	}
	return n
}

// watchIdle begins to look whether a machine that has just started still has something to do. Nothing is looked at
// where Options.Idle is not set, or no service of the machine stops by itself.
func (s *Server) watchIdle(m *machine) {
	m.load.last = s.now()
	if s.opts.Idle > 0 && m.autostop() != flygo.MachineAutostopOff {
		s.later(m, s.opts.Idle, func() { s.idle(m) })
	}
}

// idle stops a machine that had nothing to do for long enough, as the proxy does, or looks again when it may have.
func (s *Server) idle(m *machine) {
	rest := m.load.last.Add(s.opts.Idle).Sub(s.now())
	if m.load.now == 0 && rest <= 0 && s.held(m) == nil && !s.isNeeded(m) {
		m.app.traffic.stops++
		s.orderAutostop(m, machineOrder{})
		return
	}
	if rest <= 0 {
		rest = s.opts.Idle
	}
	s.later(m, rest, func() { s.idle(m) })
}

// autostop is the strongest that one of the machine's services says.
func (m *machine) autostop() flygo.MachineAutostop {
	most := flygo.MachineAutostopOff
	for _, svc := range m.spec.Services {
		most = max(most, value(svc.Autostop, flygo.MachineAutostopOff))
	}
	return most
}

// isNeeded tells whether fewer machines of a service than it wants would run without this one. Where the app says which
// its primary region is, only machines there are kept.
func (s *Server) isNeeded(m *machine) bool {
	here := func(one *machine) bool {
		primary := one.spec.Env["PRIMARY_REGION"]
		return primary == "" || primary == one.region
	}
	for _, svc := range m.spec.Services {
		least := value(svc.MinMachinesRunning, 0)
		if least == 0 || !here(m) {
			continue
		}
		others := 0
		for _, one := range m.app.machines {
			serves := one != m && one.state == stateStarted && slices.ContainsFunc(one.spec.Services, func(x flygo.MachineService) bool { return x.InternalPort == svc.InternalPort })
			if serves && here(one) {
				others++
			}
		}
		if others < least {
			return true
		}
	}
	return false
}
