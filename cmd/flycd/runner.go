package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/runner"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

// runnerCommand is the runner of the local mode and of flycd monitor: cmd/runner as a command of this
// program, with the Git credentials of the person's machine.
func (c *cli) runnerCommand() *cobra.Command {
	var simulated bool
	hold := queue.HoldTTL
	cmd := &cobra.Command{
		Use: "runner", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.cfg.Job == "" || c.cfg.Attempt < 1 || c.cfg.Machine == "" {
				return usage(errors.New("FLYCD_JOB, FLYCD_ATTEMPT and FLY_MACHINE_ID are not set: flycd local and flycd monitor set them"))
			}
			if c.cfg.RedisURL == "" {
				return usage(errors.New("REDIS_URL is not set"))
			}
			return c.runJob(cmd.Context(), flyOptions(c.cfg, simulated), hold)
		},
	}
	cmd.Flags().BoolVar(&simulated, "simulated", false, "the Fly at FLY_FLAPS_BASE_URL is simulated: its machines are up at once")
	cmd.Flags().DurationVar(&hold, "hold", hold, "how long a claim stands without renewal; leases and waits follow, in proportion")
	return cmd
}

// flyOptions waits as long as real machines need, or as simulated ones do.
func flyOptions(cfg config, simulated bool) fly.Options {
	opts := fly.Options{
		Token: cfg.flyToken(), BaseURL: cfg.FlapsBaseURL, APIBaseURL: cfg.APIBaseURL, UIEXBaseURL: cfg.UIEXBaseURL,
		UserAgent: "flycd/" + version(),
	}
	if simulated {
		cfg.Smoke = 200 * time.Millisecond
	}
	if opts.Smoke = cfg.Smoke; cfg.Smoke > 0 {
		const looks = 4
		opts.Poll = min(cfg.Smoke/looks, time.Second)
	}
	return opts
}

// runJob does the job. Whoever dies is outlived the sooner, the shorter hold is.
func (c *cli) runJob(ctx context.Context, opts fly.Options, hold time.Duration) error {
	q, err := queue.Open(c.cfg.RedisURL, c.cfg.RedisPrefix)
	if err != nil {
		return usage(err)
	}
	if hold < queue.HoldTTL {
		q.Times.Hold, q.Times.Margin, q.Times.Backoff = hold, hold/12, hold/6
		opts.LeaseTTL = hold / 2
	}
	client, err := fly.New(ctx, opts)
	if err != nil {
		return errors.Join(err, q.Close())
	}
	images, builder, err := c.images(opts.Token)
	if err != nil {
		return errors.Join(err, q.Close())
	}
	git := c.sources()
	hidden := []string{opts.Token, c.cfg.RedisURL, c.cfg.NextToken, c.cfg.DigestKey, c.cfg.AgeKey, c.cfg.PGPKey, c.cfg.Passphrase}
	for _, login := range images.Logins {
		hidden = append(hidden, login.Password.Reveal())
	}
	hidden = append(hidden, c.cfg.keys.Secrets()...)
	r := &runner.Runner{
		Queue: q, Job: job.ID(c.cfg.Job), Attempt: c.cfg.Attempt, Machine: c.cfg.Machine, Deadline: c.cfg.Deadline,
		Next:    runner.Next{URL: c.cfg.NextURL, Token: c.cfg.NextToken},
		Secrets: hidden, Out: c.err, Level: slog.LevelInfo,
		Deployer: deploy.Deployer{
			Fly: client, Source: git, Images: images, Builder: builder, Registry: c.cfg.RegistryHost, Turns: q, Index: q, Tombs: q, Org: c.cfg.Org,
			Sync:    &deploy.Syncer{Source: git, Catalog: q, Links: q, Sights: q, Graves: q, Sweeper: q, Index: q, Jobs: q, Registry: c.cfg.RegistryHost, Manifest: manifest.Options{Org: c.cfg.Org}},
			Secrets: c.cfg.secrets(), DigestKey: manifest.NewSecret(c.cfg.DigestKey),
			Now: time.Now,
		},
	}
	err = r.Run(ctx)
	if err := errors.Join(git.Close(), q.Close()); err != nil {
		fmt.Fprintln(c.err, "warning:", err)
	}
	return err
}
