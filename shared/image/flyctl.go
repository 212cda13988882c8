package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// Flyctl builds by starting flyctl, on Fly's remote builders. The app must exist.
type Flyctl struct {
	// Path is the program; empty means flyctl, else fly, on the PATH.
	Path string
	// Token is handed to flyctl alone; empty leaves flyctl its own login.
	Token manifest.Secret
	// Registry is the host that flyctl pushes to; empty means Fly's. It is also asked for the digest.
	Registry string
	// Images asks the registry for the digest of what was pushed.
	Images Registry
}

// Build implements Builder. The image is Registry/App:Tag, and its digest what the registry says of it.
func (f Flyctl) Build(ctx context.Context, req Request) (Reference, error) {
	name, err := req.Check(f.Registry)
	if err != nil {
		return Reference{}, err
	}
	binary, err := f.find()
	if err != nil {
		return Reference{}, err
	}
	private, err := os.MkdirTemp("", "flycd-build-*")
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", name, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // best effort: the folder is private
	// flyctl wants a configuration: one that says nothing, so that the folder's own is not read
	config := filepath.Join(private, "fly.toml")
	if err := os.WriteFile(config, []byte("app = \""+req.App+"\"\n"), 0o600); err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", name, err)
	}
	p := program{path: binary, args: f.args(req, config), env: f.env(), dir: req.Dir, log: req.Log}
	if err := p.run(ctx); err != nil {
		return Reference{}, judge("build "+name, err)
	}
	ref, err := f.Images.Resolve(ctx, name)
	if errors.Is(err, errNotFound) {
		return Reference{}, fmt.Errorf("build %s: flyctl ended well, but the registry does not have the image yet", name)
	}
	return ref, err
}

// Built implements Builder.
func (f Flyctl) Built(ctx context.Context, req Request) (Reference, bool, error) {
	return f.Images.Exists(ctx, req.Name(f.Registry))
}

func (f Flyctl) find() (string, error) {
	for _, name := range []string{f.Path, "flyctl", "fly"} {
		if name == "" {
			continue
		}
		if binary, err := exec.LookPath(name); err == nil {
			return binary, nil
		}
	}
	return "", job.Rejectf("flyctl is not installed: install it (https://fly.io/docs/flyctl/install), or set BUILDKIT_HOST to build with BuildKit")
}

// args is flyctl's command line.
func (f Flyctl) args(req Request, config string) []string {
	args := []string{
		"deploy", req.Dir, "--config", config, "--app", req.App, "--build-only", "--push", "--image-label", req.Tag,
		"--dockerfile", filepath.Join(req.Dir, filepath.FromSlash(or(req.Dockerfile, "Dockerfile"))),
	}
	if req.Ignorefile != "" {
		args = append(args, "--ignorefile", filepath.Join(req.Dir, filepath.FromSlash(req.Ignorefile)))
	}
	if req.Target != "" {
		args = append(args, "--build-target", req.Target)
	}
	for _, k := range sortedKeys(req.Args) {
		args = append(args, "--build-arg", k+"="+req.Args[k])
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	return args
}

func (f Flyctl) env() []string {
	env := []string{"FLY_NO_UPDATE_CHECK=1", "NO_COLOR=1"}
	if !f.Token.IsZero() {
		env = append(env, "FLY_API_TOKEN="+f.Token.Reveal())
	}
	if f.Registry != "" {
		env = append(env, "FLY_REGISTRY_HOST="+strings.TrimSuffix(f.Registry, "/"))
	}
	return env
}
