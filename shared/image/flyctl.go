package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// Flyctl builds by starting flyctl, on Fly's remote builders. The app must exist. The times in an image and the cache of builds are
// Fly's matter.
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

// Build implements Builder. The digest is what the registry says of the image; without a push it stays empty, as flyctl does not tell
// it. What flyctl cannot do, or would need a secret on its command line for, is rejected.
func (f Flyctl) Build(ctx context.Context, req Request) (Reference, error) {
	imageName, err := f.check(req)
	if err != nil {
		return Reference{}, err
	}
	binary, err := f.find()
	if err != nil {
		return Reference{}, err
	}
	ctx, cancel := within(ctx, req)
	defer cancel()
	private, err := os.MkdirTemp("", "flycd-build-*")
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", imageName, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // best effort: the folder is private
	config := filepath.Join(private, "fly.toml")
	text, err := flyToml(req)
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", imageName, err)
	}
	if req.Provenance {
		note(req, "build.provenance is left out: Fly's remote builders make none")
	}
	if req.Cache != "" {
		note(req, "build.cache is left out: Fly's remote builders keep a cache of their own")
	}
	p := program{path: binary, args: f.args(req, config), env: f.env(), dir: req.Dir, log: req.Log, redact: f.redactor()}
	if err := p.run(ctx); err != nil {
		return Reference{}, judge("build "+imageName, err)
	}
	if req.NoPush {
		return Reference{Name: imageName}, nil
	}
	ref, err := f.Images.Resolve(ctx, imageName)
	if errors.Is(err, errNotFound) {
		return Reference{}, fmt.Errorf("build %s: flyctl ended well, but the registry does not have the image yet", imageName)
	}
	return ref, err
}

// check rejects what flyctl cannot do: it pushes to the app's own repository under Fly's registry, takes the values of build secrets as
// flags, which every process of the machine may read, forwards no ssh keys and knows no network without the internet
// (flyctl deploy --help).
func (f Flyctl) check(req Request) (string, error) {
	const instead = "build with BuildKit instead (build.backend: buildkit)"
	imageName, err := req.Check(f.Registry)
	own := Request{App: req.App, Tag: req.Tag}.Name(f.Registry)
	switch {
	case err != nil:
		return "", err
	case imageName != own:
		return "", job.Rejectf("image.repository of app %s is %s, and Fly's remote builders push to the app's own repository only: leave it out, or %s",
			req.App, req.Repository, instead)
	case len(req.Secrets) > 0:
		return "", job.Rejectf("build.secrets of app %s cannot be handed to Fly's remote builders, because flyctl takes them on its command line only, where they can be read: %s",
			req.App, instead)
	case len(req.SSH) > 0:
		return "", job.Rejectf("build.ssh of app %s: Fly's remote builders take no ssh keys: %s", req.App, instead)
	case req.Network == "none":
		return "", job.Rejectf("build.network none of app %s: Fly's remote builders reach the internet always: %s", req.App, instead)
	case req.Buildpacks.Builder != "" && req.Target != "":
		return "", job.Rejectf("build.target of app %s is a stage of a Dockerfile, and it is built by buildpacks (build.builder): leave one of them out", req.App)
	}
	return imageName, nil
}

// flyToml is the configuration that flyctl wants: one that says how to build and nothing else, so that the folder's own
// is not read. Buildpacks have no flags.
func flyToml(req Request) ([]byte, error) {
	var config struct {
		App   string `toml:"app"`
		Build struct {
			Builder    string   `toml:"builder,omitempty"`
			Buildpacks []string `toml:"buildpacks,omitempty"`
		} `toml:"build,omitempty"`
	}
	config.App = req.App
	config.Build.Builder, config.Build.Buildpacks = req.Buildpacks.Builder, req.Buildpacks.Use
	text, err := toml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write fly.toml: %w", err)
	}
	return text, nil
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
	args := []string{"deploy", req.Dir, "--config", config, "--app", req.App, "--build-only"}
	if !req.NoPush {
		args = append(args, "--push")
	}
	args = append(args, "--image-label", req.Tag)
	if req.Buildpacks.Builder == "" {
		args = append(args, "--dockerfile", filepath.Join(req.Dir, filepath.FromSlash(cmp.Or(req.Dockerfile, "Dockerfile"))))
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
	for _, k := range sortedKeys(req.Labels) {
		args = append(args, "--label", k+"="+req.Labels[k])
	}
	if req.Compression != "" {
		args = append(args, "--compression", req.Compression)
	}
	if req.Level != nil {
		args = append(args, "--compression-level", strconv.Itoa(*req.Level))
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	return args
}

// redactor knows what flyctl is given. Of a build's secrets it gets none.
func (f Flyctl) redactor() manifest.Redactor {
	hub, _ := loginFor(f.Images.Logins, dockerHub)
	return manifest.NewRedactor(f.Token.Reveal(), hub.Password.Reveal())
}

func (f Flyctl) env() []string {
	env := []string{"FLY_NO_UPDATE_CHECK=1", "NO_COLOR=1"}
	if !f.Token.IsZero() {
		env = append(env, "FLY_API_TOKEN="+f.Token.Reveal())
	}
	if f.Registry != "" {
		env = append(env, "FLY_REGISTRY_HOST="+strings.TrimSuffix(f.Registry, "/"))
	}
	// flyctl takes a login of Docker Hub alone, for base images
	if hub, ok := loginFor(f.Images.Logins, dockerHub); ok {
		env = append(env, "DOCKER_HUB_USERNAME="+hub.Username, "DOCKER_HUB_PASSWORD="+hub.Password.Reveal())
	}
	return env
}
