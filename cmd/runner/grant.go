package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

const (
	identityTries = 3
	identityPause = time.Second
)

// granted asks the dispatcher for what the job needs, where it grants. The configuration then has the token that was
// granted; its own, if it has one, is not used. A rejection is an error that wraps job.ErrRejected: whoever claims
// the job records it.
func (c config) granted(ctx context.Context) (config, launch.Grant, error) {
	if c.GrantURL == "" {
		return c, launch.Grant{}, nil
	}
	c.APIToken = ""
	req := launch.GrantRequest{
		Asking: launch.Asking{Job: job.ID(c.Job), Attempt: c.Attempt, Machine: c.Machine, Ticket: c.Ticket}, URL: c.GrantURL, UserAgent: "flycd-runner",
	}
	who, err := c.identity(ctx)
	if err != nil {
		return c, launch.Grant{}, fmt.Errorf("ask Fly who this machine is: %w", err)
	}
	req.Identity = who
	g, err := launch.Ask(ctx, req)
	if err != nil {
		return c, g, err
	}
	c.APIToken = g.FlyToken
	return c, g, nil
}

// identity is what Fly says of this machine; empty where this is no Fly machine. An attempt is worth more than one try.
func (c config) identity(ctx context.Context) (token string, err error) {
	if _, err := os.Stat(c.FlySocket); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for try := range identityTries {
		if token, err = identity.MachineToken(ctx, c.FlySocket, c.Audience); err == nil || try == identityTries-1 {
			return token, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(identityPause):
		}
	}
	return token, err
}
