package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

var (
	appName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	tagName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	// keptTag is what nothing is built under, and builtTag what stands for all that an image is made from.
	keptTag  = regexp.MustCompile(`^(cache-|c-[0-9a-f]+$)`)
	builtTag = regexp.MustCompile(`^t-[0-9a-f]{40}$`)
	digests  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// secretID is narrow because ids are written into lists that commas part.
	secretID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
)

func isDigest(s string) bool { return digests.MatchString(s) }

// Name gives the name under which a request's image is pushed: repository:tag, where the repository is the
// request's own or registry/app. An empty registry is Fly's.
func (r Request) Name(registry string) string {
	return cmp.Or(r.Repository, strings.TrimSuffix(cmp.Or(registry, FlyRegistry), "/")+"/"+r.App) + ":" + r.Tag
}

// Check looks at a request before any program sees it, and gives the image's name. What it finds wrong wraps
// job.ErrRejected; a folder that cannot be opened does not. Every Builder calls it first.
func (r Request) Check(registry string) (string, error) {
	imageName := r.Name(registry)
	switch {
	case !appName.MatchString(r.App):
		return "", job.Rejectf("build: %q is no app name", r.App)
	case !tagName.MatchString(r.Tag):
		return "", job.Rejectf("build: %q is no image tag", r.Tag)
	case keptTag.MatchString(r.Tag):
		return "", job.Rejectf("build: tag %s is of those under which FlyCD keeps caches (cache-…) and copies (c-…)", r.Tag)
	}
	if _, err := name.NewRepository(r.Repository); r.Repository != "" && err != nil {
		return "", job.Rejectf("image.repository %q is no repository: expected one such as %s/%s or ghcr.io/acme/web, without a tag",
			r.Repository, FlyRegistry, r.App)
	}
	for _, ids := range []map[string]manifest.Secret{r.Secrets, r.SSH} {
		for id := range ids {
			if !secretID.MatchString(id) {
				return "", job.Rejectf("build: %q is no name of a build secret: expected letters, digits, dots, dashes and underscores", id)
			}
		}
	}
	return imageName, r.checkFiles(imageName)
}

// CheckTag says what is wrong with a tag that a person chose: it must be one that registries take, and none of FlyCD's own, as an
// image that is found under those is taken for what they say of it.
func CheckTag(tag string) error {
	switch {
	case !tagName.MatchString(tag):
		return errors.New("is no image tag: expected letters, digits, dots, dashes and underscores, 128 at most, and a letter, digit or underscore first")
	case builtTag.MatchString(tag), keptTag.MatchString(tag):
		return errors.New("is a tag of FlyCD's own (t-… says what an image is made from, c-… is a copy, cache-… a cache): choose another, such as try-1")
	}
	return nil
}

// Redactor knows what the steps of the request are given, and may print. Every Builder puts through it what a build says, in its log
// and in an error.
func (r Request) Redactor() manifest.Redactor {
	var values []string
	for _, given := range []map[string]manifest.Secret{r.Secrets, r.SSH} {
		for _, s := range given {
			values = append(values, s.Reveal())
		}
	}
	return manifest.NewRedactor(values...)
}

// checkFiles looks for the files that a request names inside its folder.
func (r Request) checkFiles(imageName string) error {
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return fmt.Errorf("build %s: %w", imageName, err)
	}
	defer root.Close() //nolint:errcheck // only read
	if r.Ignorefile != "" {
		switch there, local := isFile(root, r.Ignorefile); {
		case !local:
			return job.Rejectf("build.ignorefile %q leaves the folder that is built", r.Ignorefile)
		case !there:
			return job.Rejectf("build: there is no %s in the source: add it, or correct build.ignorefile", r.Ignorefile)
		}
	}
	if r.Buildpacks.Builder != "" {
		return nil // the buildpacks look for themselves
	}
	dockerfile := cmp.Or(r.Dockerfile, "Dockerfile")
	switch there, local := isFile(root, dockerfile); {
	case !local:
		return job.Rejectf("build.dockerfile %q leaves the folder that is built", dockerfile)
	case !there:
		return job.Rejectf("build: there is no %s in the source: add one, set build.dockerfile to where it is, or use an image (source.type: image)", dockerfile)
	}
	return nil
}

// isFile tells whether a path is a regular file of a folder, and whether it stays in the folder at all.
func isFile(root *os.Root, file string) (there, local bool) {
	if !filepath.IsLocal(filepath.FromSlash(file)) {
		return false, false
	}
	info, err := root.Stat(filepath.FromSlash(file))
	return err == nil && info.Mode().IsRegular(), true
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
	imageName, err := req.Check(f.Registry)
	if err != nil {
		return Reference{}, err
	}
	if req.Log != nil {
		fmt.Fprintf(req.Log, "image %s: taken as built, because the registry is simulated\n", imageName)
	}
	sum := sha256.Sum256([]byte(imageName))
	return Reference{Name: imageName, Digest: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// Built implements Builder: a simulated registry holds nothing.
func (Fact) Built(context.Context, Request) (Reference, bool, error) { return Reference{}, false, nil }
