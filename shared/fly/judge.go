package fly

import (
	"fmt"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// verdict is what one look at a machine says of its proof.
type verdict struct {
	// proven: it runs as wanted.
	proven bool
	// hopeless: waiting cannot help.
	hopeless bool
	// why it is not proven.
	why string
}

func pending(format string, args ...any) verdict { return verdict{why: fmt.Sprintf(format, args...)} }

func hopeless(format string, args ...any) verdict {
	return verdict{hopeless: true, why: fmt.Sprintf(format, args...)}
}

// judge is invariant 8 for one machine, at one look: it meets the proof, and where it runs, has been
// up for smoke.
func judge(m plan.Machine, want plan.ProofMachine, up, smoke time.Duration) verdict {
	switch {
	case !m.IsActive(), m.State == "failed", m.State == "launch_failed":
		return hopeless("machine %s is %s", label(m), m.State)
	case !hostOK(m):
		return pending("machine %s: its host is %s", label(m), m.HostStatus)
	}
	if how := crash(m); how != "" {
		return hopeless("machine %s: its process %s: see its logs", label(m), how)
	}
	if err := want.Met(m); err != nil {
		return pending("%s", err)
	}
	if m.State == flygo.MachineStateStarted && up < smoke {
		return pending("machine %s has been up for %s, and must be for %s", label(m), up.Round(time.Second), smoke)
	}
	return verdict{proven: true}
}

func label(m plan.Machine) string {
	if m.Name == "" {
		return m.ID
	}
	return m.Name + " (" + m.ID + ")"
}

// crash looks at what happened to this version of the machine: a process that ended by itself and
// badly, and is not coming back well. One that is never to be restarted may end as it likes.
func crash(m plan.Machine) string {
	if c := m.Config; c != nil && c.Restart != nil && c.Restart.Policy == flygo.MachineRestartPolicyNo {
		return ""
	}
	crashes := 0
	for i, e := range m.Events {
		if e.Type == "launch" {
			break
		}
		x := exitOf(e)
		if x == nil || x.RequestedStop || x.ExitCode == 0 && !x.OOMKilled {
			continue
		}
		crashes++
		how := fmt.Sprintf("(exit code %d)", x.ExitCode)
		if x.OOMKilled {
			how = "(out of memory)"
		}
		if crashes > 2 || e.Request.RestartCount > 1 && x.Restarting {
			return "keeps crashing " + how
		}
		if i == 0 && !x.Restarting && m.State != flygo.MachineStateStarted {
			return "crashed " + how
		}
	}
	return ""
}

func exitOf(e *flygo.MachineEvent) *flygo.MachineExitEvent {
	if e.Type != "exit" || e.Request == nil {
		return nil
	}
	if mon := e.Request.MonitorEvent; mon != nil && mon.ExitEvent != nil {
		return mon.ExitEvent
	}
	return e.Request.ExitEvent
}

// uptime watches one start of a machine. A new version or a new start begins it anew.
type uptime struct {
	version string
	started int64
	since   time.Time
}

// see takes one look and gives how long the machine has been seen up.
func (u *uptime) see(m plan.Machine, now time.Time) time.Duration {
	var started int64
	if e := m.GetLatestEventOfType("start"); e != nil {
		started = e.Timestamp
	}
	if m.State != flygo.MachineStateStarted {
		*u = uptime{}
		return 0
	}
	if u.since.IsZero() || u.version != m.InstanceID || u.started != started {
		*u = uptime{m.InstanceID, started, now}
	}
	return now.Sub(u.since)
}
