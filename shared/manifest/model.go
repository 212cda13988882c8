package manifest

// App is what one app.yaml (or app.toml, fly.toml) says after inheritance: Fly's app
// configuration and FlyCD's own keys. Pointers and nil maps tell "not written" from a zero.
type App struct {
	Name          string   `yaml:"app"`
	Org           string   `yaml:"org"`
	PrimaryRegion string   `yaml:"primary_region"`
	ExtraRegions  []string `yaml:"extra_regions"`

	Source       Source   `yaml:"source"`
	MergeCfg     MergeCfg `yaml:"merge_cfg"`
	LaunchParams []string `yaml:"launch_params"`
	DeployParams []string `yaml:"deploy_params"`

	// HA follows flyctl's rule for the machines of a new group: two where there are services, one
	// and a stopped standby where there are none, one with mounts. Nil means false.
	HA           *bool       `yaml:"ha"`
	Machines     Machines    `yaml:"machines"`
	Volumes      []Volume    `yaml:"volumes"`
	Secrets      []SecretRef `yaml:"secrets"`
	SecretsPrune bool        `yaml:"secrets_prune"`
	Network      Network     `yaml:"network"`
	Certs        []Cert      `yaml:"certs"`
	Addons       []Addon     `yaml:"addons"`
	DependsOn    []string    `yaml:"depends_on"`
	Verify       []Probe     `yaml:"verify"`
	Sync         Sync        `yaml:"sync"`
	// OnFailure is rollback, stop or none; empty means rollback where a release exists.
	OnFailure string `yaml:"on_failure" in:"enum=rollback|stop|none"`

	KillSignal       *string           `yaml:"kill_signal"`
	KillTimeout      *Duration         `yaml:"kill_timeout" in:"unit=s"`
	SwapSizeMB       *int              `yaml:"swap_size_mb"`
	ConsoleCommand   string            `yaml:"console_command"`
	HostDedicationID string            `yaml:"host_dedication_id"`
	VMSize           string            `yaml:"vm_size"`
	Experimental     *Experimental     `yaml:"experimental"`
	Build            *Build            `yaml:"build"`
	DeploySection    *DeploySection    `yaml:"deploy"`
	Env              map[string]string `yaml:"env" in:"pairs"`
	Processes        map[string]string `yaml:"processes" in:"pairs=name|command"`
	HTTPService      *HTTPService      `yaml:"http_service"`
	Services         []Service         `yaml:"services" in:"one"`
	Checks           map[string]*Check `yaml:"checks" in:"pairs=name"`
	Mounts           []Mount           `yaml:"mounts" in:"one,alias=mount"`
	Statics          []Static          `yaml:"statics"`
	Files            []File            `yaml:"files"`
	Metrics          []Metrics         `yaml:"metrics" in:"one,alias=metric"`
	VM               []VM              `yaml:"vm" in:"one,alias=compute|computes"`
	Restart          []Restart         `yaml:"restart" in:"one"`
	MachineChecks    []MachineCheck    `yaml:"machine_checks"`
	MachineConfig    string            `yaml:"machine_config"`
	Container        string            `yaml:"container"`
}

// Source says where an app's code or image comes from.
type Source struct {
	// Type is git, local, inline-docker-file or image ("docker" is read as image).
	Type string `yaml:"type" in:"enum=git|local|inline-docker-file|image,also=docker:image"`
	Repo string `yaml:"repo"`
	// Path is a folder inside the repository, or for local one relative to the app.yaml.
	Path string `yaml:"path"`
	Ref  Ref    `yaml:"ref"`
	// Inline is the text of a Dockerfile.
	Inline string `yaml:"inline"`
	// Image is an image reference.
	Image  string      `yaml:"image"`
	Policy ImagePolicy `yaml:"policy"`
	// Watch lists globs of further paths whose change counts.
	Watch []string `yaml:"watch"`
}

