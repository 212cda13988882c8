package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// keep decides how a machine that stays gets its config: not at all, in place, or as a new machine.
func (d *decider) keep(dec *decision, m Machine) error {
	if !reachable(m) {
		return d.keepUnreachable(dec, m)
	}
	why, err := d.mustReplace(dec.config, m)
	if err != nil {
		return err
	}
	if why != "" {
		return d.replace(dec, m, why)
	}
	config := *dec.config
	if d.keepsGuest(dec) {
		config.Guest = nil
	}
	update, err := d.updateOf(m, &config)
	if err != nil {
		return fmt.Errorf("compare machine %s: %w", titleOf(m), err)
	}
	if len(update.Changes) == 0 {
		dec.kept = append(dec.kept, m)
		return nil
	}
	dec.updates = append(dec.updates, update)
	return nil
}

// updateOf lays the config over the machine's and lists what differs; nothing where it is the same.
func (d *decider) updateOf(m Machine, config *flygo.MachineConfig) (UpdateMachine, error) {
	have, err := rawOf(m)
	if err != nil {
		return UpdateMachine{}, err
	}
	laid, err := lay(have, config)
	if err != nil {
		return UpdateMachine{}, err
	}
	d.ignore.keep(laid, have)
	remember(laid, have, m.InstanceID)
	update := UpdateMachine{App: d.want.Target.App, Machine: m, SkipLaunch: !awake(m) || config.Schedule != ""}
	if update.Config, update.Raw, err = sendable(laid); err != nil {
		return UpdateMachine{}, err
	}
	before, err := normal(withDigests(have, m))
	if err != nil {
		return UpdateMachine{}, err
	}
	after, err := normal(laid)
	if err != nil {
		return UpdateMachine{}, err
	}
	update.Changes = append(imageChange(m, d.want.Image), d.sealed(changes(before, after))...)
	if !stamped(m) && !slices.ContainsFunc(update.Changes, d.counts) {
		update.Changes = nil
	}
	return update, nil
}

// sealed shows the seal by the names of the secrets.
func (d *decider) sealed(all []Change) []Change {
	i := slices.IndexFunc(all, func(c Change) bool { return c.Key == "metadata."+MetaSecrets })
	if i < 0 {
		return all
	}
	return append(append(all[:i:i], all[i+1:]...), sealChanges(all[i].Old, all[i].New)...)
}

// counts reports whether a change alone is reason enough to update a machine that FlyCD has not deployed
// yet: what it writes about itself is not, so that an app that it adopts stays as it is.
func (d *decider) counts(c Change) bool {
	if strings.HasPrefix(c.Key, "secrets.") {
		return d.secrets.counts()
	}
	return !strings.HasPrefix(c.Key, "metadata.flycd_")
}

// sendable gives the config in fly-go's form, and the JSON that is sent.
func sendable(o object) (*flygo.MachineConfig, json.RawMessage, error) {
	config, err := typed(o)
	if err != nil {
		return nil, nil, err
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, nil, fmt.Errorf("write machine config: %w", err)
	}
	return config, raw, nil
}

// imageDigest is that of the image that the machine runs. What its config names is what Fly runs, and counts
// before what Fly tells of it: of an index, Fly tells the digest of the one image in it that the machine can run.
func imageDigest(m Machine) string { return first(digestOf(m.Config.Image), m.ImageRef.Digest) }

// imageChange compares by digest where both have one, else by name.
func imageChange(m Machine, image string) []Change {
	have, want := imageDigest(m), digestOf(image)
	if have != "" && want != "" {
		if have == want {
			return nil
		}
	} else if m.Config.Image == image {
		return nil
	}
	old := m.Config.Image
	if digestOf(old) == "" && have != "" {
		old += "@" + have
	}
	return []Change{{Key: "image", Old: old, New: image}}
}

