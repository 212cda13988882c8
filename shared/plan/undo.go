package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// forget takes out of two normal forms what only Fly knows, and metadata that nobody asked for.
func forget(want, have object) {
	for _, o := range []object{want, have} {
		delete(o, "standbys")
		delete(child(o, "env"), standbyFor)
		for _, mount := range list(o, "mounts") {
			m, _ := mount.(object)
			for _, key := range []string{"volume", "encrypted", "size_gb", "name"} {
				delete(m, key)
			}
		}
	}
	asked := child(want, "metadata")
	maps.DeleteFunc(child(have, "metadata"), func(key string, _ any) bool { _, ok := asked[key]; return !ok })
	for _, key := range []string{"guest", "dns"} {
		if _, ok := want[key]; !ok {
			delete(have, key)
		}
	}
	clean(want)
	clean(have)
}

// Undo gives the plan that takes back the steps that were begun: changed machines get the config
// back that they were observed with, machines that were made go, machines that were destroyed
// are made again under their names, with their volumes, and those that were hidden are shown. It wants to see the app as it is now: what
// was made is found there by name, and what is not there needs no taking back. Apps, volumes,
// addresses, secrets, services and certificates stay, since they may hold what cannot be made again. Steps that never happened may be
// listed too.
func Undo(now Observed, begun []Step) Plan {
	u := undo{now: now}
	for _, step := range slices.Backward(begun) {
		u.take(step)
	}
	var p Plan
	p.add("put back", mostParallel, u.back)
	p.add("take away", mostParallel, u.away)
	p.Notes = u.notes
	return p
}

type undo struct {
	now        Observed
	back, away []Step
	notes      []string
}

func (u *undo) take(step Step) {
	switch s := step.(type) {
	case UpdateMachine:
		u.restore(s.App, s.Machine)
	case DestroyMachine:
		u.remake(s.App, s.Machine)
	case CreateMachine:
		u.unmake(s.App, s.Name)
	case ReplaceMachine:
		u.remake(s.Create.App, s.Old)
		u.unmake(s.Create.App, s.Create.Name)
	case CreateApp:
		u.notes = append(u.notes, fmt.Sprintf("app %s was created and stays", s.App))
	case DestroyApp:
		u.notes = append(u.notes, fmt.Sprintf("app %s was destroyed and cannot be had again", s.App))
	case Cordon:
		if _, there := byID(u.now, s.Machine); there {
			u.back = append(u.back, Uncordon(s))
		}
	case UpdateVolume:
		u.keepAsBefore(s)
	case CreateVolume:
		u.notes = append(u.notes, fmt.Sprintf("volume %s was created in %s and stays", s.Volume.Name, regionName(s.Region)))
	case AllocateIP:
		u.notes = append(u.notes, fmt.Sprintf("address %s was allocated and stays", s.IP.Type))
	case ReleaseIP:
		u.notes = append(u.notes, fmt.Sprintf("address %s was given back and cannot be had again", s.Address))
	default:
		u.note(step)
	}
}

// note is about steps that stay as they are, since they may hold what cannot be made again.
func (u *undo) note(step Step) {
	switch s := step.(type) {
	case SetSecrets:
		u.notes = append(u.notes, fmt.Sprintf("secrets %s were set or removed and stay so: Fly tells nobody what they were before", strings.Join(slices.Concat(s.Set, s.Unset), ", ")))
	case CreateAddon:
		u.notes = append(u.notes, fmt.Sprintf("%s %s was created and stays", s.Addon.Type, s.Addon.Name))
	case DestroyAddon:
		u.notes = append(u.notes, fmt.Sprintf("%s %s was destroyed and cannot be had again", s.Addon.Type, s.Addon.Name))
	case AddCert:
		u.notes = append(u.notes, fmt.Sprintf("certificate %s was asked for and stays", s.Hostname))
	case RemoveCert:
		u.notes = append(u.notes, fmt.Sprintf("certificate %s was removed; the next deploy that names it asks for a new one", s.Hostname))
	case ExtendVolume:
		u.notes = append(u.notes, fmt.Sprintf("volume %s (%s) was extended to %d GB and stays so", s.Volume.Name, s.Volume.ID, s.SizeGB))
	case DestroyVolume:
		u.notes = append(u.notes, fmt.Sprintf("volume %s (%s) was destroyed and cannot be had again", s.Volume.Name, s.Volume.ID))
	case RunCommand:
		if s.Kind != MachineCheck {
			u.notes = append(u.notes, fmt.Sprintf("%s ran in machine %s; what it did is not taken back", s.Kind, s.Name))
		}
	default:
	}
}

