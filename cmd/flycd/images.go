package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"sync/atomic"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// images gives the registries as this person may ask them, and what builds images here.
func (c *cli) images(token string) (image.Registry, image.Builder, error) {
	r, err := c.registry(token)
	if err != nil {
		return image.Registry{}, nil, err
	}
	builder, err := c.builder(token, r)
	return r, builder, err
}

// registry asks registries with the logins that are set up, and opens Fly's own with the token.
func (c *cli) registry(token string) (image.Registry, error) {
	logins, err := image.ParseLogins(c.cfg.RegistryLogins)
	if err != nil {
		return image.Registry{}, usage(fmt.Errorf("FLYCD_REGISTRY_LOGINS: %w", err))
	}
	if _, own := logins[c.cfg.RegistryHost]; !own && token != "" {
		logins[c.cfg.RegistryHost] = image.Login{Username: "x", Password: manifest.NewSecret(token)}
	}
	r := image.Registry{Keychain: true, Logins: logins}
	if host := c.cfg.RegistryHost; isLoopback(host) {
		r.Insecure = []string{host}
	}
	return r, nil
}

func isLoopback(host string) bool {
	u, err := url.Parse("//" + host)
	return err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// builder takes the programs that are set up: buildctl for the BuildKit at BUILDKIT_HOST, and flyctl. The
// manifest chooses between them (build.backend), or FLYCD_BUILDER leaves only one.
func (c *cli) builder(token string, images image.Registry) (image.Builder, error) {
	var both image.Backends
	if c.cfg.BuildkitHost != "" || c.cfg.Builder == "buildctl" {
		both.BuildKit = image.Buildctl{Addr: c.cfg.BuildkitHost, Registry: c.cfg.RegistryHost, Logins: images.Logins, Insecure: len(images.Insecure) > 0}
	}
	for _, name := range []string{"flyctl", "fly"} {
		if path, err := exec.LookPath(name); err == nil {
			both.Fly = image.Flyctl{Path: path, Token: manifest.NewSecret(token), Registry: c.cfg.RegistryHost, Images: images}
			break
		}
	}
	switch c.cfg.Builder {
	case "":
	case "fact":
		return image.Fact{Registry: c.cfg.RegistryHost}, nil
	case "buildctl":
		both.Fly = nil
	case "flyctl":
		both.BuildKit = nil
	default:
		return nil, usage(fmt.Errorf("FLYCD_BUILDER=%q: expected buildctl, flyctl or fact", c.cfg.Builder))
	}
	return both, nil
}

// errBuildFailed marks a result that a failed build is the reason of: of those that are rejected it is the
// one which is no bad input.
var errBuildFailed = errors.New("the build failed")

// watched is a Builder whose failures are told apart from what is wrong with a request.
type watched struct {
	image.Builder
	failed *atomic.Bool
}

// watch gives the builder for one app, and what is set when one of its builds has failed.
func watch(b image.Builder) (image.Builder, *atomic.Bool) {
	failed := new(atomic.Bool)
	both, ok := b.(image.Backends)
	if !ok {
		return b, failed
	}
	if both.BuildKit != nil {
		both.BuildKit = watched{both.BuildKit, failed}
	}
	if both.Fly != nil {
		both.Fly = watched{both.Fly, failed}
	}
	return both, failed
}

// Build implements image.Builder.
func (w watched) Build(ctx context.Context, req image.Request) (image.Reference, error) {
	if _, err := req.Check(""); err != nil {
		return image.Reference{}, err
	}
	ref, err := w.Builder.Build(ctx, req)
	if errors.Is(err, job.ErrRejected) {
		w.failed.Store(true)
	}
	return ref, err
}
