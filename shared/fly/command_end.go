package fly

import (
	"fmt"

	flygo "github.com/superfly/fly-go"
)

// ending is what is known of a command's end.
type ending struct {
	over bool
	// known is true where Fly tells the exit code.
	known   bool
	code    int
	stopped bool
	oom     bool
	state   string
}

// endOf reads the end of a machine that ran once: the newest exit that is newer than the newest
// start. A machine that is gone without one ended, nobody knows how.
func endOf(m *flygo.Machine) ending {
	end := ending{state: m.State}
	for _, e := range m.Events { // newest first
		if e.Type == "start" {
			break
		}
		if x := exitOf(e); x != nil {
			end.over, end.known, end.code, end.stopped, end.oom = true, true, x.ExitCode, x.RequestedStop, x.OOMKilled
			return end
		}
	}
	switch m.State {
	case flygo.MachineStateDestroyed, flygo.MachineStateDestroying, "failed", "launch_failed":
		end.over = true
	}
	return end
}

// judge makes an error of an end that is none of a success.
func (r *run) judge(end ending) error {
	var why string
	switch {
	case !end.known:
		return &problem{fmt.Sprintf("how %s ended is not known: Fly has no exit code of machine %s (%s), and it is not run twice by one job: "+
			"see `fly logs -i %s`, and deploy again to run it again%s", r, r.id, end.state, r.id, r.logs.quote()), []error{ErrUnproven}}
	case end.oom:
		why = "it ran out of memory"
	case end.stopped:
		why = fmt.Sprintf("it was stopped before it ended (exit code %d)", end.code)
	case end.code != 0:
		why = fmt.Sprintf("exit code %d", end.code)
	default:
		return nil
	}
	return &problem{fmt.Sprintf("%s failed: %s%s", r, why, r.logs.quote()), []error{ErrUnproven}}
}