// keepAsBefore puts a volume's settings back.
func (u *undo) keepAsBefore(s UpdateVolume) {
	i := slices.IndexFunc(u.now.Volumes, func(v flygo.Volume) bool { return v.ID == s.Volume.ID })
	if i < 0 {
		return
	}
	back, old := UpdateVolume{App: s.App, Volume: u.now.Volumes[i]}, s.Volume
	for _, c := range s.Changes {
		back.Changes = append(back.Changes, Change{Key: c.Key, Old: c.New, New: c.Old})
	}
	if s.SnapshotRetention != nil {
		back.SnapshotRetention = &old.SnapshotRetention
	}
	if s.ScheduledSnapshots != nil {
		back.ScheduledSnapshots = &old.AutoBackupEnabled
	}
	u.back = append(u.back, back)
}

// restore puts the observed config back, in place, or with a new machine if the old one is gone.
func (u *undo) restore(app string, old Machine) {
	have, ok := byID(u.now, old.ID)
	if !ok {
		u.remake(app, old)
		return
	}
	change, err := undoChanges(have, old)
	if err != nil || len(change) == 0 {
		return
	}
	config, raw, err := pin(old)
	if err != nil {
		return
	}
	u.back = append(u.back, UpdateMachine{App: app, Machine: have, Config: config, Raw: raw, Changes: change, SkipLaunch: !awake(old)})
}

// pin gives the machine's config with its image by digest: what a tag means may have changed since.
func pin(old Machine) (*flygo.MachineConfig, json.RawMessage, error) {
	o, err := rawOf(old)
	if err != nil {
		return nil, nil, err
	}
	o["image"] = pinned(old)
	return sendable(o)
}

// undoChanges lists what differs between now and before; an error means that one of them is not a
// machine config at all, which Fly does not hold.
func undoChanges(have, old Machine) ([]Change, error) {
	before, err := rawOf(old)
	if err != nil {
		return nil, err
	}
	now, err := rawOf(have)
	if err != nil {
		return nil, err
	}
	from, err := normal(now)
	if err != nil {
		return nil, err
	}
	to, err := normal(before)
	if err != nil {
		return nil, err
	}
	return append(imageChange(have, pinned(old)), changes(from, to)...), nil
}

// pinned is the image that the machine ran, by digest where it is known.
func pinned(m Machine) string {
	if digestOf(m.Config.Image) == "" && m.ImageRef.Digest != "" {
		return m.Config.Image + "@" + m.ImageRef.Digest
	}
	return m.Config.Image
}

// remake creates a machine again that is gone.
func (u *undo) remake(app string, old Machine) {
	if _, ok := byID(u.now, old.ID); ok || old.Config == nil || old.ID == "" { // a canary has no id yet
		return
	}
	config, _, err := pin(old)
	if err != nil {
		return
	}
	step := CreateMachine{App: app, Name: old.Name, Group: old.ProcessGroup(), Region: old.Region, Config: config, SkipLaunch: !awake(old)}
	if mounts := old.Config.Mounts; len(mounts) > 0 {
		step.Volume = mounts[0].Name
		if !slices.ContainsFunc(u.now.Volumes, func(v flygo.Volume) bool { return v.ID == mounts[0].Volume }) {
			u.notes = append(u.notes, fmt.Sprintf("machine %s is not made again: its volume %s is destroyed", titleOf(old), first(mounts[0].Name, mounts[0].Volume)))
			return
		}
	}
	u.back = append(u.back, step)
}

func (u *undo) unmake(app, name string) {
	for _, m := range u.now.Machines {
		if m.Machine != nil && m.Name == name && m.IsActive() && !slices.ContainsFunc(u.away, func(s Step) bool { d, ok := s.(DestroyMachine); return ok && d.Machine.ID == m.ID }) {
			u.away = append(u.away, DestroyMachine{App: app, Machine: m, Why: "the deploy that made it failed"})
		}
	}
}

func byID(o Observed, id string) (Machine, bool) {
	i := slices.IndexFunc(o.Machines, func(m Machine) bool { return m.Machine != nil && m.ID == id && m.IsActive() })
	if i < 0 {
		return Machine{}, false
	}
	return o.Machines[i], true
}

// ProofOfUndo gives what must be true once Undo's plan is done: every machine that the steps touched
// is as it was before. One that was destroyed is made again with another id, and known by its name.
func ProofOfUndo(app string, begun []Step) Proof {
	proof, named := Proof{App: app}, map[string]bool{}
	add := func(m Machine, remade bool) {
		if m.Config == nil || m.ID == "" || named[m.ID] {
			return
		}
		want := proofOf(m, m.ProcessGroup(), imageDigest(m), m.Config)
		if remade && m.Name != "" {
			want.ID, named[m.ID] = "", true
			proof.Machines = slices.DeleteFunc(proof.Machines, func(p ProofMachine) bool { return p.ID == m.ID })
		}
		proof.Machines = append(proof.Machines, want)
	}
	for _, step := range begun {
		switch s := step.(type) {
		case UpdateMachine:
			add(s.Machine, false)
		case DestroyMachine:
			add(s.Machine, true)
		case ReplaceMachine:
			add(s.Old, true)
		default:
		}
	}
	return proof
}
