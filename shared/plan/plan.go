package plan

import (
	"encoding/json"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
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
	// Secrets, Certs and Addons are looked at only where Scope asks for them. Addons are those of the
	// organisation that Scope names.
	Secrets []Secret
	Certs   []Cert
	Addons  []Addon
	// Commands are the ephemeral machines of release commands, seeds and checks of this app that Fly still
	// knows, destroyed ones included, newest first. Only looked at where Scope asks for them.
	Commands []Machine
}

// Scope says what to observe of an app beside its machines, volumes and addresses. The zero value is
// the least.
type Scope struct {
	Secrets, Certs, Commands bool
	// Addons are looked for by their types and names.
	Addons []machine.Addon
	// Egress adds the app's egress addresses to IPs: one more request.
	Egress bool
}

// ScopeOf gives what Diff needs to know for the target.
func ScopeOf(t machine.Target) Scope {
	s := Scope{
		Secrets:  len(t.Secrets) > 0 || t.PruneSecrets || len(t.Addons) > 0,
		Certs:    len(t.Certs) > 0,
		Commands: t.ReleaseCommand != nil || t.SeedCommand != nil || len(t.Checks) > 0,
	}
	for _, a := range t.Addons {
		if a.From == "" {
			s.Addons = append(s.Addons, a)
		}
	}
	for _, ip := range t.IPs {
		s.Egress = s.Egress || ip.Type == "egress"
	}
	return s
}

// Secret is an observed secret of the app: its name and Fly's own digest, never its value.
type Secret struct{ Name, Digest string }

// Cert is an observed certificate.
type Cert struct {
	Hostname string
	// Issued reports that the certificate is there and the host name leads to the app.
	Issued bool
	// Pending are the DNS records that are still to be made, a line each, such as "A example.com → 1.2.3.4".
	Pending []string
}

// Addon is an observed service.
type Addon struct {
	Type, Name, ID, State string
	// Ready reports that it can be used.
	Ready bool
	// Values are the secrets that attach it, by name, where Fly tells them; nil where it does not.
	Values map[string]manifest.Secret
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
	// Egress is true of an address to call out from.
	Egress bool
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
	// Secrets are those that the app should have: the manifest's and the add-ons'.
	Secrets []WantedSecret
	// Job is the id of the job, which names the ephemeral machines of its commands, so that each of them
	// runs at most once for a job. Empty for a dry run.
	Job string
	// First reports that FlyCD has not deployed the app before: the seed command runs.
	First bool
	// Confirm is a person's word that what is lost for good may go: volumes, databases, certificates,
	// dedicated addresses. It works only together with Target.Prune (or Target.PruneIPs).
	Confirm bool
}

// WantedSecret is a secret that the app should have. Diff compares it with what the machines say of
// it (metadata flycd_secrets: for each secret the MAC of its value and Fly's digest when it was set)
// and with Fly's digest now, so that an unchanged value costs nothing.
type WantedSecret struct {
	Name string
	// MAC is the HMAC of the value under FLYCD_DIGEST_KEY. It is empty without that key: the secret is then
	// set again whenever the app's digest changes.
	MAC string
	// Unknown is true of a value that cannot be had (an add-on's, that Fly tells only once): the secret
	// is left as it is where it exists.
	Unknown bool
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

// DestroyAddon destroys a service for good. Diff never plans it without a confirmation.
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
	// Again says that what follows depends on what this stage brings about: whoever applies the plan
	// observes the app after it and asks Diff again. The stages behind it are there to be read.
	Again bool
	// Unproven says that the machines which the stage touches are not proven after it: a later
	// stage of the same plan does away with them, or wakes them.
	Unproven bool
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
