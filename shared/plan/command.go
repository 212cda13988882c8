package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// jobDigits is how much of a job's id names its commands.
const jobDigits = 12

// commander makes the steps that run commands.
type commander struct {
	want Intent
	// over are the names of commands of this job that have ended with 0.
	over map[string]bool
	// guests are those of the default group's machines.
	guests []*flygo.MachineGuest
}

func newCommander(o Observed, want Intent, have []Machine) commander {
	c := commander{want: want, over: map[string]bool{}}
	for _, name := range want.Ran {
		c.over[name] = true
	}
	for _, m := range o.Commands {
		if m.Machine == nil || want.Job == "" || m.GetMetadataByKey(MetaJob) != want.Job {
			continue
		}
		if code, ok := exitCode(m); ok && code == 0 {
			c.over[m.Name] = true
		}
	}
	var names []string
	for _, g := range want.Target.Groups {
		names = append(names, g.Name)
	}
	for _, m := range have {
		if groupOf(m, names) == machine.DefaultGroup(names) {
			c.guests = append(c.guests, m.GetConfig().Guest)
		}
	}
	return c
}

// exitCode gives the code of the newest exit that is known.
func exitCode(m Machine) (code int, ok bool) {
	event := m.GetLatestEventOfType("exit")
	if event == nil || event.Request == nil {
		return 0, false
	}
	exit := event.Request.ExitEvent
	if monitor := event.Request.MonitorEvent; monitor != nil && monitor.ExitEvent != nil {
		exit = monitor.ExitEvent
	}
	if exit == nil {
		return 0, false
	}
	return exit.ExitCode, true
}

// once gives the step of the app's release or seed command, unless it has run for this job (a release command: for
// this job and image, since a job that is tried again may have found another one).
func (c commander) once(kind, word string, config *flygo.MachineConfig) ([]Step, error) {
	if config == nil {
		return nil, nil
	}
	t := c.want.Target
	which := ""
	if kind == ReleaseCommand {
		which = c.want.Image
	}
	name := c.name(word, which)
	if c.over[name] {
		return nil, nil
	}
	config, err := clone(config)
	if err != nil {
		return nil, err
	}
	config.Image, config.Files = c.want.Image, t.Files
	if config.Guest == nil {
		config.Guest = t.GuestOfCommand(c.guests)
	}
	c.mark(config)
	return []Step{RunCommand{App: t.App, Name: name, Region: t.PrimaryRegion, Kind: kind, Config: config, Timeout: t.ReleaseCommandTimeout}}, nil
}

// check gives the machine checks that are to run beside a machine.
func (c commander) check(group, beside, region string) ([]Step, error) {
	var all []Step
	for i, check := range c.want.Target.Checks {
		name := c.name("check", beside+"/"+strconv.Itoa(i))
		if check.Group != group || c.over[name] {
			continue
		}
		config, err := clone(check.Config)
		if err != nil {
			return nil, err
		}
		c.mark(config)
		all = append(all, RunCommand{App: c.want.Target.App, Name: name, Region: region, Kind: MachineCheck, Config: config, Timeout: c.want.Target.WaitTimeout, Beside: beside})
	}
	return all, nil
}

func (c commander) mark(config *flygo.MachineConfig) {
	if c.want.Job == "" {
		return
	}
	config.Metadata = union(config.Metadata, map[string]string{MetaJob: c.want.Job})
}

// name gives app-word-job, with a hash of what else tells the command apart: a DNS label that is the
// same for each attempt at the job. A dry run has no job, and runs nothing.
func (c commander) name(word, which string) string {
	job := strings.Trim(strings.Map(dnsLetter, strings.ToLower(c.want.Job)), "-")
	tail := "-" + word
	if job != "" {
		tail += "-" + strings.Trim(job[max(len(job)-jobDigits, 0):], "-")
	}
	if which != "" {
		sum := sha256.Sum256([]byte(which))
		tail += "-" + hex.EncodeToString(sum[:])[:hashDigits]
	}
	app := c.want.Target.App
	if most := longestName - len(tail); len(app) > most {
		sum := sha256.Sum256([]byte(app))
		app = strings.TrimRight(app[:most-hashDigits-1], "-") + "-" + hex.EncodeToString(sum[:])[:hashDigits]
	}
	return app + tail
}

// unchecked are the machines that an earlier attempt at the job made or changed, and that stay as they
// are: it may have been cut off before their checks ran.
func (c commander) unchecked(dec decision) []Machine {
	if c.want.Target.Strategy == "immediate" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(dec.kept), func(m Machine) bool {
		return !touchedBy(m, c.want.Job) || m.State != flygo.MachineStateStarted
	})
}
