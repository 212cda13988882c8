package flysim

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/macaroon/resset"
)

// volume is a volume, as the API shows it.
type volume struct {
	ID                string    `json:"id"`
	Name              string    `json:"name"`
	State             string    `json:"state"`
	SizeGB            int       `json:"size_gb"`
	Region            string    `json:"region"`
	Zone              string    `json:"zone"`
	Encrypted         bool      `json:"encrypted"`
	FSType            string    `json:"fstype"`
	AttachedMachine   *string   `json:"attached_machine_id"`
	AttachedAlloc     *string   `json:"attached_alloc_id"`
	CreatedAt         time.Time `json:"created_at"`
	HostDedicationID  string    `json:"host_dedication_id"`
	SnapshotRetention int       `json:"snapshot_retention"`
	AutoBackupEnabled bool      `json:"auto_backup_enabled"`
	HostStatus        string    `json:"host_status"`
	BlockSize         int       `json:"block_size"`
	Blocks            int       `json:"blocks"`
	BlocksFree        int       `json:"blocks_free"`
	BlocksAvail       int       `json:"blocks_avail"`

	snapshots []snapshotView
}

type snapshotView struct {
	ID            string    `json:"id"`
	Size          int       `json:"size"`
	VolumeSize    int       `json:"volume_size"`
	Digest        string    `json:"digest"`
	CreatedAt     time.Time `json:"created_at"`
	Status        string    `json:"status"`
	RetentionDays int       `json:"retention_days"`
}

func (s *Server) volumeRoutes() []route {
	const all = " /v1/apps/{app}/volumes"
	const one = all + "/{volume}"
	on := func(pattern string, action resset.Action, run func(*call, *volume) answer) route {
		return route{pattern: pattern, action: action, scope: toApp, run: func(c *call) answer {
			v := c.app.volume(c.r.PathValue("volume"))
			if v == nil {
				return fail(http.StatusNotFound, "not_found: volume not found")
			}
			return run(c, v)
		}}
	}
	return []route{
		{pattern: "GET" + all, action: resset.ActionRead, scope: toApp, run: func(c *call) answer { return ok(c.app.volumeViews()) }},
		{pattern: "POST" + all, action: resset.ActionWrite, scope: toApp, run: s.createVolume},
		on("GET"+one, resset.ActionRead, func(_ *call, v *volume) answer { return ok(v) }),
		on("PUT"+one, resset.ActionWrite, s.updateVolume),
		on("DELETE"+one, resset.ActionDelete, s.deleteVolume),
		on("PUT"+one+"/extend", resset.ActionWrite, s.extendVolume),
		on("GET"+one+"/snapshots", resset.ActionRead, func(_ *call, v *volume) answer { return ok(listed(v.snapshots)) }),
		on("POST"+one+"/snapshots", resset.ActionWrite, s.snapshotVolume),
	}
}

func (a *app) volume(id string) *volume {
	for _, v := range a.volumes {
		if v.ID == id {
			return v
		}
	}
	return nil
}

func (a *app) volumeViews() []*volume { return listed(a.volumes) }

// dyingVolume is the state of a volume that was destroyed and can still be read for a moment.
const dyingVolume = "pending_destroy"

// lastingVolumes are those that are not being destroyed.
func (a *app) lastingVolumes() []*volume {
	return slices.DeleteFunc(a.volumeViews(), func(v *volume) bool { return v.State == dyingVolume })
}

func (s *Server) createVolume(c *call) answer {
	var in flygo.CreateVolumeRequest
	if a, fine := c.decode(&in); !fine {
		return a
	}
	size, region := 1, in.Region
	if in.SourceVolumeID != nil {
		source := c.app.volume(*in.SourceVolumeID)
		if source == nil {
			return failf(http.StatusUnprocessableEntity, "invalid_argument: source volume %s not found", *in.SourceVolumeID)
		}
		size, region = source.SizeGB, cmp.Or(region, source.Region)
	}
	if in.SnapshotID != nil && !s.snapshotKnown(*in.SnapshotID) {
		return failf(http.StatusUnprocessableEntity, "invalid_argument: snapshot %s not found", *in.SnapshotID)
	}
	region = cmp.Or(region, s.opts.Nearest)
	if in.SizeGb != nil {
		size = *in.SizeGb
	}
	switch {
	case in.Name == "" || len(in.Name) > 30 || badVolumeName(in.Name):
		return failf(http.StatusUnprocessableEntity, "invalid_argument: volume name %q is invalid: at most 30 letters, numbers and underscores", in.Name)
	case size < 1 || size > 500:
		return failf(http.StatusUnprocessableEntity, "invalid_argument: size_gb must be between 1 and 500, not %d", size)
	case !knownRegion(region):
		return failf(http.StatusUnprocessableEntity, "invalid_argument: region %s not found", region)
	}
	v := &volume{
		ID: "vol_" + s.token(8), Name: in.Name, State: stateCreated, SizeGB: size, Region: region, Zone: s.token(2),
		Encrypted: true, FSType: "ext4", CreatedAt: s.now().UTC().Truncate(time.Second), SnapshotRetention: 5, AutoBackupEnabled: true,
		HostStatus: hostOK, BlockSize: 4096,
	}
	override(&v.Encrypted, in.Encrypted)
	override(&v.SnapshotRetention, in.SnapshotRetention)
	override(&v.AutoBackupEnabled, in.AutoBackupEnabled)
	override(&v.FSType, in.FSType)
	c.app.volumes = append(c.app.volumes, v)
	s.announce()
	return ok(v)
}

