package manifest

// Allow says what the apps of a project may be and have. Each list holds names and globs (* within a part of a
// name, ** across its slashes); one that begins with ! denies, and wins. A value has to be matched by one that does not.
// A list that is not written says nothing; an empty one allows nothing. Of several allows that enclose an
// app, all hold, so that an inner project can only narrow what an outer one says.
type Allow struct {
	// Repos are repositories as HOST/OWNER/NAME: those of sources, of inner projects, and those that images are in.
	Repos []string `yaml:"repos" doc:"Repositories of sources, of projects and of images, as HOST/OWNER/NAME."`
	// Apps are names of apps.
	Apps []string `yaml:"apps" doc:"Names of apps."`
	// Orgs are slugs of organisations.
	Orgs []string `yaml:"orgs" doc:"Organisations, by their slugs."`
	// Regions are regions of machines, addresses and services.
	Regions []string `yaml:"regions" doc:"Regions of machines, addresses and services."`
	// VMSizes are Fly's presets with at most the memory that they bring, or SIZE:MEMORY with at most that.
	VMSizes []string `yaml:"vm_sizes" doc:"Sizes of machines, with the memory that they bring: shared-cpu-1x; with more of it: shared-cpu-1x:1gb, or shared-cpu-1x:* for any."`
	// MaxMachines bounds the machines of one app, all groups and regions together, without the temporary ones of a deploy.
	MaxMachines *int `yaml:"max_machines" in:"min=0" doc:"Most machines of one app, in all its groups and regions."`
	// Addons are kinds of services for those of the app's own, or KIND/NAME.
	Addons []string `yaml:"addons" doc:"Services: redis, tigris or postgres for one that is named after the app; redis/NAME for others."`
	// Secrets are names in the runner's environment, or sops:FILE.
	Secrets []string `yaml:"secrets" doc:"Secrets that apps may read: names in the runner's environment, and sops:FILE for files that sops encrypted."`
}

// Notify says who is told of what becomes of an app.
type Notify struct {
	// To names a destination of FLYCD_NOTIFY.
	To string `yaml:"to" doc:"Who is told: the name of a destination in the dispatcher's settings (FLYCD_NOTIFY)."`
	// On are outcomes, or failure and success; empty means failure.
	On []string `yaml:"on" in:"one,enum=failure|success|created|updated|unchanged|superseded|cancelled|rejected|failed" doc:"Outcomes that are told: success (created, updated), failure (rejected, failed), or single ones; failure without it."`
}
