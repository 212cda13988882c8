package fly

import (
	"context"
	"fmt"
	"slices"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// volume gives a volume as it is known.
func (ch *Change) volume(id string) (flygo.Volume, bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	at := slices.IndexFunc(ch.volumes, func(v flygo.Volume) bool { return v.ID == id })
	if at < 0 {
		return flygo.Volume{}, false
	}
	return ch.volumes[at], true
}

// noteVolume keeps what a write made of a volume.
func (ch *Change) noteVolume(v flygo.Volume) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.volumes = slices.Clone(ch.volumes)
	for i := range ch.volumes {
		if ch.volumes[i].ID == v.ID {
			ch.volumes[i] = v
		}
	}
}

func (ch *Change) extendVolume(ctx context.Context, s plan.ExtendVolume) error {
	ch.volumeMu.Lock()
	defer ch.volumeMu.Unlock()
	return ch.bring(ctx, &extension{ch, s})
}

type extension struct {
	ch   *Change
	want plan.ExtendVolume
}

func (e *extension) String() string {
	return fmt.Sprintf("extend volume %s (%s) of %s to %d GB", e.want.Volume.Name, e.want.Volume.ID, e.ch.app, e.want.SizeGB)
}

func (e *extension) repeatable() bool { return true }

func (e *extension) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		if err := e.ch.lookAtVolumes(ctx); err != nil {
			return false, err
		}
	}
	v, ok := e.ch.volume(e.want.Volume.ID)
	if !ok {
		return false, &problem{fmt.Sprintf("%s: it is gone; try again", e), nil}
	}
	return v.SizeGb >= e.want.SizeGB, nil
}

func (e *extension) do(ctx context.Context) error {
	v, restart, err := e.ch.client.flaps.ExtendVolume(ctx, e.ch.app, e.want.Volume.ID, e.want.SizeGB)
	if err != nil {
		return err
	}
	now, _ := e.ch.volume(e.want.Volume.ID)
	now.SizeGb = e.want.SizeGB
	if v != nil && v.ID == now.ID {
		now = *v
	}
	e.ch.noteVolume(now)
	if restart && now.AttachedMachine != nil {
		e.ch.say(fmt.Sprintf("volume %s (%s) is %d GB large, which machine %s sees once it is restarted", now.Name, now.ID, now.SizeGb, *now.AttachedMachine))
	}
	return nil
}

func (ch *Change) updateVolume(ctx context.Context, s plan.UpdateVolume) error {
	ch.volumeMu.Lock()
	defer ch.volumeMu.Unlock()
	return ch.bring(ctx, &volumeUpdate{ch, s})
}

type volumeUpdate struct {
	ch   *Change
	want plan.UpdateVolume
}

func (e *volumeUpdate) String() string {
	return fmt.Sprintf("update volume %s (%s) of %s", e.want.Volume.Name, e.want.Volume.ID, e.ch.app)
}

func (e *volumeUpdate) repeatable() bool { return true }

func (e *volumeUpdate) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		if err := e.ch.lookAtVolumes(ctx); err != nil {
			return false, err
		}
	}
	v, ok := e.ch.volume(e.want.Volume.ID)
	if !ok {
		return false, &problem{fmt.Sprintf("%s: it is gone; try again", e), nil}
	}
	return (e.want.SnapshotRetention == nil || v.SnapshotRetention == *e.want.SnapshotRetention) &&
		(e.want.ScheduledSnapshots == nil || v.AutoBackupEnabled == *e.want.ScheduledSnapshots), nil
}

func (e *volumeUpdate) do(ctx context.Context) error {
	v, err := e.ch.client.flaps.UpdateVolume(ctx, e.ch.app, e.want.Volume.ID, flygo.UpdateVolumeRequest{
		SnapshotRetention: e.want.SnapshotRetention, AutoBackupEnabled: e.want.ScheduledSnapshots,
	})
	if err == nil {
		e.ch.noteVolume(*v)
	}
	return err
}

func (ch *Change) destroyVolume(ctx context.Context, s plan.DestroyVolume) error {
	ch.volumeMu.Lock()
	defer ch.volumeMu.Unlock()
	return ch.bring(ctx, &volumeDestruction{ch, s.Volume})
}

type volumeDestruction struct {
	ch   *Change
	want flygo.Volume
}

func (e *volumeDestruction) String() string {
	return fmt.Sprintf("destroy volume %s (%s) of %s", e.want.Name, e.want.ID, e.ch.app)
}

func (e *volumeDestruction) seen(ctx context.Context, fresh bool) (bool, error) {
	if fresh {
		if err := e.ch.lookAtVolumes(ctx); err != nil {
			return false, err
		}
	}
	_, there := e.ch.volume(e.want.ID)
	return !there, nil
}

// free looks, and waits for a machine that this change destroyed to let go of the volume.
func (e *volumeDestruction) free(ctx context.Context) (v flygo.Volume, there bool, err error) {
	c := e.ch.client
	for end := c.options.Now().Add(c.options.Lag); ; {
		if err := e.ch.lookAtVolumes(ctx); err != nil {
			return v, false, err
		}
		v, there = e.ch.volume(e.want.ID)
		if !there || v.AttachedMachine == nil || !e.ch.destroyed(*v.AttachedMachine) || !c.options.Now().Before(end) {
			return v, there, nil
		}
		if err := sleep(ctx, c.options.Poll); err != nil {
			return v, there, err
		}
	}
}

// do looks before it destroys: nothing can bring a volume back.
func (e *volumeDestruction) do(ctx context.Context) error {
	v, there, err := e.free(ctx)
	if err != nil {
		return err
	}
	if there && v.IsAttached() {
		return &problem{fmt.Sprintf("%s: not started: a machine has it", e), nil}
	}
	if there {
		_, err := e.ch.client.flaps.DeleteVolume(ctx, e.ch.app, e.want.ID)
		if err != nil && fateOf(ctx, err) != missing {
			return err
		}
	}
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	e.ch.gone[e.want.ID] = true
	e.ch.volumes = e.ch.withMade(e.ch.volumes)
	return nil
}
