package manifest

// Source says where an app's code or image comes from.
type Source struct {
	// Type is git, local, inline-docker-file or image ("docker" is read as image).
	Type string `yaml:"type" in:"enum=git|local|inline-docker-file|image,also=docker:image" doc:"What kind of source this is."`
	Repo string `yaml:"repo" doc:"Repository URL: https, ssh or scp form."`
	// Path is a folder inside the repository, or for local one relative to the app.yaml.
	Path string `yaml:"path" doc:"Folder in the repository; for local, relative to this file."`
	Ref  Ref    `yaml:"ref" doc:"Which commit; the default branch where nothing is set."`
	// Inline is the text of a Dockerfile.
	Inline string `yaml:"inline" doc:"A Dockerfile as text."`
	// Image is an image reference.
	Image  string      `yaml:"image" doc:"Image reference, resolved to a digest."`
	Policy ImagePolicy `yaml:"policy" doc:"Which new tags of the image are followed."`
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

// ImagePolicy follows new tags of an image.
type ImagePolicy struct {
	Semver string `yaml:"semver" doc:"Follow tags in this range."`
	Regex  string `yaml:"regex" doc:"Follow tags that match."`
	Digest bool   `yaml:"digest" doc:"Follow the digest of the tag."`
}

// MergeCfg copies files of the config folder over the app's source before building.
type MergeCfg struct {
	All     bool     `yaml:"all" doc:"Copy the whole config folder."`
	Include []string `yaml:"include" doc:"Copy these files."`
	Exclude []string `yaml:"exclude" doc:"Leave these files out."`
}

// Build says how the image is made.
type Build struct {
	Builder          string            `yaml:"builder" doc:"Buildpacks builder."`
	Args             map[string]string `yaml:"args" doc:"Build arguments."`
	Buildpacks       []string          `yaml:"buildpacks" doc:"Buildpacks to use."`
	Image            string            `yaml:"image" doc:"Image to deploy instead of building."`
	Settings         map[string]any    `yaml:"settings" doc:"Settings of a builtin."`
	Builtin          string            `yaml:"builtin" doc:"Builtin to build with."`
	Dockerfile       string            `yaml:"dockerfile" doc:"Dockerfile to build."`
	Ignorefile       string            `yaml:"ignorefile" doc:"File that lists what is not sent to the builder."`
	Target           string            `yaml:"build-target" in:"alias=build_target" doc:"Stage of the Dockerfile to build."`
	Compose          *Compose          `yaml:"compose" doc:"Compose file to take containers from."`
	Compression      string            `yaml:"compression" in:"enum=gzip|zstd" doc:"Compression of image layers: gzip or zstd."`
	CompressionLevel *int              `yaml:"compression_level" in:"min=0,max=9" doc:"Level of it: 0 to 9."`
	// NoCache builds without what earlier builds left; it comes from --no-cache in old manifests.
	NoCache bool `yaml:"-"`
}

// Compose names a compose file.
type Compose struct {
	File string `yaml:"file" doc:"Compose file; compose.yaml, compose.yml, docker-compose.yaml or docker-compose.yml without it."`
}
