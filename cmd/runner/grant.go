package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
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
	if _, err := os.Stat(c.FlySocket); err == nil {
		if req.Identity, err = identity.MachineToken(ctx, c.FlySocket, c.Audience); err != nil {
			return c, launch.Grant{}, fmt.Errorf("ask Fly who this machine is: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return c, launch.Grant{}, fmt.Errorf("ask Fly who this machine is: %w", err)
	}
	g, err := launch.Ask(ctx, req)
	if err != nil {
		return c, g, err
	}
	c.APIToken = g.FlyToken
	return c, g, nil
}
