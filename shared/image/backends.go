package image

import (
	"context"

	"github.com/gigurra/flycd/shared/job"
)

// Backends is the Builder that lets each request say what builds it. A nil one is not set up.
type Backends struct {
	// BuildKit builds Dockerfiles.
	BuildKit Builder
	// Fly builds on Fly's remote builders: Dockerfiles, and all that buildpacks make.
	Fly Builder
}

// For gives the Builder of a request: Fly's for buildpacks, the one that Backend names, or without a name BuildKit, else
// Fly's, else Missing. A request for one that is not set up wraps job.ErrRejected, and the error says what to do.
func (b Backends) For(req Request) (Builder, error) {
	switch {
	case req.Backend != "" && req.Backend != "auto" && req.Backend != "buildkit" && req.Backend != "fly":
		return nil, job.Rejectf("build.backend: %q is no builder: expected buildkit, fly or auto", req.Backend)
	case req.Buildpacks.Builder == "" && len(req.Buildpacks.Use) > 0:
		return nil, job.Rejectf("build.buildpacks of app %s need a builder: name its image in build.builder, such as paketobuildpacks/builder-jammy-base", req.App)
	case req.Buildpacks.Builder != "" && req.Backend == "buildkit":
		return nil, job.Rejectf("app %s is built by buildpacks (build.builder), and BuildKit builds Dockerfiles only: set build.backend to fly, "+
			"or add a Dockerfile and leave build.builder out", req.App)
	case req.Buildpacks.Builder != "" && b.Fly == nil:
		return nil, job.Rejectf("app %s is built by buildpacks (build.builder), which only Fly's remote builders do, and flyctl is not set up: install flyctl "+
			"where FlyCD builds (in the runner's image), or add a Dockerfile and leave build.builder out", req.App)
	case req.Buildpacks.Builder != "":
		return b.Fly, nil
	case req.Backend == "buildkit" && b.BuildKit == nil:
		return nil, job.Rejectf("app %s asks for build.backend buildkit, and no BuildKit is set up: set BUILDKIT_HOST to its address and install buildctl, "+
			"or set build.backend to auto", req.App)
	case req.Backend == "fly" && b.Fly == nil:
		return nil, job.Rejectf("app %s asks for build.backend fly, and flyctl is not set up: install flyctl where FlyCD builds (in the runner's image), "+
			"or set build.backend to auto", req.App)
	case req.Backend == "fly" || b.BuildKit == nil && b.Fly != nil:
		return b.Fly, nil
	case b.BuildKit != nil:
		return b.BuildKit, nil
	}
	return Missing{}, nil
}

// Build implements Builder.
func (b Backends) Build(ctx context.Context, req Request) (Reference, error) {
	builder, err := b.For(req)
	if err != nil {
		return Reference{}, err
	}
	return builder.Build(ctx, req)
}

// Built implements Builder.
func (b Backends) Built(ctx context.Context, req Request) (Reference, bool, error) {
	builder, err := b.For(req)
	if err != nil {
		return Reference{}, false, err
	}
	return builder.Built(ctx, req)
}
