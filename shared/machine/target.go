package machine

import (
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// Target is what Fly should hold for one app, decided from its manifest alone.
type Target struct {
	App, Org, Network string
	PrimaryRegion     string
	// Strategy is rolling, immediate, canary or bluegreen; empty means rolling.
	Strategy string
	// MaxUnavailable is flyctl's: below 1 a share of the group, else a number of machines.
	MaxUnavailable float64
	// WaitTimeout bounds each wait for a machine to start or to become healthy.
	WaitTimeout time.Duration
	// Groups are in the order of their names.
	Groups []Group
	// Files are written into the machines of all groups and of the release command, as flyctl does.
	// They are not in the groups' configs, since flyctl lays them in only when it deploys: plan.Diff
	// does.
	Files []*flygo.File
	// Volumes are one per mount of a group, which holds one at most.
	Volumes []Volume
	// IPs are wanted when the manifest names addresses. Where it names none to be called at (egress
	// addresses are not), DefaultIPs says what a first deploy of the app needs: "", "shared" or
	// "dedicated".
	IPs        []IP
	PruneIPs   bool
	DefaultIPs string
	// ReleaseCommand is nil where there is none. Its image is filled in as the groups' is.
	ReleaseCommand        *flygo.MachineConfig
	ReleaseCommandTimeout time.Duration
	// CommandGuest sizes the machine of a release or seed command where neither its config has a guest
	// nor a machine of the default group is there to take it from. Ask GuestOfCommand.
	CommandGuest *flygo.MachineGuest
	// SeedCommand runs as a release command does, once, after the app's first deploy; nil where there
	// is none.
	SeedCommand *flygo.MachineConfig
	// Checks are the machine_checks: commands that must succeed beside each machine that was updated.
	Checks []Check
	// Schedules are groups of one machine each that Fly starts by the clock, in the order of their names,
	// which are those of the schedules; Group.Schedule says how often. Their machines get the files too.
	Schedules []Group
	// Secrets are the names of the secrets that the manifest lists, sorted; where the values come from is
	// the manifest's. PruneSecrets removes those that are not listed and that no add-on brings.
	Secrets      []string
	PruneSecrets bool
	// Certs are the host names that need a certificate, sorted.
	Certs []string
	// Addons are the services that are ensured and attached.
	Addons []Addon
	// Prune allows what the manifest no longer names to be destroyed (sync.prune). Without the
	// job's confirmation it still never takes a volume, a database, a certificate or a dedicated address.
	Prune bool
	// Ignore are the fields that are left to others (sync.ignore): see plan.Diff.
	Ignore []string
	// Warnings name what was understood but has no effect.
	Warnings []string
}

// Group is the machines of one process group.
type Group struct {
	Name string
	// Config lacks the image, the files and FlyCD's own metadata: plan.Diff lays them in.
	Config *flygo.MachineConfig
	// Container names the one of Config.Containers that gets the deploy's image; empty where there
	// are none.
	Container string
	// GuestSet is false where the manifest says nothing of the size: an existing machine keeps
	// its own, and a new one takes it from a sibling, else NewGuest.
	GuestSet bool
	// NewGuest sizes the first machine of a group whose size the manifest leaves open.
	NewGuest *flygo.MachineGuest
	// ExactRegions reports that the manifest lists extra regions: the group then has machines in
	// each of Regions, also where it has machines elsewhere already.
	ExactRegions bool
	// Regions are where machines run, the primary region first. One empty string lets Fly choose.
	Regions []string
	// Count is the exact number in each region where the manifest has one, and CountIn that of single
	// regions. Where neither says anything, existing machines stay as many as they are, and Create are
	// made where there are none. Ask CountOf.
	Count   *int
	CountIn map[string]int
	Create  int
	// Schedule is hourly, daily, weekly or monthly for a schedule's group, else empty.
	Schedule string
	// Standby adds one stopped standby to a group that is created. A group with a count has none: it is
	// exact.
	Standby bool
}

// CountOf gives the number of machines in the region, and whether it is exact.
func (g Group) CountOf(region string) (n int, exact bool) {
	if n, ok := g.CountIn[region]; ok {
		return n, true
	}
	if g.Count != nil {
		return *g.Count, true
	}
	return g.Create, false
}

// Counted reports whether the manifest has a count for the group.
func (g Group) Counted() bool { return g.Count != nil || len(g.CountIn) > 0 }

// Volume is the volume that each machine of a group mounts.
type Volume struct {
	Group, Name string
	// SizeGB is that of a new volume. Fixed says that it is the manifest's own (volumes.size_gb): one that is
	// there grows to it.
	SizeGB int
	Fixed  bool
	// Count is the least number of volumes in each region; 0 where they follow the machines.
	Count int
	// The rest is nil where the manifest says nothing.
	SnapshotRetention  *int
	ScheduledSnapshots *bool
	Encrypted          *bool
}

// Check is a command that must succeed in an ephemeral machine beside each machine of Group that was
// updated. Its config lacks what only the updated machine says: the image (unless the check has one),
// the guest, the environment of that machine and FLY_TEST_MACHINE_IP.
type Check struct {
	Group  string
	Config *flygo.MachineConfig
}

// Addon is a service that the app should have.
type Addon struct {
	// Type is redis, tigris or postgres.
	Type, Name, Plan, Region string
	// Secret is the name of the secret that gets its URL; empty for tigris, whose secrets have fixed names.
	Secret string
	// From is the name of the secret of the manifest that holds the URL of a service run elsewhere; such
	// an add-on is never created.
	From string
}

// IP is an address that the app should have.
type IP struct {
	// Type is v4, v6, shared_v4, private_v6, as Fly's API names them, or egress: a pair of static
	// addresses to call out from, by region.
	Type, Region, Network, Org string
}

// Inputs are what a translation needs beside the manifest.
type Inputs struct {
	// Files holds the content of files that the manifest names (files.local_path, compose and
	// machine_config files), by the path as it is written there.
	// One that is there and nil is known to be in the app's source, which is not at hand.
	Files map[string][]byte
}

// FilesOf lists the paths that Translate will look up in Inputs.Files, in a stable order. They are as
// the manifest writes them: relative to the app's source, else to the manifest's folder. Of several compose
// files that may be there, only one has to be.
func FilesOf(app *manifest.App) []string { return filesOf(app) }

// FilesIn lists the further paths that files name in turn, given the contents of those that FilesOf
// lists: a machine_config file's local_path, and the files that a compose file mounts. What they name
// is not asked again.
func FilesIn(app *manifest.App, files map[string][]byte) []string { return filesIn(app, files) }

// Translate gives what Fly should hold for app. It is pure: the same app and inputs give the same
// target. The machine configs are those that flyctl would send (golden/machine-config), but for
// the version stamps that are not ours to write. The error names the key and what was expected;
// no attempt can help it.
func Translate(app *manifest.App, in Inputs) (Target, error) { return translate(app, in) }
