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
	buildctl := image.Buildctl{Addr: c.cfg.BuildkitHost, Registry: c.cfg.RegistryHost, Logins: images.Logins, Insecure: len(images.Insecure) > 0}
	flyctl := image.Flyctl{Token: manifest.NewSecret(token), Registry: c.cfg.RegistryHost, Images: images}
	var installed bool
	flyctl.Path, installed = onPath("flyctl", "fly")
	var set image.Backends
	switch c.cfg.Builder {
	case "fact":
		return image.Fact{Registry: c.cfg.RegistryHost}, nil
	case "buildctl":
		set.BuildKit = buildctl
		if _, ok := onPath("buildctl"); !ok {
			set.BuildKit = uninstalled{buildctl, "buildctl", "BuildKit's releases bring it"}
		}
	case "flyctl":
		set.Fly = flyctl
		if !installed {
			set.Fly = uninstalled{flyctl, "flyctl", "https://fly.io/docs/flyctl/install says how"}
		}
	case "":
		if c.cfg.BuildkitHost != "" {
			set.BuildKit = buildctl
		}
		if installed {
			set.Fly = flyctl
		}
	default:
		return nil, usage(fmt.Errorf("FLYCD_BUILDER=%q: expected buildctl, flyctl or fact", c.cfg.Builder))
	}
	return set, nil
}

// onPath finds the first of some programs.
func onPath(names ...string) (path string, ok bool) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// uninstalled is the Builder that FLYCD_BUILDER names, where its program is not there. What a registry has is found
// without it.
type uninstalled struct {
	image.Builder
	program, from string
}

// Build implements image.Builder: it rejects the request and says what to install.
func (u uninstalled) Build(context.Context, image.Request) (image.Reference, error) {
	return image.Reference{}, job.Rejectf("FLYCD_BUILDER=%s, and %s is not installed: install it (%s), or leave FLYCD_BUILDER out to build with what is there",
		u.program, u.program, u.from)
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
	for _, of := range []*image.Builder{&both.BuildKit, &both.Fly} {
		if _, missing := (*of).(uninstalled); *of != nil && !missing {
			*of = watched{*of, failed}
		}
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
	if err != nil {
		return image.Reference{}, builderError{err}
	}
	return ref, nil
}

// builderError is what a builder says after its output.
type builderError struct{ error }

func (e builderError) Unwrap() error { return e.error }
