package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

var (
	appName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	tagName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digests = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func isDigest(s string) bool { return digests.MatchString(s) }

func or(v, fallback string) string {
	if v == "" {
		return fallback
	}
	return v
}

// Name gives the name under which a request's image is pushed: repository:tag, where the repository is the
// request's own or registry/app. An empty registry is Fly's.
func (r Request) Name(registry string) string {
	return or(r.Repository, strings.TrimSuffix(or(registry, FlyRegistry), "/")+"/"+r.App) + ":" + r.Tag
}

// target checks a request before any program sees it and gives the image's name.
func target(registry string, req Request) (string, error) {
	name := req.Name(registry)
	switch {
	case !appName.MatchString(req.App):
		return "", job.Rejectf("build: %q is no app name", req.App)
	case !tagName.MatchString(req.Tag):
		return "", job.Rejectf("build: %q is no image tag", req.Tag)
	}
	dockerfile := or(req.Dockerfile, "Dockerfile")
	if !filepath.IsLocal(filepath.FromSlash(dockerfile)) {
		return "", job.Rejectf("build.dockerfile %q leaves the folder that is built", dockerfile)
	}
	if req.Ignorefile != "" && !filepath.IsLocal(filepath.FromSlash(req.Ignorefile)) {
		return "", job.Rejectf("build.ignorefile %q leaves the folder that is built", req.Ignorefile)
	}
	root, err := os.OpenRoot(req.Dir)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	defer root.Close() //nolint:errcheck // only read
	info, err := root.Stat(filepath.FromSlash(dockerfile))
	if err != nil || !info.Mode().IsRegular() {
		return "", job.Rejectf("build: there is no %s in the source: add one, set build.dockerfile to where it is, or use an image (source.type: image)", dockerfile)
	}
	if req.Ignorefile != "" {
		if info, err := root.Stat(filepath.FromSlash(req.Ignorefile)); err != nil || !info.Mode().IsRegular() {
			return "", job.Rejectf("build: there is no %s in the source: add it, or correct build.ignorefile", req.Ignorefile)
		}
	}
	return name, nil
}

// Missing is the Builder where none is set up.
type Missing struct{}

// Build implements Builder: it rejects the request and says what to set up.
func (Missing) Build(_ context.Context, req Request) (Reference, error) {
	return Reference{}, job.Rejectf("app %s is built from a Dockerfile, and no builder is set up: set BUILDKIT_HOST to a BuildKit's address "+
		"and install buildctl, or install flyctl to build with Fly's remote builders", req.App)
}

// Built implements Builder: without a builder there is nothing to find.
func (Missing) Built(context.Context, Request) (Reference, bool, error) {
	return Reference{}, false, nil
}

// Fact takes a build as a fact, for a simulated registry: it checks the request as every Builder
// does, builds nothing, says so in the log, and gives the digest that derives from the image's name. It is for
// the local mode and for tests against a simulator, where no image is ever pulled.
type Fact struct {
	// Registry is the host in the image's name; empty means Fly's.
	Registry string
}

// Build implements Builder.
func (f Fact) Build(_ context.Context, req Request) (Reference, error) {
	name, err := target(f.Registry, req)
	if err != nil {
		return Reference{}, err
	}
	if req.Log != nil {
		fmt.Fprintf(req.Log, "image %s: taken as built, because the registry is simulated\n", name)
	}
	sum := sha256.Sum256([]byte(name))
	return Reference{Name: name, Digest: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// Built implements Builder: a simulated registry holds nothing.
func (Fact) Built(context.Context, Request) (Reference, bool, error) { return Reference{}, false, nil }