// Ref chooses a commit of a repository; at most one field is set. The zero value is the default
// branch.
type Ref struct {
	Branch string `yaml:"branch"`
	Tag    string `yaml:"tag"`
	Commit string `yaml:"commit"`
	// Semver takes the newest matching tag.
	Semver string `yaml:"semver"`
	// Name is any full ref, such as refs/pull/7/head.
	Name string `yaml:"name"`
}

// ImagePolicy follows new tags of an image.
type ImagePolicy struct {
	Semver string `yaml:"semver"`
	Regex  string `yaml:"regex"`
	Digest bool   `yaml:"digest"`
}

// MergeCfg copies files of the config folder over the app's source before building.
type MergeCfg struct {
	All     bool     `yaml:"all"`
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
}

// Guest is what FlyCD's machines keys can say of a machine's size.
type Guest struct {
	// Count is how many machines a group has in each region; it is exact where it is written.
	// CountPerRegion has another number for single regions, by region code.
	Count          *int           `yaml:"count" in:"min=0"`
	CountPerRegion map[string]int `yaml:"count_per_region" in:"min=0"`
	RAMMB          *int           `yaml:"ram_mb"`
	CPUCores       *int           `yaml:"cpu_cores"`
	CPUType        string         `yaml:"cpu_type"`
	// Size is one of Fly's presets.
	Size string `yaml:"size"`
}

// Machines sizes all groups by its own keys and single groups by Groups, which win.
type Machines struct {
	Guest  `yaml:",inline" in:"inline"`
	Groups map[string]Guest `yaml:"-" in:"rest"`
}

// Volume is FlyCD's own form of a volume.
type Volume struct {
	Name              string `yaml:"name"`
	SizeGB            int    `yaml:"size_gb"`
	Count             *int   `yaml:"count"`
	SnapshotRetention *int   `yaml:"snapshot_retention"`
	Encrypted         *bool  `yaml:"encrypted"`
}

// SecretRef says where a secret's value is found; only a raw one carries it, as a Secret.
type SecretRef struct {
	Name string `yaml:"name"`
	// Type is env, raw, sops or file.
	Type string `yaml:"type" in:"enum=env|raw|sops|file"`
	// Env is the name in the runner's environment where it differs from Name.
	Env  string `yaml:"env"`
	Raw  Secret `yaml:"raw" in:"alias=value"`
	File string `yaml:"file"`
	Key  string `yaml:"key"`
}

// Network lists the addresses of an app.
type Network struct {
	IPs          []IP `yaml:"ips"`
	AutoPruneIPs bool `yaml:"auto_prune_ips"`
	// Name puts the app into a private network of its own.
	Name string `yaml:"name"`
}

// IP is one address.
type IP struct {
	// V is v4 or v6.
	V       string `yaml:"v" in:"enum=v4|v6"`
	Shared  bool   `yaml:"shared"`
	Private bool   `yaml:"private"`
	Network string `yaml:"network"`
	Org     string `yaml:"org"`
	Region  string `yaml:"region"`
}

// Cert is a certificate for a host name.
type Cert struct {
	Hostname string `yaml:"hostname"`
}

// Addon is a service that is ensured and attached.
type Addon struct {
	Type      string `yaml:"type"`
	Name      string `yaml:"name"`
	URLSecret string `yaml:"url_secret"`
	Plan      string `yaml:"plan"`
	Region    string `yaml:"region"`
}

// Probe asks an address from outside after a deploy.
type Probe struct {
	URL      string    `yaml:"url"`
	Status   int       `yaml:"status"`
	Contains string    `yaml:"contains"`
	Within   *Duration `yaml:"within" in:"unit=s"`
}

// Sync is the policy for following Git.
type Sync struct {
	Auto     *bool    `yaml:"auto"`
	SelfHeal *bool    `yaml:"self_heal"`
	Prune    *bool    `yaml:"prune"`
	Retry    Retry    `yaml:"retry"`
	Windows  []Window `yaml:"windows"`
	// Ignore names fields that FlyCD leaves to others.
	Ignore []string `yaml:"ignore"`
}

