package fly

import (
	"context"
	"fmt"
	"slices"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// createVolume makes volumes until there are as many of the name as the ordinal counts. Volumes
// have no unique names, so they are counted, and made one after another.
func (ch *Change) createVolume(ctx context.Context, s plan.CreateVolume) error {
	ch.volumeMu.Lock()
	defer ch.volumeMu.Unlock()
	for n := 1; n <= s.Ordinal+1; n++ {
		if err := ch.bring(ctx, &volumeCreation{ch, s, n}); err != nil {
			return err
		}
	}
	return nil
}

type volumeCreation struct {
	ch   *Change
	want plan.CreateVolume
	// count is how many there are when it is true.
	count int
}

func (e *volumeCreation) String() string {
	return fmt.Sprintf("create volume %s of %s in %s", e.want.Volume.Name, e.ch.app, orAny(e.want.Region))
}

func orAny(region string) string {
	if region == "" {
		return "any region"
	}
	return region
}

func (e *volumeCreation) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		if err := e.ch.lookAtVolumes(ctx); err != nil {
			return false, err
		}
	}
	return len(e.ch.volumesNamed(e.want.Volume.Name, e.want.Region)) >= e.count, nil
}

func (e *volumeCreation) do(ctx context.Context) error {
	w, encrypted := e.want.Volume, true
	req := flygo.CreateVolumeRequest{
		Name: w.Name, Region: e.want.Region, Encrypted: &encrypted,
		SnapshotRetention: w.SnapshotRetention, AutoBackupEnabled: w.ScheduledSnapshots,
	}
	if w.Encrypted != nil {
		req.Encrypted = w.Encrypted
	}
	if w.SizeGB > 0 {
		req.SizeGb = &w.SizeGB
	}
	if e.want.Config != nil {
		req.ComputeRequirements, req.ComputeImage = e.want.Config.Guest, e.want.Config.Image
	}
	v, err := e.ch.client.flaps.CreateVolume(ctx, e.ch.app, req)
	if err != nil {
		return err
	}
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	e.ch.volumes = append(slices.Clone(e.ch.volumes), *v)
	e.ch.made[v.ID] = true
	return nil
}

// lookAtVolumes lists them again. One that was made here and is not listed yet is kept.
func (ch *Change) lookAtVolumes(ctx context.Context) error {
	list, err := ch.client.volumes(ctx, ch.app)
	if err != nil {
		return err
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.volumes = ch.withMade(list)
	return nil
}

// withMade adds the volumes that were made here and that the list does not show yet, and drops those
// that were destroyed here. The caller holds mu.
func (ch *Change) withMade(list []flygo.Volume) []flygo.Volume {
	out := slices.DeleteFunc(slices.Clone(list), func(v flygo.Volume) bool { return ch.gone[v.ID] })
	for _, v := range ch.volumes {
		if ch.made[v.ID] && !ch.gone[v.ID] && !slices.ContainsFunc(out, func(l flygo.Volume) bool { return l.ID == v.ID }) {
			out = append(out, v)
		}
	}
	return out
}

// volumesNamed gives the volumes of a name, in a region where one is named.
func (ch *Change) volumesNamed(name, region string) []flygo.Volume {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var out []flygo.Volume
	for _, v := range ch.volumes {
		if v.Name == name && (region == "" || v.Region == region) {
			out = append(out, v)
		}
	}
	return out
}

// claimOf notes the volume that a machine of the name mounts already.
func (ch *Change) claimOf(m plan.Machine) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if m.Config != nil && len(m.Config.Mounts) > 0 && m.Config.Mounts[0].Volume != "" {
		ch.claimed[m.Name] = m.Config.Mounts[0].Volume
	}
}

// namedVolume is the volume that a machine had that is put back; empty where any of the name will do.
func namedVolume(s plan.CreateMachine) string {
	for _, m := range s.Config.Mounts {
		if m.Volume != "" && m.Name == s.Volume {
			return m.Volume
		}
	}
	return ""
}

// claim picks the volume that a new machine is to mount, the same one however often it is asked.
func (ch *Change) claim(s plan.CreateMachine) (flygo.Volume, error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	taken := map[string]bool{}
	for _, id := range ch.claimed {
		taken[id] = true
	}
	for _, v := range ch.volumes {
		if v.ID == ch.claimed[s.Name] {
			return v, nil
		}
	}
	own := namedVolume(s)
	for _, v := range ch.released(ch.volumes) {
		free := !v.IsAttached() && !taken[v.ID] && (v.HostStatus == "" || v.HostStatus == string(flygo.HostStatusOk))
		if free && v.Name == s.Volume && (s.Region == "" || v.Region == s.Region) && (own == "" || v.ID == own) {
			ch.claimed[s.Name] = v.ID
			return v, nil
		}
	}
	if own != "" {
		return flygo.Volume{}, &problem{fmt.Sprintf("create machine %s of %s: its volume %s (%s) is not free", s.Name, ch.app, s.Volume, own), nil}
	}
	return flygo.Volume{}, fmt.Errorf("create machine %s of %s: no free volume %s in %s", s.Name, ch.app, s.Volume, orAny(s.Region))
}
