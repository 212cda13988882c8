package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// Buildctl builds by starting the buildctl program against a BuildKit that is run elsewhere.
type Buildctl struct {
	// Path is the program; empty means buildctl on the PATH.
	Path string
	// Addr is BUILDKIT_HOST: unix:///run/buildkit/buildkitd.sock, tcp://host:1234.
	Addr string
	// Registry is the host that takes the images; empty means Fly's.
	Registry string
	// Logins are the credentials of registries, for pushing and for pulling base images.
	Logins map[string]Login
	// Insecure pushes over plain http.
	Insecure bool
}

// Build implements Builder.
//
// A base image that its registry says does not exist or denies is rejected, as Registry.Resolve does it; one whose
// registry cannot be reached may be tried again. So may a push that is denied: the Dockerfile is not to blame,
// and a login can be put right without a new commit.
func (b Buildctl) Build(ctx context.Context, req Request) (Reference, error) {
	imageName, err := req.Check(b.Registry)
	if err != nil {
		return Reference{}, err
	}
	binary, err := exec.LookPath(cmp.Or(b.Path, "buildctl"))
	if err != nil {
		return Reference{}, job.Rejectf("build %s: the program buildctl is not installed: install it from BuildKit's releases, or use flyctl", imageName)
	}
	ctx, cancel := within(ctx, req)
	defer cancel()
	private, err := os.MkdirTemp("", "flycd-build-*")
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", imageName, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // best effort: the folder is private
	c := call{req: req, image: imageName, private: private, insecure: b.Insecure}
	closeAgents, err := c.prepare(ctx, b.Logins)
	defer closeAgents()
	if err != nil {
		return Reference{}, err
	}
	seen := new(plain)
	p := program{
		path: binary, args: c.args(b.Addr), log: req.Log, redact: req.Redactor(), reads: seen,
		// what this process was given for itself, the login's password among it, is none of buildctl's business
		env: append(c.secretEnv(), "DOCKER_CONFIG="+private), hides: []string{"FLY", "REDIS_", epochArg},
	}
	if err := p.run(ctx); err != nil {
		return Reference{}, b.judge(imageName, err, seen)
	}
	made, err := readMade(filepath.Join(private, metadata))
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", imageName, err)
	}
	if made.index && !req.NoPush {
		return b.images(imageName).Resolve(ctx, imageName)
	}
	return Reference{Name: imageName, Digest: made.digest}, nil
}

// Built implements Builder.
func (b Buildctl) Built(ctx context.Context, req Request) (Reference, bool, error) {
	imageName := req.Name(b.Registry)
	return b.images(imageName).Exists(ctx, imageName)
}

// images asks the registry that takes an image.
func (b Buildctl) images(imageName string) Registry {
	r := Registry{Logins: b.Logins}
	if b.Insecure {
		host, _, _ := strings.Cut(imageName, "/")
		r.Insecure = []string{host}
	}
	return r
}

// judge knows what buildctl says of a BuildKit that cannot be reached, of registries, and of a step that fails;
// the rest is judged as of every builder.
func (b Buildctl) judge(imageName string, err error, seen *plain) error {
	var f *failure
	if !errors.As(err, &f) {
		return judge("build "+imageName, err)
	}
	f.sentence, f.where, f.shown = seen.sentence(), seen.at(), seen.shown()
	pushed, isPush := strings.CutPrefix(seen.message(), "failed to push "+imageName+": ")
	switch {
	case strings.Contains(f.last, "failed to list workers"):
		return fmt.Errorf("build %s: the BuildKit at BUILDKIT_HOST=%s cannot be reached: start it, or correct the address:\n%s",
			imageName, cmp.Or(b.Addr, "(not set)"), f.last)
	case isPush:
		host, _, _ := strings.Cut(imageName, "/")
		return fmt.Errorf("build %s: the image is built, and registry %s does not take it: see that it can be reached, and that FlyCD's login may push: %s",
			imageName, host, pushed)
	}
	if says, again, ok := seen.registry(); ok && again {
		return fmt.Errorf("build %s: %s", imageName, f.told(seen.at()+says))
	} else if ok {
		return job.Rejectf("build %s: %s", imageName, f.told(seen.at()+says))
	}
	return judge("build "+imageName, err)
}
