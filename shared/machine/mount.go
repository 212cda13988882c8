package machine

import (
	"slices"

	"github.com/docker/go-units"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

const (
	defaultVolumeGB    = 1
	defaultGPUVolumeGB = 100
)

// mountOf gives the group's mount, of which there is one at most: a machine holds one volume.
func (t *translator) mountOf(group string) (manifest.Mount, bool) {
	var found []manifest.Mount
	for _, m := range t.app.Mounts {
		if t.concerns(m.Processes, group) {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return manifest.Mount{}, false
	}
	if len(found) > 1 {
		t.bad("mounts", "group %s has %d of them, and a machine can hold one volume; name the group of each with processes", group, len(found))
	}
	return found[0], true
}

func (t *translator) mounts(group string) []flygo.MachineMount {
	m, ok := t.mountOf(group)
	if !ok {
		return nil
	}
	if m.Source == "" {
		t.bad("mounts.source", "is missing; it names the volume")
	}
	if m.Destination == "" || m.Destination[0] != '/' {
		t.bad("mounts.destination", "is %q; it must be the absolute path where the volume appears", m.Destination)
	}
	out := flygo.MachineMount{
		Name: m.Source, Path: m.Destination,
		ExtendThresholdPercent: m.AutoExtendSizeThreshold,
		AddSizeGb:              t.gigabytes("mounts.auto_extend_size_increment", m.AutoExtendSizeIncrement),
		SizeGbLimit:            t.gigabytes("mounts.auto_extend_size_limit", m.AutoExtendSizeLimit),
	}
	t.checkExtend(out)
	return []flygo.MachineMount{out}
}

func (t *translator) checkExtend(m flygo.MachineMount) {
	if m.ExtendThresholdPercent == 0 && m.AddSizeGb == 0 && m.SizeGbLimit == 0 {
		return
	}
	if m.ExtendThresholdPercent < 50 || m.ExtendThresholdPercent > 99 {
		t.bad("mounts.auto_extend_size_threshold", "is %d; it must be 50 to 99 (percent)", m.ExtendThresholdPercent)
	}
	if m.AddSizeGb < 1 || m.AddSizeGb > 100 {
		t.bad("mounts.auto_extend_size_increment", "is %d GB; it must be 1GB to 100GB", m.AddSizeGb)
	}
	if m.SizeGbLimit < 0 || m.SizeGbLimit > 500 {
		t.bad("mounts.auto_extend_size_limit", "is %d GB; it must be 1GB to 500GB", m.SizeGbLimit)
	}
}

// gigabytes reads "10gb" in decimal units; a bare number is gigabytes. It is 0 where nothing is
// written.
func (t *translator) gigabytes(key, text string) int {
	if text == "" {
		return 0
	}
	gb, err := size(text, units.FromHumanSize, units.GB)
	if err != nil || gb < 1 {
		t.bad(key, "is %q; it must be 1GB at least, such as 10gb", text)
	}
	return gb
}

// volumes gives the volume that each of the group's machines mounts: FlyCD's own entry of that
// name, else what the mount says of a new one.
func (t *translator) volumes(group string, config *flygo.MachineConfig) []Volume {
	m, ok := t.mountOf(group)
	if !ok {
		return nil
	}
	v := Volume{
		Group: group, Name: m.Source, SizeGB: defaultVolumeGB,
		SnapshotRetention: m.SnapshotRetention, ScheduledSnapshots: m.ScheduledSnapshots, Encrypted: new(true),
	}
	if config.Guest != nil && config.Guest.GPUKind != "" {
		v.SizeGB = defaultGPUVolumeGB
	}
	override(&v.SizeGB, t.flags.volumeGB)
	override(&v.SizeGB, t.gigabytes("mounts.initial_size", m.InitialSize))
	if i := slices.IndexFunc(t.app.Volumes, func(own manifest.Volume) bool { return own.Name == m.Source }); i >= 0 {
		t.ownVolume(t.app.Volumes[i], &v)
	}
	if r := v.SnapshotRetention; r != nil && (*r < 1 || *r > 60) {
		t.bad("mounts.snapshot_retention", "is %d; it must be 1 to 60 (days)", *r)
	}
	return []Volume{v}
}

func (t *translator) ownVolume(own manifest.Volume, v *Volume) {
	if own.SizeGB < 0 {
		t.bad("volumes.size_gb", "is %d; it must be 1 at least", own.SizeGB)
	}
	override(&v.SizeGB, own.SizeGB)
	v.Fixed = own.SizeGB > 0
	if own.Count != nil {
		v.Count = *own.Count
	}
	override(&v.SnapshotRetention, own.SnapshotRetention)
	override(&v.Encrypted, own.Encrypted)
}

// warnUnmounted names the volumes that no group mounts.
func (t *translator) warnUnmounted() {
	for _, v := range t.app.Volumes {
		if !slices.ContainsFunc(t.app.Mounts, func(m manifest.Mount) bool { return m.Source == v.Name }) {
			t.warn("volumes", "%s is not created, since nothing mounts it; write a [[mounts]] with source = %q", v.Name, v.Name)
		}
	}
}