// Retry bounds the attempts of a job.
type Retry struct {
	Limit   *int      `yaml:"limit"`
	Backoff *Duration `yaml:"backoff" in:"unit=s"`
}

// Window is a time when deploys may run, or may not.
type Window struct {
	Kind     string    `yaml:"kind"`
	Schedule string    `yaml:"schedule"`
	Duration *Duration `yaml:"duration" in:"unit=s"`
	Timezone string    `yaml:"timezone"`
}

// Experimental is Fly's section of that name.
type Experimental struct {
	Cmd            []string `yaml:"cmd" in:"one"`
	Entrypoint     []string `yaml:"entrypoint" in:"one"`
	Exec           []string `yaml:"exec" in:"one"`
	AutoRollback   bool     `yaml:"auto_rollback"`
	EnableConsul   bool     `yaml:"enable_consul"`
	EnableEtcd     bool     `yaml:"enable_etcd"`
	LazyLoadImages bool     `yaml:"lazy_load_images"`
	MachineConfig  string   `yaml:"machine_config"`
	// KillTimeout, MetricsPort and MetricsPath are old places of kill_timeout and metrics, which are
	// filled from them where they are not written.
	KillTimeout *Duration      `yaml:"kill_timeout" in:"unit=s"`
	MetricsPort *int           `yaml:"metrics_port" in:"lax,min=1,max=65535"`
	MetricsPath string         `yaml:"metrics_path"`
	Attached    map[string]any `yaml:"attached"`
}

// Build says how the image is made.
type Build struct {
	Builder          string            `yaml:"builder"`
	Args             map[string]string `yaml:"args"`
	Buildpacks       []string          `yaml:"buildpacks"`
	Image            string            `yaml:"image"`
	Settings         map[string]any    `yaml:"settings"`
	Builtin          string            `yaml:"builtin"`
	Dockerfile       string            `yaml:"dockerfile"`
	Ignorefile       string            `yaml:"ignorefile"`
	Target           string            `yaml:"build-target" in:"alias=build_target"`
	Compose          *Compose          `yaml:"compose"`
	Compression      string            `yaml:"compression"`
	CompressionLevel *int              `yaml:"compression_level"`
}

// Compose names a compose file.
type Compose struct {
	File string `yaml:"file"`
}

// DeploySection is Fly's [deploy].
type DeploySection struct {
	Strategy              string    `yaml:"strategy" in:"enum=rolling|immediate|canary|bluegreen"`
	MaxUnavailable        *float64  `yaml:"max_unavailable"`
	WaitTimeout           *Duration `yaml:"wait_timeout"`
	ReleaseCommand        string    `yaml:"release_command"`
	ReleaseCommandTimeout *Duration `yaml:"release_command_timeout"`
	ReleaseCommandVM      *VM       `yaml:"release_command_vm"`
	SeedCommand           string    `yaml:"seed_command"`
}

// HTTPService is Fly's [http_service].
type HTTPService struct {
	InternalPort       int            `yaml:"internal_port" in:"min=0,max=65535"`
	ForceHTTPS         bool           `yaml:"force_https"`
	AutoStopMachines   *Autostop      `yaml:"auto_stop_machines"`
	AutoStartMachines  *bool          `yaml:"auto_start_machines"`
	MinMachinesRunning *int           `yaml:"min_machines_running"`
	Processes          []string       `yaml:"processes"`
	Concurrency        *Concurrency   `yaml:"concurrency"`
	TLSOptions         *TLSOptions    `yaml:"tls_options"`
	HTTPOptions        *HTTPOptions   `yaml:"http_options"`
	Checks             []HTTPCheck    `yaml:"checks"`
	MachineChecks      []MachineCheck `yaml:"machine_checks"`
}

// Autostop is "off", "stop" or "suspend"; true and false are read as "stop" and "off".
type Autostop string

