package plan_test

import (
	"fmt"
	"slices"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// applyOther is about all that is no machine.
func (a *account) applyOther(step plan.Step) {
	switch s := step.(type) {
	case plan.SetSecrets:
		a.setSecrets(s)
	case plan.CreateAddon:
		a.o.Addons = slices.DeleteFunc(a.o.Addons, func(have plan.Addon) bool { return have.Name == s.Addon.Name && have.Type == s.Addon.Type })
		a.o.Addons = append(a.o.Addons, plan.Addon{Type: s.Addon.Type, Name: s.Addon.Name, ID: "add-" + s.Addon.Name, Ready: true, Values: map[string]manifest.Secret{}})
	case plan.DestroyAddon:
		a.o.Addons = slices.DeleteFunc(a.o.Addons, func(have plan.Addon) bool { return have.Name == s.Addon.Name && have.Type == s.Addon.Type })
	case plan.AddCert:
		a.o.Certs = append(a.o.Certs, plan.Cert{Hostname: s.Hostname})
	case plan.RemoveCert:
		a.o.Certs = slices.DeleteFunc(a.o.Certs, func(c plan.Cert) bool { return c.Hostname == s.Hostname })
	case plan.ExtendVolume:
		a.volume(s.Volume.ID).SizeGb = s.SizeGB
	case plan.UpdateVolume:
		v := a.volume(s.Volume.ID)
		if s.SnapshotRetention != nil {
			v.SnapshotRetention = *s.SnapshotRetention
		}
		if s.ScheduledSnapshots != nil {
			v.AutoBackupEnabled = *s.ScheduledSnapshots
		}
	case plan.DestroyVolume:
		if a.volume(s.Volume.ID).AttachedMachine != nil {
			panic("volume " + s.Volume.ID + " is attached")
		}
		a.o.Volumes = slices.DeleteFunc(a.o.Volumes, func(v flygo.Volume) bool { return v.ID == s.Volume.ID })
	case plan.RunCommand:
		a.run(s)
	case plan.Cordon:
		a.hide(s.Machine, true)
	case plan.Uncordon:
		id := s.Machine
		if id == "" {
			id = a.byName(s.Name).ID
		}
		a.hide(id, false)
	case plan.CreateApp, plan.DestroyApp, plan.AllocateIP, plan.ReleaseIP, plan.CreateVolume, plan.CreateMachine,
		plan.UpdateMachine, plan.ReplaceMachine, plan.DestroyMachine:
	}
}

func (a *account) hide(id string, hidden bool) {
	if a.hidden == nil {
		a.hidden = map[string]bool{}
	}
	a.hidden[id] = hidden
	for i, m := range a.o.Machines {
		if m.ID == id {
			now := *m.Machine
			now.Cordoned = hidden
			a.o.Machines[i].Machine = &now
		}
	}
}

func (a *account) volume(id string) *flygo.Volume {
	return &a.o.Volumes[slices.IndexFunc(a.o.Volumes, func(v flygo.Volume) bool { return v.ID == id })]
}

// setSecrets gives each secret a digest of its value, as Fly does.
func (a *account) setSecrets(s plan.SetSecrets) {
	for _, name := range slices.Concat(s.Set, s.Unset) {
		a.o.Secrets = slices.DeleteFunc(a.o.Secrets, func(have plan.Secret) bool { return have.Name == name })
	}
	for _, name := range s.Set {
		a.o.Secrets = append(a.o.Secrets, plan.Secret{Name: name, Digest: "fly" + a.values[name]})
	}
}

// run remembers the command's machine, which has ended well and is gone.
func (a *account) run(s plan.RunCommand) {
	if slices.ContainsFunc(a.o.Commands, func(m plan.Machine) bool { return m.Name == s.Name }) {
		return
	}
	if s.Beside != "" && a.byName(s.Beside).State != "started" {
		panic("a check beside a machine that does not run")
	}
	a.next++
	m := &flygo.Machine{ID: fmt.Sprintf("m%03d", a.next), Name: s.Name, State: "destroyed", Config: s.Config}
	m.Events = []*flygo.MachineEvent{{Type: "exit", Request: &flygo.MachineRequest{ExitEvent: &flygo.MachineExitEvent{ExitCode: 0}}}}
	a.o.Commands = append(a.o.Commands, plan.Machine{Machine: m})
}

// secretsOf gives the wanted secrets for the values, as whoever holds the key of their MACs does.
func secretsOf(values map[string]string) []plan.WantedSecret {
	var all []plan.WantedSecret
	for name, value := range values {
		all = append(all, plan.WantedSecret{Name: name, MAC: "mac" + value})
	}
	return all
}
