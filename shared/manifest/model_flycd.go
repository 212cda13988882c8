package manifest

// Guest is what FlyCD's machines keys can say of a machine's size.
type Guest struct {
	// Count is how many machines a group has in each region; it is exact where it is written.
	// CountPerRegion has another number for single regions, by region code.
	Count          *int           `yaml:"count" in:"min=0" doc:"Exact number of machines in each region."`
	CountPerRegion map[string]int `yaml:"count_per_region" in:"min=0" doc:"Another number for single regions, by region."`
	RAMMB          *int           `yaml:"ram_mb" in:"min=0" doc:"Memory in MB."`
	CPUCores       *int           `yaml:"cpu_cores" in:"min=0" doc:"Number of CPUs."`
	CPUType        string         `yaml:"cpu_type" doc:"Kind of CPU: shared or performance."`
	// Size is one of Fly's presets.
	Size string `yaml:"size" doc:"Preset, such as shared-cpu-1x."`
}

// Machines sizes all groups by its own keys and single groups by Groups, which win.
type Machines struct {
	Guest  `yaml:",inline" in:"inline"`
	Groups map[string]Guest `yaml:"-" in:"rest"`
}

// Volume is FlyCD's own form of a volume.
type Volume struct {
	Name              string `yaml:"name" doc:"Name that mounts refer to."`
	SizeGB            int    `yaml:"size_gb" in:"min=0" doc:"Size in GB; it grows, never shrinks."`
	Count             *int   `yaml:"count" in:"min=0" doc:"Least number of volumes."`
	SnapshotRetention *int   `yaml:"snapshot_retention" doc:"Days that snapshots are kept."`
	Encrypted         *bool  `yaml:"encrypted" doc:"Encrypt the volume."`
}

// SecretRef says where a secret's value is found; only a raw one carries it, as a Secret.
type SecretRef struct {
	Name string `yaml:"name" doc:"Name of the secret in the app."`
	// Type is env, raw, sops or file.
	Type string `yaml:"type" in:"enum=env|raw|sops|file" doc:"Where the value comes from."`
	// Env is the name in the runner's environment where it differs from Name.
	Env  string `yaml:"env" doc:"Name in the runner's environment, where it differs."`
	Raw  Secret `yaml:"raw" in:"alias=value" doc:"The value itself; for tests only."`
	File string `yaml:"file" doc:"File that holds the value."`
	Key  string `yaml:"key" doc:"Key in that file."`
	// BuildOnly keeps the secret from the app's machines.
	BuildOnly bool `yaml:"build_only" doc:"For builds alone (build.secrets, build.ssh): the app does not get it."`
}

// Network lists the addresses of an app.
type Network struct {
	IPs          []IP `yaml:"ips" doc:"Addresses of the app."`
	AutoPruneIPs bool `yaml:"auto_prune_ips" doc:"Remove addresses that are not listed."`
	// Name puts the app into a private network of its own.
	Name string `yaml:"name" doc:"Private network of its own."`
}

// Schedule is a command that runs by the clock in a machine of its own, with the app's current image.
type Schedule struct {
	Name    string `yaml:"name" doc:"Name of the schedule, unique in the app."`
	Command string `yaml:"command" doc:"Command that runs."`
	// Every is Fly's: fuzzy, counted from the machine's first start.
	Every  string            `yaml:"every" in:"enum=hourly|daily|weekly|monthly" doc:"How often: hourly, daily, weekly or monthly."`
	Region string            `yaml:"region" doc:"Region it runs in; the primary region without it."`
	Env    map[string]string `yaml:"env" in:"pairs" doc:"Further environment variables."`
	VM     *VM               `yaml:"vm" doc:"Size of its machine."`
}

// IP is one address.
type IP struct {
	// V is v4 or v6.
	V       string `yaml:"v" in:"enum=v4|v6" doc:"v4 or v6."`
	Shared  bool   `yaml:"shared" doc:"Shared v4 address."`
	Private bool   `yaml:"private" doc:"Private v6 address (Flycast)."`
	Egress  bool   `yaml:"egress" doc:"Static address that the app's machines in the region call out from; v4 and v6 come together."`
	Network string `yaml:"network" doc:"Network of a private address."`
	Org     string `yaml:"org" doc:"Organisation of a private address."`
	Region  string `yaml:"region" doc:"Region of the address."`
}

// Cert is a certificate for a host name.
type Cert struct {
	Hostname string `yaml:"hostname" doc:"Host name that the certificate is for."`
}

// Addon is a service that is ensured and attached.
type Addon struct {
	Type string `yaml:"type" in:"enum=redis|tigris|postgres" doc:"Kind of service."`
	Name string `yaml:"name" doc:"Name of the service; without it <app>-<type>."`
	// Secret is REDIS_URL for redis and DATABASE_URL for postgres where it is empty; a bucket has
	// several secrets with names of their own (AWS_ACCESS_KEY_ID, …) and takes none here.
	Secret string `yaml:"secret" doc:"Secret that gets its URL, where not the usual one."`
	// URLSecret names an entry of secrets that holds the URL of a service which is run elsewhere:
	// nothing is created, and the URL is attached as if it were.
	URLSecret string `yaml:"url_secret" doc:"Entry of secrets with the URL of a service that is run elsewhere."`
	Plan      string `yaml:"plan" doc:"Plan to create it with."`
	Region    string `yaml:"region" doc:"Region to create it in."`
}

// Probe asks an address from outside after a deploy.
type Probe struct {
	URL      string    `yaml:"url" doc:"Address to ask."`
	Status   int       `yaml:"status" doc:"Expected HTTP status."`
	Contains string    `yaml:"contains" doc:"Text that the answer contains."`
	Within   *Duration `yaml:"within" in:"unit=s" doc:"Time within which the answer must come; a number is seconds."`
}

// Sync is the policy for following Git.
type Sync struct {
	Auto     *bool `yaml:"auto" doc:"Deploy what Git says without being asked."`
	SelfHeal *bool `yaml:"self_heal" doc:"Undo what was changed by hand."`
	Prune    *bool `yaml:"prune" doc:"Destroy what Git no longer names."`
	// PruneMax is a number of apps, or a percentage of the tree's apps; PruneLimit reads it.
	PruneMax   string    `yaml:"prune_max" doc:"Most apps that one sync destroys: a number, or a percentage of the tree's apps such as 20%; 3 without it."`
	PruneGrace *Duration `yaml:"prune_grace" in:"unit=s" doc:"Time that an app stays after Git stopped naming it, 10m without it; a number is seconds."`
	Retry      Retry     `yaml:"retry" doc:"How often a failed deploy is tried again."`
	Windows    []Window  `yaml:"windows" doc:"Times when deploys may run, or may not."`
	// Ignore names fields that FlyCD leaves to others.
	Ignore []string `yaml:"ignore" doc:"Fields that are left to others."`
}

// Retry bounds the attempts of a job.
type Retry struct {
	Limit   *int      `yaml:"limit" doc:"Most attempts."`
	Backoff *Duration `yaml:"backoff" in:"unit=s" doc:"Wait before the next attempt; a number is seconds."`
}

// Window is a time when deploys may run, or may not.
type Window struct {
	Kind     string    `yaml:"kind" in:"enum=allow|deny" doc:"allow or deny."`
	Schedule string    `yaml:"schedule" doc:"Start of the window, as cron writes it."`
	Duration *Duration `yaml:"duration" in:"unit=s" doc:"Length of the window; a number is seconds."`
	Timezone string    `yaml:"timezone" doc:"Time zone, such as Europe/Stockholm."`
}
