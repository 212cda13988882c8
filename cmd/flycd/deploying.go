package main

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// deployer wires the corridor for this process: no queue, so that Fly's machine leases are the lock.
func (c *cli) deployer(ctx context.Context, git *source.Client) (*deploy.Deployer, error) {
	token := c.cfg.flyToken()
	if token == "" {
		return nil, exitError{exitRefused, errors.New("no Fly token: run `fly auth login`, or set FLY_API_TOKEN")}
	}
	client, err := fly.New(ctx, flyOptions(c.cfg, false))
	if err != nil {
		return nil, usage(err)
	}
	images := c.registry(token)
	return &deploy.Deployer{
		Fly: client, Source: git, Images: images, Builder: c.builder(token, images),
		Secrets: c.cfg.secrets(), DigestKey: manifest.NewSecret(c.cfg.DigestKey),
		Org: c.cfg.Org, Log: c.log, Now: time.Now,
	}, nil
}

func (c *cli) registry(token string) image.Registry {
	r := image.Registry{
		Keychain: true,
		Logins:   map[string]image.Login{c.cfg.RegistryHost: {Username: "x", Password: manifest.NewSecret(token)}},
	}
	if host := c.cfg.RegistryHost; isLoopback(host) {
		r.Insecure = []string{host}
	}
	return r
}

func isLoopback(host string) bool {
	u, err := url.Parse("//" + host)
	return err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// builder takes BuildKit where its address is set, else flyctl where it is installed.
func (c *cli) builder(token string, images image.Registry) image.Builder {
	if c.cfg.Builder == "fact" {
		return image.Fact{Registry: c.cfg.RegistryHost}
	}
	if c.cfg.BuildkitHost != "" {
		return image.Buildctl{Addr: c.cfg.BuildkitHost, Registry: c.cfg.RegistryHost, Logins: images.Logins, Insecure: len(images.Insecure) > 0}
	}
	for _, name := range []string{"flyctl", "fly"} {
		if path, err := exec.LookPath(name); err == nil {
			return image.Flyctl{Path: path, Token: manifest.NewSecret(token), Registry: c.cfg.RegistryHost, Images: images}
		}
	}
	return image.Missing{}
}
