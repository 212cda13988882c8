package plan

import (
	"encoding/json"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

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
	// Ordinal counts the addresses of this type and region from 0, without a region those of all regions,
	// a pair of egress addresses as one: the step is already true where there are more of them than Ordinal.
	Ordinal int
}

// ReleaseIP takes an address away. Diff plans it for a dedicated address only with a confirmation.
type ReleaseIP struct {
	App, Address string
	// Egress is true of an address to call out from, which Fly keeps apart from the others.
	Egress bool
	Why    string
}

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
	// Hidden creates it out of the proxy's sight, until Uncordon: a green machine of a bluegreen deploy.
	Hidden bool
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
	// Downtime says who does not answer while the machine restarts; empty where others of its group do.
	Downtime string
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
	App string
	// Machine is as it was observed. One that the plan itself makes before (a canary) has no ID yet: it
	// is found by its name.
	Machine Machine
	Why     string
	// Downtime says what is gone with it; empty where other machines of its group stay.
	Downtime string
}

// SetSecrets sets secrets of the app and removes others, in one call. It holds names; the values are
// given to whoever applies it. Machines see them once they are updated.
type SetSecrets struct {
	App        string
	Set, Unset []string
}

// CreateAddon creates a service in the app's organisation.
type CreateAddon struct {
	App, Org string
	Addon    machine.Addon
}

// DestroyAddon destroys a service for good. Diff never plans it without a confirmation, and only for one
// that FlyCD has made for this app (MetaAddons).
type DestroyAddon struct {
	App, Why string
	Addon    Addon
}

// AddCert asks for a certificate.
type AddCert struct{ App, Hostname string }

// RemoveCert removes a certificate and its host name. Diff never plans it without a confirmation.
type RemoveCert struct{ App, Hostname, Why string }

// ExtendVolume makes a volume larger, which cannot be undone.
type ExtendVolume struct {
	App    string
	Volume flygo.Volume
	SizeGB int
}

// UpdateVolume changes how a volume is kept; nil leaves a setting as it is.
type UpdateVolume struct {
	App                string
	Volume             flygo.Volume
	SnapshotRetention  *int
	ScheduledSnapshots *bool
	Changes            []Change
}

// DestroyVolume destroys a volume and what is on it. Diff never plans it without a confirmation, and
// never for one that is attached.
type DestroyVolume struct {
	App, Why string
	Volume   flygo.Volume
}

// The kinds of commands.
const (
	ReleaseCommand = "release_command"
	SeedCommand    = "seed_command"
	MachineCheck   = "machine_check"
)

// RunCommand runs a command in an ephemeral machine and is true once that has ended with 0. The
// machine's name is derived from the job, and it is never made a second time: where one of that name
// is there, or was, its ending counts.
type RunCommand struct {
	App, Name, Region string
	// Kind is one of the constants above.
	Kind    string
	Config  *flygo.MachineConfig
	Timeout time.Duration
	// Beside is the name of the machine that a check is about: its address, environment, guest and
	// (unless Config has one) image go into the config.
	Beside string
}

// Cordon takes a machine out of the proxy's sight, Uncordon brings it in.
type Cordon struct{ App, Machine, Name string }

// Uncordon is the opposite of Cordon. Machine may be empty: the machine is then found by its name.
type Uncordon struct{ App, Machine, Name string }

// DestroyApp removes an app whose machines are gone: the end of a destroy job. Diff never plans it.
type DestroyApp struct{ App string }

func (CreateApp) step()      {}
func (SetSecrets) step()     {}
func (CreateAddon) step()    {}
func (DestroyAddon) step()   {}
func (AddCert) step()        {}
func (RemoveCert) step()     {}
func (ExtendVolume) step()   {}
func (UpdateVolume) step()   {}
func (DestroyVolume) step()  {}
func (RunCommand) step()     {}
func (Cordon) step()         {}
func (Uncordon) step()       {}
func (DestroyApp) step()     {}
func (AllocateIP) step()     {}
func (ReleaseIP) step()      {}
func (CreateVolume) step()   {}
func (CreateMachine) step()  {}
func (UpdateMachine) step()  {}
func (ReplaceMachine) step() {}
func (DestroyMachine) step() {}
