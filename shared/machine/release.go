package machine

import (
	"time"

	flygo "github.com/superfly/fly-go"
)

// releaseCommand gives the ephemeral machine that runs deploy.release_command: no services, mounts
// or checks, and its guest only where the manifest sizes it.
func (t *translator) releaseCommand() *flygo.MachineConfig {
	d := t.deploySection()
	if d.ReleaseCommand == "" {
		return nil
	}
	config := &flygo.MachineConfig{
		AutoDestroy: true,
		Restart:     &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo},
		DNS:         &flygo.DNSConfig{SkipRegistration: true},
		Init: flygo.MachineInit{
			Cmd:        t.split("deploy.release_command", d.ReleaseCommand),
			SwapSizeMB: t.app.SwapSizeMB,
		},
		Metadata: map[string]string{
			flygo.MachineConfigMetadataKeyFlyPlatformVersion: flygo.MachineFlyPlatformVersion2,
			flygo.MachineConfigMetadataKeyFlyProcessGroup:    flygo.MachineProcessGroupFlyAppReleaseCommand,
		},
		Env:        t.env(flygo.MachineProcessGroupFlyAppReleaseCommand),
		StopConfig: t.stopConfig(),
	}
	config.Env["RELEASE_COMMAND"] = "1"
	if e := t.app.Experimental; e != nil {
		config.Init.Entrypoint = e.Entrypoint
	}
	if d.ReleaseCommandVM != nil {
		config.Guest = t.vmGuest("deploy.release_command_vm", *d.ReleaseCommandVM)
	}
	return config
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
