package plan

import (
	"encoding/json"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// Observed is what Fly holds for one app now.
type Observed struct {
	// Exists is false where the app does not; everything else is then zero.
	Exists bool
	App    string
	Org    string
	// Machines are those of the app's groups and any others, in the order of their ids; destroyed
	// ones and ephemeral ones (release commands, consoles) are left out.
	Machines []Machine
	Volumes  []flygo.Volume
	IPs      []IP
}

// Machine is an observed machine with the bytes that Fly sent, so that what fly-go does not know is
// kept when the machine is updated.
type Machine struct {
	*flygo.Machine
	// Raw is the JSON object of the machine's config.
	Raw json.RawMessage
}

// IP is an observed address.
type IP struct {
	Address, Region string
	Shared, Private bool
}

// Intent is what a deploy wants: the target and what only the deploy knows.
type Intent struct {
	Target machine.Target
	// Image is the reference with its digest.
	Image string
	// Metadata is FlyCD's own (flycd_digest, flycd_commit, …), laid into every machine. Keys that
	// end in _commit never make a plan by themselves.
	Metadata map[string]string
	// Env is FlyCD's own (FLYCD_APP_VERSION, …), laid into every machine; commits in it never make
	// a plan by themselves.
	Env map[string]string
}

// Step is one change. The concrete types below are all there are, and each can be repeated: one
// that is already true does nothing.
//
//sumtype:decl
type Step interface{ step() }

// CreateApp creates the app in its organisation and network.
type CreateApp struct{ App, Org, Network string }

// AllocateIP gives the app an address.
type AllocateIP struct {
	App string
	IP  machine.IP
}

// ReleaseIP takes an address away.
type ReleaseIP struct{ App, Address string }

// CreateVolume creates a volume for a machine that is about to be created.
type CreateVolume struct {
	App    string
	Volume machine.Volume
	Region string
	// Ordinal counts the volumes of this name in the region from 0, attached ones too: the step is
	// already true where there are more of them than Ordinal. Without a region it counts all regions.
	Ordinal int
	Config  *flygo.MachineConfig
}

// CreateMachine creates a machine under a name derived from app, group, region and ordinal.
type CreateMachine struct {
	App, Name, Group, Region string
	Ordinal                  int
	Config                   *flygo.MachineConfig
	// SkipLaunch creates the machine stopped.
	SkipLaunch bool
	// StandbyFor is the name of the machine that a standby waits for. Config says nothing of it, since
	// only the one who creates knows the id: it goes into config.standbys and, as FLY_STANDBY_FOR,
	// into config.env.
	StandbyFor string
	// Volume is the name of the volume to attach: an unattached one in the region (without a region: in
	// any, which is then the machine's), whose id goes into
	// the first of Config.Mounts. Where that mount names a volume by id already (a machine that is put
	// back), it is that one.
	Volume string
}

// UpdateMachine gives a machine a new config in place.
type UpdateMachine struct {
	App string
	// Machine is as it was observed; its config is what a rollback puts back.
	Machine Machine
	// Config is the whole config to send, as fly-go knows it.
	Config *flygo.MachineConfig
	// Raw is the same config as JSON with the keys that fly-go does not know. It is what is sent, so
	// that nothing is lost; where it is nil, Config is laid over what the machine has.
	Raw json.RawMessage
	// Changes names what differs, old → new by key.
	Changes []Change
	// SkipLaunch leaves a stopped or suspended machine as it is.
	SkipLaunch bool
}

// ReplaceMachine makes a new machine where an update in place is not possible, and destroys the old
// one when the new one is proven.
type ReplaceMachine struct {
	Old    Machine
	Create CreateMachine
	Why    string
}

// DestroyMachine removes a machine. Volumes stay.
type DestroyMachine struct {
	App     string
	Machine Machine
	Why     string
}

// DestroyApp removes an app whose machines are gone: the end of a destroy job. Diff never plans it.
type DestroyApp struct{ App string }

func (CreateApp) step()      {}
func (DestroyApp) step()     {}
func (AllocateIP) step()     {}
func (ReleaseIP) step()      {}
func (CreateVolume) step()   {}
func (CreateMachine) step()  {}
func (UpdateMachine) step()  {}
func (ReplaceMachine) step() {}
func (DestroyMachine) step() {}

// Change is one difference: old → new at a dotted key. A value that may be secret is left out.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// Stage is a group of steps that may run side by side, up to Parallel at once. The next stage
// begins when all of them are done and proven.
type Stage struct {
	Name     string
	Parallel int
	Steps    []Step
}

// Plan is a decision as data. The zero value changes nothing.
type Plan struct {
	Stages []Stage
	// Notes are for people: machines that are left alone and why.
	Notes []string
}

// Empty reports whether nothing would change.
func (p Plan) Empty() bool { return len(p.Stages) == 0 }

// Proof is what must be true of an app for its deploy to count: invariant 8.
type Proof struct {
	App         string
	Machines    []ProofMachine
	WaitTimeout time.Duration
}

// ProofMachine is one machine that must run as wanted.
type ProofMachine struct {
	// ID is empty for a machine that was found by name.
	ID, Name, Group string
	// Digest is the image digest (sha256:…) that it must run.
	Digest string
	Config *flygo.MachineConfig
	// Stopped allows the machine to be stopped or suspended (autostop, standby).
	Stopped bool
	// Launched wants it to have started since it was made or updated, also where it may have been
	// stopped again.
	Launched bool
	// Impossible says why nothing can meet this proof: the intent was refused. See ProofOf.
	Impossible string
}