// mustReplace says why the machine cannot be updated in place. A volume of another name is refused:
// its data would silently be left behind.
func (d *decider) mustReplace(config *flygo.MachineConfig, m Machine) (string, error) {
	have, want := mountsOf(m), config.Mounts
	switch {
	case len(have) == 0 && len(want) == 0:
		return "", nil
	case len(have) == 0:
		return "volume " + want[0].Name + " is to be mounted", nil
	case len(want) == 0:
		return "volume " + d.mountName(have[0]) + " is no longer mounted", nil
	}
	if name := d.mountName(have[0]); name != "" && name != want[0].Name {
		return "", refused("mounts.source: machine %s holds volume %s, and the manifest wants %s: a machine keeps its volume; change the name back, or destroy the machine (its volume stays) and deploy again", titleOf(m), name, want[0].Name)
	}
	return "", nil
}

// mountName gives the volume's name, which old machines have only by way of its id.
func (d *decider) mountName(mount flygo.MachineMount) string {
	if mount.Name != "" {
		return mount.Name
	}
	i := slices.IndexFunc(d.volumes, func(v flygo.Volume) bool { return v.ID == mount.Volume })
	if i < 0 {
		return ""
	}
	return d.volumes[i].Name
}

func (d *decider) keepUnreachable(dec *decision, m Machine) error {
	if mounts := mountsOf(m); len(mounts) > 0 {
		return fmt.Errorf("machine %s is on a host that Fly cannot reach now, and so is its volume %s: try again when the host is back, or destroy the machine to start another with an empty volume", titleOf(m), first(d.mountName(mounts[0]), mounts[0].Volume))
	}
	return d.replace(dec, m, "Fly cannot reach its host")
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// takeOver destroys machines whose successors are there already: whoever made those was killed before
// the old ones went.
func (d *decider) takeOver(dec *decision, machines []Machine) []Machine {
	return slices.DeleteFunc(slices.Clone(machines), func(old Machine) bool {
		i := slices.IndexFunc(machines, func(m Machine) bool { return m.GetMetadataByKey(MetaReplaces) == old.ID })
		if i >= 0 {
			dec.destroy(d.want, []Machine{old}, fmt.Sprintf("machine %s has taken its place", titleOf(machines[i])))
		}
		return i >= 0
	})
}

func (d *decider) replace(dec *decision, m Machine, why string) error {
	create, err := d.successor(dec, m, m.Region)
	if err != nil {
		return err
	}
	create.SkipLaunch = reachable(m) && !awake(m) || len(create.Config.Standbys) > 0
	create.Config.Metadata[MetaReplaces] = m.ID
	dec.replaces = append(dec.replaces, ReplaceMachine{Old: m, Create: create, Why: why})
	return nil
}

// successor makes the step for a machine that takes the place of another one. What only that one's config
// says goes over to it, as in an update: its own size, metadata of others.
func (d *decider) successor(dec *decision, old Machine, region string) (CreateMachine, error) {
	create, err := d.create(dec, region)
	if err != nil || old.Machine == nil {
		return create, err
	}
	if !reachable(old) {
		if isStandby(old) && len(create.Config.Services) == 0 {
			create.Config.Standbys = old.GetConfig().Standbys
			create.Config.Env = union(create.Config.Env, map[string]string{standbyFor: create.Config.Standbys[0]})
		}
		return create, nil
	}
	config := *create.Config
	if d.keepsGuest(dec) {
		config.Guest = nil
	}
	have, err := rawOf(old)
	if err != nil {
		return create, err
	}
	laid, err := lay(have, &config)
	if err != nil {
		return create, err
	}
	d.ignore.keep(laid, have)
	want, err := objectOf(&config)
	if err != nil {
		return create, err
	}
	set(laid, want, "mounts")
	for _, key := range []string{MetaReplaces, MetaGreen} {
		delete(child(laid, "metadata"), key)
	}
	create.Config, err = typed(laid)
	return create, err
}

// keepsGuest is true where a machine's size is its own.
func (d *decider) keepsGuest(dec *decision) bool {
	return !dec.group.GuestSet || d.ignore.machines(dec.group.Name, "size", "guest")
}