// Service is one of Fly's [[services]].
type Service struct {
	Protocol           string         `yaml:"protocol"`
	InternalPort       int            `yaml:"internal_port" in:"lax,min=0,max=65535"`
	AutoStopMachines   *Autostop      `yaml:"auto_stop_machines"`
	AutoStartMachines  *bool          `yaml:"auto_start_machines"`
	MinMachinesRunning *int           `yaml:"min_machines_running"`
	Ports              []Port         `yaml:"ports" in:"one"`
	Concurrency        *Concurrency   `yaml:"concurrency"`
	TCPChecks          []TCPCheck     `yaml:"tcp_checks" in:"one"`
	HTTPChecks         []HTTPCheck    `yaml:"http_checks" in:"one"`
	MachineChecks      []MachineCheck `yaml:"machine_checks"`
	Processes          []string       `yaml:"processes"`
}

// Port is a public port or a range of them.
type Port struct {
	Port              *int               `yaml:"port" in:"lax,min=1,max=65535"`
	StartPort         *int               `yaml:"start_port" in:"lax,min=1,max=65535"`
	EndPort           *int               `yaml:"end_port" in:"lax,min=1,max=65535"`
	Handlers          []string           `yaml:"handlers"`
	ForceHTTPS        bool               `yaml:"force_https"`
	TLSOptions        *TLSOptions        `yaml:"tls_options"`
	HTTPOptions       *HTTPOptions       `yaml:"http_options"`
	ProxyProtoOptions *ProxyProtoOptions `yaml:"proxy_proto_options"`
}

// Concurrency bounds the load of a machine.
type Concurrency struct {
	Type      string `yaml:"type"`
	HardLimit int    `yaml:"hard_limit"`
	SoftLimit int    `yaml:"soft_limit"`
}

// TLSOptions are a port's TLS settings.
type TLSOptions struct {
	ALPN              []string `yaml:"alpn"`
	Versions          []string `yaml:"versions"`
	DefaultSelfSigned *bool    `yaml:"default_self_signed"`
}

// HTTPOptions are a port's HTTP settings.
type HTTPOptions struct {
	Compress           *bool                `yaml:"compress"`
	Response           *HTTPResponseOptions `yaml:"response"`
	H2Backend          *bool                `yaml:"h2_backend"`
	IdleTimeout        *int                 `yaml:"idle_timeout"`
	HeadersReadTimeout *int                 `yaml:"headers_read_timeout"`
	ReplayCache        []ReplayCache        `yaml:"replay_cache"`
}

// ReplayCache is a rule for keeping fly-replay answers.
type ReplayCache struct {
	PathPrefix  string `yaml:"path_prefix"`
	TTLSeconds  int    `yaml:"ttl_seconds"`
	Type        string `yaml:"type"`
	Name        string `yaml:"name"`
	AllowBypass *bool  `yaml:"allow_bypass"`
}

// HTTPResponseOptions sets response headers: a string, a list of strings, or false to remove one.
type HTTPResponseOptions struct {
	Headers  map[string]any `yaml:"headers"`
	Pristine *bool          `yaml:"pristine"`
}

// ProxyProtoOptions chooses the version of the PROXY protocol.
type ProxyProtoOptions struct {
	Version string `yaml:"version"`
}

// TCPCheck is a service's TCP check.
type TCPCheck struct {
	Interval    *Duration `yaml:"interval" in:"unit=ms"`
	Timeout     *Duration `yaml:"timeout" in:"unit=ms"`
	GracePeriod *Duration `yaml:"grace_period" in:"unit=ms"`
}

// HTTPCheck is a service's HTTP check.
type HTTPCheck struct {
	Interval      *Duration         `yaml:"interval" in:"unit=ms"`
	Timeout       *Duration         `yaml:"timeout" in:"unit=ms"`
	GracePeriod   *Duration         `yaml:"grace_period" in:"unit=ms"`
	Method        *string           `yaml:"method"`
	Path          *string           `yaml:"path"`
	Protocol      *string           `yaml:"protocol"`
	TLSSkipVerify *bool             `yaml:"tls_skip_verify"`
	TLSServerName *string           `yaml:"tls_server_name"`
	Headers       map[string]string `yaml:"headers" in:"pairs=name|value"`
}

