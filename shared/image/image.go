package image

import (
	"context"
	"io"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
)

// Reference names an image by digest.
type Reference struct {
	// Name is repository:tag as it was asked for.
	Name string
	// Digest is sha256:….
	Digest string
}

// String gives name@digest, the form in which machines are deployed.
func (r Reference) String() string { return r.Name + "@" + r.Digest }

// Request is one image to build and push.
type Request struct {
	// Dir is the build context on disk, a folder of its own for this build: a Builder may change
	// the times of its files. Built does not need it.
	Dir string
	// Dockerfile is a path inside Dir.
	Dockerfile string
	// Ignorefile is a path inside Dir, of the file that takes the place of .dockerignore. A named
	// file that is not there is rejected: more would be sent than was meant.
	Ignorefile string
	Target     string
	Args       map[string]string
	Labels     map[string]string
	// App is the Fly app that the image is for. Repository takes the image (host/path, without a tag);
	// empty means the app's own in the builder's registry.
	App, Repository string
	// Tag is t-<digest of tree, Dockerfile, args, target, platform and builder>: building twice under one
	// tag gives an image that may stand for the other.
	Tag string
	// NoCache builds every step again.
	NoCache bool
	// NoPush builds and lets nothing leave the machine; the digest is that of what would have been pushed.
	NoPush bool
	// Secrets are what steps may mount, by id; SSH are private keys in PEM form, by id. No Builder puts
	// them into the image, its cache, a file that outlives the build, a log or a command line.
	Secrets, SSH map[string]manifest.Secret
	// Epoch is the time that the image and its files carry (SOURCE_DATE_EPOCH); zero means 1970, so that two
	// builds of one tree give one digest wherever the Dockerfile is deterministic.
	Epoch time.Time
	// Cache is max, min or off: what of the build's cache is kept in the repository, for the next
	// machine. Empty means max.
	Cache string
	// Network is none for steps that reach nothing; empty or default is the public internet.
	Network string
	// Provenance attaches a record of how the image was made.
	Provenance bool
	// Compression is gzip or zstd, Level how hard; empty and nil leave it to the builder.
	Compression string
	Level       *int
	// Backend is buildkit, fly, or auto (also empty).
	Backend string
	// Buildpacks build without a Dockerfile; they are Fly's remote builders' alone.
	Buildpacks Buildpacks
	// Timeout is the most that the build may take; zero means the builder's own.
	Timeout time.Duration
	// Log takes the builder's output as it comes.
	Log io.Writer
}

// Buildpacks say which of them make an image of a folder.
type Buildpacks struct {
	// Builder is the image of the builder; empty means that a Dockerfile is built.
	Builder string
	// Use lists buildpacks in their order; empty leaves it to the builder.
	Use []string
}

// Builder makes images. A failure in the user's code (a Dockerfile that does not parse, a step that
// fails) wraps job.ErrRejected; anything else may be tried again. Building the same request again
// is safe.
type Builder interface {
	// Build makes the image of the request and pushes it.
	Build(ctx context.Context, req Request) (Reference, error)
	// Built tells whether the registry has the image of the request already, and which it is, by one
	// HEAD request and without building.
	Built(ctx context.Context, req Request) (Reference, bool, error)
}

// Recipe is the builder that FlyCD brings, in its version. It is part of every tag, so that an image of an
// older one is built again; whatever builds on a person's machine goes by it as well, since plans that are made
// there are to name the same image.
const Recipe = "buildkit v0.34.2"
