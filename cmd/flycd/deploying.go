package main

import (
	"context"
	"errors"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

func noToken() error {
	return exitError{exitRefused, errors.New("no Fly token: run `fly auth login`, or set FLY_API_TOKEN")}
}

// deployer wires the corridor for this process: no queue, so that Fly's machine leases are the lock.
func (c *cli) deployer(ctx context.Context, git *source.Client) (*deploy.Deployer, error) {
	token := c.cfg.flyToken()
	if token == "" {
		return nil, noToken()
	}
	client, err := fly.New(ctx, flyOptions(c.cfg, false))
	if err != nil {
		return nil, usage(err)
	}
	images, builder, err := c.images(token)
	if err != nil {
		return nil, err
	}
	return &deploy.Deployer{
		Fly: client, Source: git, Images: images, Builder: builder, Registry: c.cfg.RegistryHost,
		Secrets: c.cfg.secrets(), DigestKey: manifest.NewSecret(c.cfg.DigestKey),
		Org: c.cfg.Org, Log: c.log, Now: time.Now,
	}, nil
}
