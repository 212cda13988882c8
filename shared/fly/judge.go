package fly

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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

// judge is invariant 8 for one machine, at one look. It runs the intended digest and configuration,
// is started (or stopped, where that is allowed), has been up for smoke, and its checks pass.
func judge(m plan.Machine, want plan.ProofMachine, up, smoke time.Duration) verdict {
	if want.Impossible != "" {
		return hopeless("%s", want.Impossible)
	}
	if !m.IsActive() {
		return hopeless("it is %s", m.State)
	}
	if !hostOK(m) {
		return pending("its host is %s", m.HostStatus)
	}
	if want.Config != nil {
		if key := differs(m.Config, want.Config, want.Digest != ""); key != "" {
			return pending("its configuration is not the wanted one, at %s", key)
		}
	}
	if have := m.ImageRef.Digest; want.Digest != "" && have != want.Digest {
		return pending("it runs the image %s and not %s", cmp.Or(have, "without a digest"), want.Digest)
	}
	if v := judgeExits(m); v.hopeless {
		return v
	}
	return judgeState(m, want, up, smoke)
}

func judgeState(m plan.Machine, want plan.ProofMachine, up, smoke time.Duration) verdict {
	switch m.State {
	case flygo.MachineStateStarted:
	case "failed", "launch_failed":
		return hopeless("it is %s", m.State)
	case flygo.MachineStateStopped, flygo.MachineStateSuspended:
		if want.Stopped {
			return verdict{proven: true}
		}
		return pending("it is %s", m.State)
	default:
		return pending("it is %s", m.State)
	}
	if up < smoke {
		return pending("it has been up for %s, and must be for %s", up.Round(time.Second), smoke)
	}
	return judgeChecks(m)
}

// judgeExits looks at what happened to this version of the machine: a process that ended by itself
// and badly is not coming back well.
func judgeExits(m plan.Machine) verdict {
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
		how := fmt.Sprintf("exit code %d", x.ExitCode)
		if x.OOMKilled {
			how += ", out of memory"
		}
		if crashes > 2 || e.Request.RestartCount > 1 && x.Restarting {
			return hopeless("its process keeps crashing (%s): see its logs", how)
		}
		if i == 0 && !x.Restarting && m.State != flygo.MachineStateStarted {
			return hopeless("its process ended (%s): see its logs", how)
		}
	}
	return verdict{}
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

func judgeChecks(m plan.Machine) verdict {
	wanted := 0
	if c := m.Config; c != nil {
		wanted = len(c.Checks)
		for _, s := range c.Services {
			wanted += len(s.Checks)
		}
	}
	if wanted == 0 {
		return verdict{proven: true}
	}
	if len(m.Checks) == 0 {
		return pending("its checks have not reported yet")
	}
	var bad []string
	for _, c := range m.Checks {
		if c.Status != flygo.Passing {
			said := strings.ToValidUTF8(strings.Join(strings.Fields(c.Output), " "), "")
			bad = append(bad, strings.TrimSpace(fmt.Sprintf("%s is %s %.120s", c.Name, c.Status, said)))
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return pending("its checks do not pass: %s", strings.Join(bad, "; "))
	}
	return verdict{proven: true}
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
