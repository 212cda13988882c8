package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// ProofOf gives what must be true of the app once Diff's plan for the same input is done: one entry
// for each machine of the wanted groups, those that are still to be made by their names. An intent
// that Diff refuses gives a proof that nothing meets.
func ProofOf(o Observed, want Intent) Proof {
	proof := Proof{App: want.Target.App, WaitTimeout: want.Target.WaitTimeout}
	all, err := decideAll(ordered(o), want)
	if err != nil {
		proof.Machines = []ProofMachine{{Impossible: err.Error()}}
		return proof
	}
	digest := digestOf(want.Image)
	for _, d := range slices.Concat(all.groups, all.schedules) {
		for _, m := range d.kept {
			proof.Machines = append(proof.Machines, proofOf(m, d.group.Name, digest, m.Config))
		}
		for _, u := range d.updates {
			proof.Machines = append(proof.Machines, proofOf(u.Machine, d.group.Name, digest, u.Config))
		}
		for _, r := range d.replaces {
			proof.Machines = append(proof.Machines, created(r.Create, digest))
		}
		for _, c := range slices.Concat(d.creates, d.greens, d.standbys) {
			proof.Machines = append(proof.Machines, created(c, digest))
		}
	}
	return proof
}

// Proof gives what must be true once the stage's steps are done, of the machines that they make or
// change, also of those that are gone when the plan is done (a canary). A stage that is Unproven has
// none.
func (s Stage) Proof(want Intent) Proof {
	proof := Proof{App: want.Target.App, WaitTimeout: want.Target.WaitTimeout}
	if s.Unproven {
		return proof
	}
	digest := digestOf(want.Image)
	for _, step := range s.Steps {
		switch s := step.(type) {
		case CreateMachine:
			proof.Machines = append(proof.Machines, created(s, digest))
		case ReplaceMachine:
			proof.Machines = append(proof.Machines, created(s.Create, digest))
		case UpdateMachine:
			proof.Machines = append(proof.Machines, proofOf(s.Machine, s.Config.ProcessGroup(), digest, s.Config))
		default:
		}
	}
	return proof
}

func proofOf(m Machine, group, digest string, config *flygo.MachineConfig) ProofMachine {
	return ProofMachine{
		ID: m.ID, Name: m.Name, Group: group, Digest: digest, Config: config,
		Stopped: !awake(m) || sleeps(config) || len(config.Standbys) > 0, Launched: awake(m), Scheduled: config.Schedule != "",
	}
}

func created(c CreateMachine, digest string) ProofMachine {
	return ProofMachine{
		Name: c.Name, Group: c.Group, Digest: digest, Config: c.Config,
		Stopped: c.SkipLaunch || sleeps(c.Config), Launched: !c.SkipLaunch, Scheduled: c.Config.Schedule != "",
	}
}

// sleeps is true of machines that Fly's proxy may stop when nobody asks, and of those whose process
// may end.
func sleeps(config *flygo.MachineConfig) bool {
	if config.Restart != nil && config.Restart.Policy == flygo.MachineRestartPolicyNo {
		return true
	}
	return slices.ContainsFunc(config.Services, func(s flygo.MachineService) bool {
		return s.Autostop != nil && *s.Autostop != flygo.MachineAutostopOff
	})
}

// Proven reports, as nil, that nothing would change and that every machine of the wanted groups
// runs what is wanted. The error says what is not so.
func Proven(o Observed, want Intent) error {
	p, err := Diff(o, want)
	if err != nil {
		return err
	}
	if !p.settled() {
		return fmt.Errorf("app %s differs: %s", want.Target.App, strings.Join(p.Summary(), "; "))
	}
	return ProofOf(o, want).Met(o)
}

// settled is true of a plan that changes nothing: checks that an earlier attempt at the job owes do not.
func (p Plan) settled() bool {
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			if c, ok := step.(RunCommand); !ok || c.Kind != MachineCheck {
				return false
			}
		}
	}
	return true
}

// Met reports, as nil, that the observed app meets the proof. The error names the first machine that
// does not, and why.
func (p Proof) Met(o Observed) error {
	for _, want := range p.Machines {
		m, ok := want.find(o)
		if !ok && want.Impossible == "" {
			return fmt.Errorf("machine %s is not there", first(want.Name, want.ID))
		}
		if err := want.Met(m); err != nil {
			return err
		}
	}
	return nil
}

// find looks for the machine by id, else by name.
func (p ProofMachine) find(o Observed) (Machine, bool) {
	i := slices.IndexFunc(o.Machines, func(m Machine) bool { return m.Machine != nil && p.ID != "" && m.ID == p.ID && m.IsActive() })
	if i < 0 {
		i = slices.IndexFunc(o.Machines, func(m Machine) bool { return m.Machine != nil && p.Name != "" && m.Name == p.Name && m.IsActive() })
	}
	if i < 0 {
		return Machine{}, false
	}
	return o.Machines[i], true
}

