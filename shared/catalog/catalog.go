package catalog

import (
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// Entry is what FlyCD knows of one app without reading Git: manifest facts and references, never
// a secret.
type Entry struct {
	App string `json:"app"`
	Org string `json:"org,omitempty"`
	// Network is the private network that the app is created in; empty is the organisation's own.
	Network string `json:"network,omitempty"`
	// Config is the tree that the app belongs to; Dir is the folder of its manifest in there, as a
	// path in the repository.
	Config job.Config `json:"config"`
	Dir    string     `json:"dir"`
	// Commit and Digest are the config commit and config digest when the tree was last read.
	Commit string `json:"commit,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Source is the repository that the app's code comes from, zero where it has none of its own.
	Source Source `json:"source,omitzero"`
	// Auto is false where sync.auto is: pushes make no job.
	Auto bool `json:"auto"`
	// Prune is true where sync.prune is: the app is destroyed when its tree no longer names it.
	Prune bool `json:"prune,omitempty"`
	// Pruning bounds Prune.
	Pruning Pruning `json:"pruning,omitzero"`
	// Notify says who is told of what becomes of the app.
	Notify []Notify `json:"notify,omitempty"`
	// SourceDigest is the source digest of an app whose source lies in its config tree; empty for others.
	SourceDigest string `json:"source_digest,omitempty"`
	// Shares are further apps of the organisation whose repository in Fly's registry the app's images are kept in.
	Shares []string `json:"shares,omitempty"`
	// SelfHeal is true where sync.self_heal is: a sweep that finds the app's machines changed pushes a job.
	SelfHeal bool `json:"self_heal,omitempty"`
	// Retry bounds the attempts of the app's jobs.
	Retry Retry `json:"retry,omitzero"`
	// Image is the reference that the manifest names, as it is written there; empty where the image is
	// built.
	Image string `json:"image,omitempty"`
	// Policy chooses among the tags of Image, at every deploy; pushes to the registry that it may take make a
	// job. The zero value stays at the tag that is named.
	Policy ImagePolicy `json:"policy,omitzero"`
	// Copy is true where the image is copied into the app's own repository.
	Copy bool `json:"copy,omitempty"`
	// DependsOn are the apps that must be deployed first, sorted, each once.
	DependsOn []string `json:"depends_on,omitempty"`
	// EnvSecrets are the names in the runner's environment that the app's secrets come from, sorted: their
	// values may change while no commit does.
	EnvSecrets []string `json:"env_secrets,omitempty"`
	// Looks says what there is to look at on Fly beside machines, volumes and addresses.
	Looks Looks `json:"looks,omitzero"`
	// Generation is the generation of the tree that wrote the entry.
	Generation int64 `json:"generation,omitempty"`
}

// Pruning bounds what one sync destroys, and how soon.
type Pruning struct {
	// Max is the most apps that one sync destroys, Percent the most of a hundred apps of its tree; where both are
	// zero, it is 3. The smaller one counts.
	Max     int `json:"max,omitempty"`
	Percent int `json:"percent,omitempty"`
	// GraceMS is how long an app stays after its tree stopped naming it, in milliseconds; zero is the default
	// (DefaultGrace), negative none.
	GraceMS int64 `json:"grace_ms,omitempty"`
}

// Grace is how long an app stays after its tree stopped naming it.
func (p Pruning) Grace() time.Duration {
	switch {
	case p.GraceMS < 0:
		return 0
	case p.GraceMS == 0:
		return DefaultGrace
	}
	return time.Duration(p.GraceMS) * time.Millisecond
}

// DefaultGrace is how long an app that is to be pruned stays at least, and DefaultMax how many one sync prunes.
const (
	DefaultGrace = 10 * time.Minute
	DefaultMax   = 3
)

// Notify says which outcomes somebody is told of.
type Notify struct {
	// To names a destination of the dispatcher's settings (FLYCD_NOTIFY): its address is nobody else's business.
	To string `json:"to"`
	// On are outcomes, or the words failure (rejected, failed) and success (created, updated); empty means failure.
	On []string `json:"on,omitempty"`
}

// Include is a repository that a config tree reads manifests from beside its own: a push to it concerns the tree.
type Include struct {
	Repo string `json:"repo"`
	// Ref is empty for the default branch, a full ref, or a branch or tag.
	Ref string `json:"ref,omitempty"`
}

// ImagePolicy chooses among the tags of an image. It mirrors manifest.ImagePolicy, field by field.
type ImagePolicy struct {
	// Semver is a range of versions.
	Semver string `json:"semver,omitempty"`
	// Regex keeps the tags that match; what its first group captured, else the whole tag, is what Semver and
	// Sort look at.
	Regex string `json:"regex,omitempty"`
	// Sort is number, text or semver.
	Sort string `json:"sort,omitempty"`
	// Digest follows the tag that is named when it moves to another digest.
	Digest bool `json:"digest,omitempty"`
}

// Looks says what belongs to an app beside its machines, volumes and addresses.
type Looks struct {
	Secrets bool `json:"secrets,omitempty"`
	Certs   bool `json:"certs,omitempty"`
	Egress  bool `json:"egress,omitempty"`
	// Addons are looked for by name, and so such an app is never judged without its manifest.
	Addons bool `json:"addons,omitempty"`
}

// Retry says how often a failed job of an app is tried. What is zero is the queue's own.
type Retry struct {
	// Limit is the most failed attempts.
	Limit int `json:"limit,omitempty"`
	// BackoffMS is the wait after the first one in milliseconds; each further one waits four times as long.
	BackoffMS int64 `json:"backoff_ms,omitempty"`
}

// Source is the source repository of an entry and the ref that it follows.
type Source struct {
	Repo string `json:"repo"`
	Path string `json:"path,omitempty"`
	// Watch lists globs of further paths whose change counts.
	Watch []string `json:"watch,omitempty"`
	// Ref is empty for the default branch, a full ref (refs/heads/main, refs/tags/v1), or
	// refs/tags/* for a semver range. A pinned commit follows nothing and makes no route.
	Ref string `json:"ref,omitempty"`
	// Semver is the range whose newest matching tag is taken, where the manifest has one.
	Semver string `json:"semver,omitempty"`
	// Commit is set for a pinned commit.
	Commit string `json:"commit,omitempty"`
}

// Route says that pushes to one ref of one repository concern an app or a config tree.
type Route struct {
	App    string     `json:"app,omitempty"`
	Org    string     `json:"org,omitempty"`
	Config job.Config `json:"config,omitzero"`
	// Generation is the generation of Config that wrote the route.
	Generation int64 `json:"generation,omitempty"`
}

// Push is what a verified delivery says of a push to a repository.
type Push struct {
	Repo string
	// Ref is the full ref that moved, DefaultBranch the repository's default branch without
	// refs/heads/.
	Ref, DefaultBranch string
	Before, After      string
	// Time is the forge's push time in Unix milliseconds.
	Time int64
	// Created, Deleted and Forced are as GitHub means them.
	Created, Deleted, Forced bool
	Delivery, Actor          string
	// Skip is true where the head commit's message asks FlyCD to leave it alone.
	Skip bool
}
