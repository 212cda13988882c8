package image

import (
	"context"
	"io"
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
	// the times of its files.
	Dir string
	// Dockerfile is a path inside Dir.
	Dockerfile string
	// Ignorefile is a path inside Dir, of the file that takes the place of .dockerignore. A named
	// file that is not there is rejected: more would be sent than was meant.
	Ignorefile string
	Target     string
	Args       map[string]string
	// App is the Fly app whose registry repository takes the image.
	App string
	// Tag is t-<digest of tree, Dockerfile, args and target>: building twice under one tag gives
	// an image that may stand for the other.
	Tag string
	// NoCache builds every step again.
	NoCache bool
	// Log takes the builder's output as it comes.
	Log io.Writer
}

// Builder makes images. A failure in the user's code (a Dockerfile that does not parse, a step that
// fails) wraps job.ErrRejected; anything else may be tried again. Building the same request again
// is safe.
type Builder interface {
	Build(ctx context.Context, req Request) (Reference, error)
}
