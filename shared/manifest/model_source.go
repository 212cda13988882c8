package manifest

// Source says where an app's code or image comes from.
type Source struct {
	// Type is git, local, inline-docker-file or image ("docker" is read as image).
	Type string `yaml:"type" in:"enum=git|local|inline-docker-file|image,also=docker:image" doc:"What kind of source this is."`
	Repo string `yaml:"repo" doc:"Repository URL: https, ssh or scp form."`
	// Path is a folder inside the repository, or for local one relative to the app.yaml.
	Path string `yaml:"path" doc:"Folder in the repository; for local, relative to this file."`
	Ref  Ref    `yaml:"ref" in:"form={branch: main}" doc:"Which commit; the default branch where nothing is set."`
	// Inline is the text of a Dockerfile.
	Inline string `yaml:"inline" doc:"A Dockerfile as text."`
	// Image is an image reference.
	Image  string      `yaml:"image" doc:"Image reference, resolved to a digest."`
	Policy ImagePolicy `yaml:"policy" in:"form={semver: 1.x}" doc:"Which new tags of the image (source.image, or build.image) are followed."`
	// Copy puts the image into the app's repository in Fly's registry, and runs it from there.
	Copy bool `yaml:"copy" doc:"Copy the image into the app's repository, for images that Fly cannot pull itself."`
	// Watch lists globs of further paths whose change counts.
	Watch []string `yaml:"watch" doc:"Globs of further paths whose change counts."`
}

// Ref chooses a commit of a repository; at most one field is set. The zero value is the default
// branch.
type Ref struct {
	Branch string `yaml:"branch" doc:"Branch to follow."`
	Tag    string `yaml:"tag" doc:"Tag to stay at."`
	Commit string `yaml:"commit" doc:"Commit to stay at."`
	// Semver takes the newest matching tag.
	Semver string `yaml:"semver" doc:"Newest tag in this range, such as >=1.2 <2."`
	// Name is any full ref, such as refs/pull/7/head.
	Name string `yaml:"name" doc:"Any full ref, such as refs/pull/7/head."`
}

// ImagePolicy chooses among the tags of an image, at every deploy and when a registry tells of a push. The zero
// value stays at the tag that is named, and follows nothing by itself.
type ImagePolicy struct {
	Semver string `yaml:"semver" doc:"Newest tag in this range, such as >=1.2 <2."`
	// Regex keeps the tags that match; what its first group captured (else the whole tag) is what Semver
	// and Sort look at.
	Regex string `yaml:"regex" doc:"Only tags that match; what the first group captures is what is sorted."`
	// Sort is number, text or semver; the last one is taken. Empty means semver with Semver, else text.
	Sort string `yaml:"sort" in:"enum=number|text|semver" doc:"How tags that match regex are sorted: number, text or semver; the highest is taken. Without it: semver beside policy.semver, else text."`
	// Digest follows the tag that is named when it moves to another digest. Semver and Regex win: what they choose
	// is taken by its digest of the moment anyway.
	Digest bool `yaml:"digest" doc:"Follow the tag that is named when it is pushed again. Beside semver or regex it has no effect: they choose the tag."`
}

// MergeCfg copies files of the config folder over the app's source before building.
type MergeCfg struct {
	All     bool     `yaml:"all" doc:"Copy the whole config folder."`
	Include []string `yaml:"include" doc:"Copy these files."`
	Exclude []string `yaml:"exclude" doc:"Leave these files out."`
}

// Build says how the image is made.
type Build struct {
	Builder          string            `yaml:"builder" doc:"Image of a buildpacks builder; it is run instead of a Dockerfile."`
	Args             map[string]string `yaml:"args" doc:"Build arguments."`
	Buildpacks       []string          `yaml:"buildpacks" doc:"Buildpacks that the builder uses, in their order."`
	Image            string            `yaml:"image" doc:"Image to deploy instead of building."`
	Settings         map[string]any    `yaml:"settings" doc:"Settings of a builtin."`
	Builtin          string            `yaml:"builtin" doc:"Builtin to build with."`
	Dockerfile       string            `yaml:"dockerfile" doc:"Dockerfile to build."`
	Ignorefile       string            `yaml:"ignorefile" doc:"File that lists what is not sent to the builder."`
	Target           string            `yaml:"build-target" in:"alias=build_target" doc:"Stage of the Dockerfile to build."`
	Compose          *Compose          `yaml:"compose" doc:"Compose file to take containers from."`
	Compression      string            `yaml:"compression" in:"enum=gzip|zstd" doc:"Compression of image layers: gzip or zstd."`
	CompressionLevel *int              `yaml:"compression_level" in:"min=0,max=9" doc:"Level of it: 0 to 9."`
	// Secrets are names of the app's secrets that steps may mount: RUN --mount=type=secret,id=NAME.
	Secrets []string `yaml:"secrets" doc:"Secrets that steps of the build may mount by their name (RUN --mount=type=secret,id=NAME)."`
	// SSH maps ids to names of the app's secrets that hold private keys: RUN --mount=type=ssh,id=ID.
	SSH        map[string]string `yaml:"ssh" in:"pairs,form={default: NAME}" doc:"Private keys that steps may use by their id (RUN --mount=type=ssh); each is the name of a secret. The usual id is default."`
	Labels     map[string]string `yaml:"labels" in:"pairs" doc:"Labels of the image."`
	Network    string            `yaml:"network" in:"enum=default|none" doc:"What steps of the build reach: default is the public internet, none is nothing."`
	Cache      string            `yaml:"cache" in:"enum=max|min|off" doc:"Cache in the image's repository: max keeps all steps, min those of the last stage, off none; max without it."`
	Provenance bool              `yaml:"provenance" doc:"Attach a record of how the image was made (SLSA provenance)."`
	Backend    string            `yaml:"backend" in:"enum=buildkit|fly|auto" doc:"What builds: buildkit in the job's machine, fly for Fly's remote builders; auto without it."`
	Timeout    *Duration         `yaml:"timeout" in:"unit=s" doc:"Most time that a build may take; a number is seconds, 30 minutes without it. At most 50m: an attempt at a job lasts an hour."`
	// NoCache builds without what earlier builds left; it comes from --no-cache in old manifests.
	NoCache bool `yaml:"-"`
}

// ImageSettings say where the app's image is kept.
type ImageSettings struct {
	Repository string `yaml:"repository" doc:"Repository that takes the built image, such as registry.fly.io/other-app or ghcr.io/acme/web; the app's own without it. Apps that share one build a tree once."`
}

// Compose names a compose file.
type Compose struct {
	File string `yaml:"file" doc:"Compose file; compose.yaml, compose.yml, docker-compose.yaml or docker-compose.yml without it."`
}