// Met reports, as nil, that the machine runs the wanted image and configuration, is started or
// allowed to be stopped, and passes its checks. It looks at the one observation that it is given;
// whoever waits for it to become true asks again.
func (p ProofMachine) Met(m Machine) error {
	if p.Impossible != "" {
		return fmt.Errorf("nothing can prove this: %s", p.Impossible)
	}
	if m.Machine == nil || m.Config == nil {
		return fmt.Errorf("machine %s cannot be seen", first(p.Name, p.ID))
	}
	if have := imageDigest(m); p.Digest != "" && have != p.Digest {
		return fmt.Errorf("machine %s runs image %s and should run %s", titleOf(m), first(have, m.Config.Image), p.Digest)
	}
	differs, err := p.differs(m)
	if err != nil {
		return fmt.Errorf("compare machine %s: %w", titleOf(m), err)
	}
	if len(differs) > 0 {
		return fmt.Errorf("machine %s differs in %s", titleOf(m), strings.Join(differs, ", "))
	}
	return p.up(m)
}

// up is about state and checks.
func (p ProofMachine) up(m Machine) error {
	switch {
	case p.Scheduled:
		return nil
	case m.State == flygo.MachineStateStarted:
	case crashed(m):
		return fmt.Errorf("machine %s crashed: it is %s", titleOf(m), m.State)
	case p.Stopped && rests(m) && (!p.Launched || hasStarted(m)):
		return nil
	default:
		return fmt.Errorf("machine %s is %s and should be started", titleOf(m), m.State)
	}
	if why := failing(m); why != "" {
		return fmt.Errorf("machine %s: %s", titleOf(m), why)
	}
	return nil
}

// rests is true of a machine that does not run, and is not on its way.
func rests(m Machine) bool {
	return slices.Contains([]string{flygo.MachineStateStopped, flygo.MachineStateSuspended, flygo.MachineStateCreated}, m.State)
}

// hasStarted is true of a machine that ran, for however short a time, since it was made or updated.
func hasStarted(m Machine) bool {
	for _, e := range m.Events {
		switch e.Type {
		case "start":
			return true
		case "launch", "update":
			return false
		}
	}
	return false
}

// Rests reports, as nil, that the machine does what its own config wants: it is started and its checks
// pass, or it is stopped where it is a standby, or where the proxy stops it and starts it again.
func Rests(m Machine) error {
	if m.Machine == nil || m.Config == nil {
		return errors.New("a machine cannot be seen")
	}
	sleeps := slices.ContainsFunc(m.Config.Services, func(s flygo.MachineService) bool {
		return s.Autostop != nil && *s.Autostop != flygo.MachineAutostopOff && s.Autostart != nil && *s.Autostart
	})
	return ProofMachine{Config: m.Config, Stopped: sleeps || isStandby(m), Launched: m.State == flygo.MachineStateCreated}.Met(m)
}

// failing says what is wrong with the checks of a machine, if anything. A machine that has checks
// and reports none has not been checked yet.
func failing(m Machine) string {
	total := 0
	for _, c := range m.Checks {
		if c == nil || strings.HasPrefix(c.Name, "bg_deployments_compat") {
			continue
		}
		total++
		if c.Status != flygo.Passing {
			return fmt.Sprintf("check %s is %s", c.Name, c.Status)
		}
	}
	if total == 0 && m.Config != nil && hasChecks(m.Config) {
		return "its checks have not run yet"
	}
	return ""
}

func hasChecks(config *flygo.MachineConfig) bool {
	return len(config.Checks) > 0 ||
		slices.ContainsFunc(config.Services, func(s flygo.MachineService) bool { return len(s.Checks) > 0 })
}

// differs lists the keys in which the machine is not as it was sent. What Fly knows better than who
// sent it (the volume behind a mount, whom a standby waits for) is left out on both sides.
func (p ProofMachine) differs(m Machine) ([]string, error) {
	sent, err := objectOf(p.Config)
	if err != nil {
		return nil, err
	}
	raw, err := rawOf(m)
	if err != nil {
		return nil, err
	}
	want, err := normal(sent)
	if err != nil {
		return nil, err
	}
	have, err := normal(withDigests(raw, m))
	if err != nil {
		return nil, err
	}
	forget(want, have)
	keys := map[string]bool{}
	for _, c := range changes(have, want) {
		keys[c.Key] = true
	}
	return slices.Sorted(maps.Keys(keys)), nil
}
