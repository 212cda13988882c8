package machine

import (
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// commandGuestSize is flyctl's for a command's machine where nothing else says how large it is.
const commandGuestSize = "shared-cpu-2x"

// release gives the ephemeral machine that runs deploy.release_command: no services, mounts or
// checks, and its guest only where the manifest sizes it.
func (t *translator) release(key, command string) *flygo.MachineConfig {
	if command == "" {
		return nil
	}
	config := t.ephemeral(flygo.MachineProcessGroupFlyAppReleaseCommand)
	config.Init.Cmd = t.split(key, command)
	config.Env = t.env(flygo.MachineProcessGroupFlyAppReleaseCommand)
	config.Env["RELEASE_COMMAND"] = "1"
	config.StopConfig = t.stopConfig()
	if vm := t.deploySection().ReleaseCommandVM; vm != nil {
		config.Guest = t.vmGuest("deploy.release_command_vm", *vm)
	}
	return config
}

// ephemeral is a machine that runs one command and is gone.
func (t *translator) ephemeral(group string) *flygo.MachineConfig {
	config := &flygo.MachineConfig{
		AutoDestroy: true,
		Restart:     &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo},
		DNS:         &flygo.DNSConfig{SkipRegistration: true},
		Init:        flygo.MachineInit{SwapSizeMB: t.app.SwapSizeMB},
		Metadata: map[string]string{
			flygo.MachineConfigMetadataKeyFlyPlatformVersion: flygo.MachineFlyPlatformVersion2,
			flygo.MachineConfigMetadataKeyFlyProcessGroup:    group,
		},
	}
	if e := t.app.Experimental; e != nil {
		config.Init.Entrypoint = e.Entrypoint
	}
	return config
}

// commandGuest sizes a command's machine where neither the manifest nor a machine of the default
// group does: the flags' size where they ask for another than Fly's smallest, else flyctl's own.
func (t *translator) commandGuest() *flygo.MachineGuest {
	guest, least := t.vmGuest("vm", t.flags.vm), flygo.MachinePresets[flygo.DefaultVMSize]
	if guest.CPUKind == least.CPUKind && guest.CPUs == least.CPUs && guest.MemoryMB == least.MemoryMB {
		t.preset("", commandGuestSize, guest)
	}
	return guest
}

// GuestOfCommand sizes the machine of a release or seed command whose config has no guest, as flyctl
// does: like the largest by memory of the default group's machines, whose guests are given, else
// t.CommandGuest. It gives a copy.
func (t Target) GuestOfCommand(siblings []*flygo.MachineGuest) *flygo.MachineGuest {
	var best flygo.MachineGuest
	if t.CommandGuest != nil {
		best = *t.CommandGuest
	}
	dedicated, most := best.HostDedicationID, 0
	for _, s := range siblings {
		if s != nil && s.MemoryMB > most {
			best, most = *s, s.MemoryMB
		}
	}
	override(&best.HostDedicationID, dedicated)
	return &best
}

// releaseTimeout is zero where there is no bound.
func (t *translator) releaseTimeout() time.Duration {
	if t.flags.release > 0 {
		return t.flags.release
	}
	if d := t.deploySection().ReleaseCommandTimeout; d != nil {
		return time.Duration(*d)
	}
	return defaultWaitTimeout
}

// machineChecks gives the commands that must succeed beside a machine of the group: those of its
// services, http_service first, then those of the app.
func (t *translator) machineChecks(group string) []Check {
	var all []Check
	add := func(key string, checks []manifest.MachineCheck) {
		for _, c := range checks {
			all = append(all, Check{Group: group, Config: t.machineCheck(key, c)})
		}
	}
	if h := t.app.HTTPService; h != nil && t.concerns(h.Processes, group) {
		add("http_service.machine_checks", h.MachineChecks)
	}
	for _, s := range t.app.Services {
		if t.concerns(s.Processes, group) {
			add("services.machine_checks", s.MachineChecks)
		}
	}
	add("machine_checks", t.app.MachineChecks)
	return all
}

func (t *translator) machineCheck(key string, c manifest.MachineCheck) *flygo.MachineConfig {
	if len(c.Command) == 0 {
		t.bad(key+".command", "is missing; say what has to succeed")
	}
	config := t.ephemeral(flygo.MachineProcessGroupFlyAppTestMachineCommand)
	config.Init.Cmd, config.Image = c.Command, c.Image
	if config.Init.Entrypoint == nil {
		config.Init.Entrypoint = c.Entrypoint
	}
	config.Env = t.env(flygo.MachineProcessGroupFlyAppTestMachineCommand)
	config.Env["FLY_TEST_COMMAND"] = "1"
	signal, timeout := c.KillSignal, c.KillTimeout
	if c.Image == "" && signal == nil {
		signal = t.app.KillSignal
	}
	if c.Image == "" && timeout == nil {
		timeout = t.app.KillTimeout
	}
	config.StopConfig = &flygo.StopConfig{Signal: signal, Timeout: duration(timeout)}
	return config
}
