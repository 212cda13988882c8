package manifest

// Experimental is Fly's section of that name.
type Experimental struct {
	Cmd            []string `yaml:"cmd" in:"one" doc:"Command of the image."`
	Entrypoint     []string `yaml:"entrypoint" in:"one" doc:"Entrypoint of the image."`
	Exec           []string `yaml:"exec" in:"one" doc:"Command that replaces both."`
	AutoRollback   bool     `yaml:"auto_rollback" doc:"Accepted, and without effect; on_failure says what happens when a deploy fails."`
	EnableConsul   bool     `yaml:"enable_consul" doc:"Consul for the app; attached with flyctl."`
	EnableEtcd     bool     `yaml:"enable_etcd" doc:"Etcd for the app; attached with flyctl."`
	LazyLoadImages bool     `yaml:"lazy_load_images" doc:"Let Fly load the image lazily, where it can."`
	MachineConfig  string   `yaml:"machine_config" doc:"Old place of machine_config."`
	// KillTimeout, MetricsPort and MetricsPath are old places of kill_timeout and metrics, which are
	// filled from them where they are not written.
	KillTimeout *Duration      `yaml:"kill_timeout" in:"unit=s" doc:"Old place of kill_timeout."`
	MetricsPort *int           `yaml:"metrics_port" in:"lax,min=1,max=65535" doc:"Old place of metrics.port."`
	MetricsPath string         `yaml:"metrics_path" doc:"Old place of metrics.path."`
	Attached    map[string]any `yaml:"attached" doc:"What flyctl launch exports when it makes an app; without effect on a deploy."`
}

// DeploySection is Fly's [deploy].
type DeploySection struct {
	Strategy              string    `yaml:"strategy" in:"enum=rolling|immediate|canary|bluegreen" doc:"How machines are replaced."`
	MaxUnavailable        *float64  `yaml:"max_unavailable" doc:"Machines that may be down at once: a number, or a fraction below 1."`
	WaitTimeout           *Duration `yaml:"wait_timeout" doc:"Time to wait for a machine."`
	ReleaseCommand        string    `yaml:"release_command" doc:"Command that runs before the deploy."`
	ReleaseCommandTimeout *Duration `yaml:"release_command_timeout" doc:"Time it may take."`
	ReleaseCommandVM      *VM       `yaml:"release_command_vm" doc:"Size of its machine."`
	SeedCommand           string    `yaml:"seed_command" doc:"Command that runs once, after the first deploy."`
}

// Mount puts a volume into a group's machines.
type Mount struct {
	Source                  string   `yaml:"source" doc:"Name of the volume."`
	Destination             string   `yaml:"destination" doc:"Where it is mounted."`
	InitialSize             string   `yaml:"initial_size" doc:"Size of new volumes; a number is GB."`
	SnapshotRetention       *int     `yaml:"snapshot_retention" doc:"Days that snapshots are kept."`
	ScheduledSnapshots      *bool    `yaml:"scheduled_snapshots" doc:"Daily snapshots of new volumes; true without it."`
	AutoExtendSizeThreshold int      `yaml:"auto_extend_size_threshold" doc:"Percentage in use at which the volume grows by itself: 50 to 99."`
	AutoExtendSizeIncrement string   `yaml:"auto_extend_size_increment" doc:"How much it grows: 1gb to 100gb; a number is GB."`
	AutoExtendSizeLimit     string   `yaml:"auto_extend_size_limit" doc:"Size that it does not grow beyond: 1gb to 500gb; a number is GB."`
	Processes               []string `yaml:"processes" doc:"Process groups that this belongs to."`
}

// Static serves files of the image or of a bucket from Fly's proxy.
type Static struct {
	GuestPath     string `yaml:"guest_path" doc:"Absolute path of the files in the image."`
	URLPrefix     string `yaml:"url_prefix" doc:"Path under which they are served."`
	TigrisBucket  string `yaml:"tigris_bucket" doc:"Bucket that they are in, where not in the image."`
	IndexDocument string `yaml:"index_document" doc:"File served for a folder of a bucket."`
}

// File is written into a machine.
type File struct {
	GuestPath  string   `yaml:"guest_path" doc:"Where the file is written."`
	LocalPath  string   `yaml:"local_path" doc:"File to take it from."`
	SecretName string   `yaml:"secret_name" doc:"Secret to take it from (base64)."`
	RawValue   string   `yaml:"raw_value" doc:"Its text."`
	Processes  []string `yaml:"processes" doc:"Process groups that this belongs to."`
}

// Metrics is where Fly scrapes a machine.
type Metrics struct {
	Port      int      `yaml:"port" in:"min=0,max=65535" doc:"Port to scrape."`
	Path      string   `yaml:"path" doc:"Path to scrape."`
	HTTPS     bool     `yaml:"https" doc:"Scrape over https."`
	Processes []string `yaml:"processes" doc:"Process groups that this belongs to."`
}

// VM sizes the machines of some groups.
type VM struct {
	Size             string   `yaml:"size" doc:"Preset, such as shared-cpu-1x."`
	Memory           string   `yaml:"memory" doc:"Memory, such as 512mb or 1gb; a number is MB."`
	CPUKind          string   `yaml:"cpu_kind" doc:"shared or performance."`
	CPUs             int      `yaml:"cpus" in:"min=0" doc:"Number of CPUs."`
	MemoryMB         int      `yaml:"memory_mb" in:"min=0" doc:"Memory in MB."`
	MaxMemoryMB      int      `yaml:"max_memory_mb" in:"min=0" doc:"Memory in MB up to which the machine may grow."`
	GPUs             int      `yaml:"gpus" in:"min=0" doc:"Number of GPUs."`
	GPUKind          string   `yaml:"gpu_kind" doc:"Kind of GPU, such as l40s."`
	HostDedicationID string   `yaml:"host_dedication_id" doc:"Dedicated host to run on."`
	PersistRootfs    string   `yaml:"persist_rootfs" in:"enum=never|restart|always" doc:"Whether the root file system is kept: never, restart or always."`
	KernelArgs       []string `yaml:"kernel_args" in:"one" doc:"Further parameters of the kernel."`
	Processes        []string `yaml:"processes" doc:"Process groups that this belongs to; all without it."`
}

// Restart says what happens when a group's process ends.
type Restart struct {
	// Policy is always, on-failure or never.
	Policy    string   `yaml:"policy" in:"enum=always|on-failure|never" doc:"When the process is started again."`
	Retries   int      `yaml:"retries" in:"min=0" doc:"How often."`
	Processes []string `yaml:"processes" doc:"Process groups that this belongs to."`
}