// Check is one of Fly's top-level [checks].
type Check struct {
	Type          string            `yaml:"type" in:"enum=http|tcp"`
	Port          *int              `yaml:"port"`
	Interval      *Duration         `yaml:"interval" in:"unit=ms"`
	Timeout       *Duration         `yaml:"timeout" in:"unit=ms"`
	GracePeriod   *Duration         `yaml:"grace_period" in:"unit=ms"`
	Method        *string           `yaml:"method"`
	Path          *string           `yaml:"path"`
	Protocol      *string           `yaml:"protocol"`
	TLSSkipVerify *bool             `yaml:"tls_skip_verify"`
	TLSServerName *string           `yaml:"tls_server_name"`
	Headers       map[string]string `yaml:"headers" in:"pairs=name|value"`
	Processes     []string          `yaml:"processes"`
}

// MachineCheck is a command that runs in a machine of its own after a deploy.
type MachineCheck struct {
	Command     []string  `yaml:"command"`
	Image       string    `yaml:"image"`
	Entrypoint  []string  `yaml:"entrypoint"`
	KillSignal  *string   `yaml:"kill_signal"`
	KillTimeout *Duration `yaml:"kill_timeout" in:"unit=s"`
}

// Mount puts a volume into a group's machines.
type Mount struct {
	Source                  string   `yaml:"source"`
	Destination             string   `yaml:"destination"`
	InitialSize             string   `yaml:"initial_size"`
	SnapshotRetention       *int     `yaml:"snapshot_retention"`
	ScheduledSnapshots      *bool    `yaml:"scheduled_snapshots"`
	AutoExtendSizeThreshold int      `yaml:"auto_extend_size_threshold"`
	AutoExtendSizeIncrement string   `yaml:"auto_extend_size_increment"`
	AutoExtendSizeLimit     string   `yaml:"auto_extend_size_limit"`
	Processes               []string `yaml:"processes"`
}

// Static serves files of the image or of a bucket from Fly's proxy.
type Static struct {
	GuestPath     string `yaml:"guest_path"`
	URLPrefix     string `yaml:"url_prefix"`
	TigrisBucket  string `yaml:"tigris_bucket"`
	IndexDocument string `yaml:"index_document"`
}

// File is written into a machine.
type File struct {
	GuestPath  string   `yaml:"guest_path"`
	LocalPath  string   `yaml:"local_path"`
	SecretName string   `yaml:"secret_name"`
	RawValue   string   `yaml:"raw_value"`
	Processes  []string `yaml:"processes"`
}

// Metrics is where Fly scrapes a machine.
type Metrics struct {
	Port      int      `yaml:"port"`
	Path      string   `yaml:"path"`
	HTTPS     bool     `yaml:"https"`
	Processes []string `yaml:"processes"`
}

// VM sizes the machines of some groups.
type VM struct {
	Size             string   `yaml:"size"`
	Memory           string   `yaml:"memory"`
	CPUKind          string   `yaml:"cpu_kind"`
	CPUs             int      `yaml:"cpus"`
	MemoryMB         int      `yaml:"memory_mb"`
	MaxMemoryMB      int      `yaml:"max_memory_mb"`
	GPUs             int      `yaml:"gpus"`
	GPUKind          string   `yaml:"gpu_kind"`
	HostDedicationID string   `yaml:"host_dedication_id"`
	PersistRootfs    string   `yaml:"persist_rootfs"`
	KernelArgs       []string `yaml:"kernel_args"`
	Processes        []string `yaml:"processes"`
}

// Restart says what happens when a group's process ends.
type Restart struct {
	// Policy is always, on-failure or never.
	Policy    string   `yaml:"policy" in:"enum=always|on-failure|never"`
	Retries   int      `yaml:"retries"`
	Processes []string `yaml:"processes"`
}
