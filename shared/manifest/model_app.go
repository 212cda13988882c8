package manifest

// App is what one app.yaml (or app.toml, fly.toml) says after inheritance: Fly's app
// configuration and FlyCD's own keys. Pointers and nil maps tell "not written" from a zero.
type App struct {
	Name          string   `yaml:"app" doc:"Name of the app on Fly: small letters, digits and dashes."`
	Org           string   `yaml:"org" doc:"Slug of the organisation the app is created in."`
	PrimaryRegion string   `yaml:"primary_region" doc:"Region where machines run first, such as ams."`
	ExtraRegions  []string `yaml:"extra_regions" doc:"Further regions where machines and volumes run."`

	Source       Source   `yaml:"source" doc:"Where the code or the image comes from. Without it: the folder of this file, or build.image."`
	MergeCfg     MergeCfg `yaml:"merge_cfg" doc:"Files of the config folder that are copied over the source before building."`
	LaunchParams []string `yaml:"launch_params" doc:"Old flags for flyctl launch; those that mean something here are honoured."`
	DeployParams []string `yaml:"deploy_params" doc:"Old flags for flyctl deploy; those that mean something here are honoured."`

	// HA follows flyctl's rule for the machines of a new group: two where there are services, one
	// and a stopped standby where there are none, one with mounts. Nil means false.
	HA           *bool       `yaml:"ha" doc:"Create groups with two machines, as flyctl does with high availability."`
	Machines     Machines    `yaml:"machines" doc:"Number and size of machines, for all groups or by group."`
	Volumes      []Volume    `yaml:"volumes" doc:"Sizes of volumes that mounts refer to."`
	Secrets      []SecretRef `yaml:"secrets" doc:"Secrets of the app and where their values come from."`
	SecretsPrune bool        `yaml:"secrets_prune" doc:"Remove secrets from the app that are not listed."`
	Network      Network     `yaml:"network" doc:"IP addresses of the app."`
	Certs        []Cert      `yaml:"certs" doc:"Certificates for host names."`
	Addons       []Addon     `yaml:"addons" doc:"Services that are ensured and attached."`
	DependsOn    []string    `yaml:"depends_on" doc:"Apps that are deployed and healthy first."`
	Schedules    []Schedule  `yaml:"schedules" doc:"Commands that run by the clock, in machines of their own."`
	Verify       []Probe     `yaml:"verify" doc:"Addresses that are asked from outside after a deploy."`
	Sync         Sync        `yaml:"sync" doc:"Policy for following Git."`
	Notify       []Notify    `yaml:"notify" doc:"Who is told of what becomes of the app."`
	// OnFailure is rollback, stop or none; empty means rollback where a release exists.
	OnFailure string `yaml:"on_failure" in:"enum=rollback|stop|none" doc:"What happens when a deploy fails; rollback where a release exists."`

	KillSignal       *string           `yaml:"kill_signal" doc:"Signal that stops a machine, such as SIGTERM."`
	KillTimeout      *Duration         `yaml:"kill_timeout" in:"unit=s" doc:"Time a machine has to stop; a number is seconds."`
	SwapSizeMB       *int              `yaml:"swap_size_mb" in:"min=0" doc:"Swap space of a machine in MB."`
	ConsoleCommand   string            `yaml:"console_command" doc:"Command of fly console."`
	HostDedicationID string            `yaml:"host_dedication_id" doc:"Dedicated host to run on."`
	VMSize           string            `yaml:"vm_size" doc:"Preset for machines, such as shared-cpu-1x."`
	Experimental     *Experimental     `yaml:"experimental" doc:"Settings that Fly may change."`
	Build            *Build            `yaml:"build" doc:"How the image is made."`
	Image            ImageSettings     `yaml:"image" in:"form={repository: ghcr.io/acme/web}" doc:"Where the app's image is kept."`
	DeploySection    *DeploySection    `yaml:"deploy" doc:"How a deploy goes."`
	Env              map[string]string `yaml:"env" in:"pairs" doc:"Environment variables; any scalar becomes text."`
	Processes        map[string]string `yaml:"processes" in:"pairs=name|command" doc:"Process groups and their commands."`
	HTTPService      *HTTPService      `yaml:"http_service" doc:"The web service on ports 80 and 443."`
	Services         []Service         `yaml:"services" in:"one" doc:"Services that Fly's proxy offers."`
	Checks           map[string]*Check `yaml:"checks" in:"pairs=name" doc:"Checks that belong to no service, by name."`
	Mounts           []Mount           `yaml:"mounts" in:"one,alias=mount" doc:"Volumes and where they are mounted."`
	Statics          []Static          `yaml:"statics" doc:"Files that Fly's proxy serves."`
	Files            []File            `yaml:"files" doc:"Files that are written into machines."`
	Metrics          []Metrics         `yaml:"metrics" in:"one,alias=metric" doc:"Where Fly scrapes Prometheus metrics."`
	VM               []VM              `yaml:"vm" in:"one,alias=compute|computes" doc:"Size of machines, by process group."`
	Restart          []Restart         `yaml:"restart" in:"one" doc:"What happens when a process ends."`
	MachineChecks    []MachineCheck    `yaml:"machine_checks" doc:"Commands that must succeed in a machine of their own after a deploy."`
	MachineConfig    string            `yaml:"machine_config" doc:"Machine configuration as JSON, or a file with it."`
	Container        string            `yaml:"container" doc:"Container that gets the deploy's image."`

	// Lenient is Options.Lenient: what has no effect is worth a warning, also where it is found later.
	Lenient bool `yaml:"-"`
}