func (s *Server) snapshotKnown(id string) bool {
	for _, a := range s.apps {
		for _, v := range a.volumes {
			if slices.ContainsFunc(v.snapshots, func(shot snapshotView) bool { return shot.ID == id }) {
				return true
			}
		}
	}
	return false
}

func override[T any](to, with *T) {
	if with != nil {
		*to = *with
	}
}

func badVolumeName(name string) bool {
	return slices.ContainsFunc([]rune(name), func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

func (s *Server) updateVolume(c *call, v *volume) answer {
	var in flygo.UpdateVolumeRequest
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if in.SnapshotRetention != nil && (*in.SnapshotRetention < 1 || *in.SnapshotRetention > 60) {
		return failf(http.StatusBadRequest, "invalid_argument: snapshot_retention must be between 1 and 60, not %d", *in.SnapshotRetention)
	}
	override(&v.SnapshotRetention, in.SnapshotRetention)
	override(&v.AutoBackupEnabled, in.AutoBackupEnabled)
	s.announce()
	return ok(v)
}

func (s *Server) deleteVolume(c *call, v *volume) answer {
	if v.AttachedMachine != nil {
		return failf(http.StatusPreconditionFailed, "failed_precondition: volume %s is currently attached to machine %s", v.ID, *v.AttachedMachine)
	}
	if v.State == dyingVolume {
		return ok(v)
	}
	v.State = dyingVolume
	s.later(nil, s.opts.Settle, func() {
		c.app.volumes = slices.DeleteFunc(slices.Clone(c.app.volumes), func(other *volume) bool { return other == v })
		s.announce()
	})
	s.announce()
	return ok(v)
}

func (s *Server) extendVolume(c *call, v *volume) answer {
	if v.State == dyingVolume {
		return failf(http.StatusPreconditionFailed, "failed_precondition: volume %s is being destroyed", v.ID)
	}
	var in struct {
		SizeGB int `json:"size_gb"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if in.SizeGB <= v.SizeGB || in.SizeGB > 500 {
		return failf(http.StatusUnprocessableEntity, "invalid_argument: volume %s has %d GB and can only grow, up to 500 GB, not to %d GB", v.ID, v.SizeGB, in.SizeGB)
	}
	v.SizeGB = in.SizeGB
	s.announce()
	return ok(struct {
		Volume       *volume `json:"volume"`
		NeedsRestart bool    `json:"needs_restart"`
	}{v, s.mounted(v)})
}

// mounted tells whether a volume is in use by a machine that runs or sleeps: its file system grows
// with the next start.
func (s *Server) mounted(v *volume) bool {
	if v.AttachedMachine == nil {
		return false
	}
	m := s.anyMachine(*v.AttachedMachine)
	return m != nil && m.state != stateStopped && m.state != stateCreated
}

func (s *Server) snapshotVolume(_ *call, v *volume) answer {
	v.snapshots = append(v.snapshots, snapshotView{
		ID: "vs_" + s.token(8), Size: v.SizeGB << 20, VolumeSize: v.SizeGB << 30, Digest: s.token(16),
		CreatedAt: s.now().UTC(), Status: "created", RetentionDays: v.SnapshotRetention,
	})
	return ok(done{OK: true})
}

// mountable checks that the volumes of a config are there, near and free.
func (s *Server) mountable(m *machine, spec *flygo.MachineConfig) (answer, bool) {
	for _, mount := range spec.Mounts {
		v := m.app.volume(mount.Volume)
		switch {
		case v == nil || v.State == dyingVolume:
			return failf(http.StatusUnprocessableEntity, "invalid_argument: volume %s not found", mount.Volume), false
		case v.Region != m.region:
			return failf(http.StatusUnprocessableEntity, "invalid_argument: volume %s is in region %s, the machine in %s", v.ID, v.Region, m.region), false
		case v.AttachedMachine != nil && *v.AttachedMachine != m.id:
			return failf(http.StatusPreconditionFailed, "failed_precondition: volume %s is already attached to machine %s", v.ID, *v.AttachedMachine), false
		}
	}
	return answer{}, true
}

func (s *Server) attach(m *machine) {
	for _, mount := range m.spec.Mounts {
		if v := m.app.volume(mount.Volume); v != nil {
			v.AttachedMachine = &m.id
		}
	}
}

func (s *Server) detach(m *machine) {
	for _, mount := range m.spec.Mounts {
		if v := m.app.volume(mount.Volume); v != nil && v.AttachedMachine != nil && *v.AttachedMachine == m.id {
			v.AttachedMachine = nil
		}
	}
}
