package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

func (c *cli) sweepCommand() *cobra.Command {
	var skip skipped
	cmd := &cobra.Command{
		Use: "sweep", Short: "Catch up: overdue jobs, lost runners, orphans, drift", GroupID: "queue",
		Long: `Run one bounded due pass, as every webhook does, and look for orphans in both directions: machines without a
job and jobs without a machine. An orphan is ended when a second sweep still sees it. Run it every hour from a
scheduled machine: it is what finds a runner that died while nobody pushed. Commits and people are told then what they were not
told yet, as the dispatcher does (FLYCD_GITHUB_TOKEN or a GitHub App, FLYCD_NOTIFY).

Before that every app of the catalog is looked at on Fly, and compared with what its last deploy proved there. An app
with sync.self_heal whose machines somebody changed gets a job of low priority, which undoes that; other apps are
only named ("drifted"), and put right by their next deploy. Where the token may not see an app, a job is pushed for
it if it is to heal itself: the runner looks. --no-heal leaves all this out.

Apps that follow an image (source.policy) are caught up with too, since a registry's hook can be lost: each image is asked
for once, and an app that was deployed with another one than its policy takes now gets a job of low priority
("followed"). One whose last job tried that image and failed is only named ("tried"), as is an image that its registry
does not tell of ("unresolved"). Private registries need FLYCD_REGISTRY_LOGINS here, as on the runner. --no-follow leaves
this out.`,
		Example: "  flycd sweep",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token := c.cfg.flyToken()
			if token == "" || c.cfg.RunnerApp == "" || c.cfg.RunnerImage == "" {
				return usage(errors.New("a sweep launches what waits: set FLY_API_TOKEN, FLYCD_RUNNER_APP and FLYCD_RUNNER_IMAGE as the dispatcher has them"))
			}
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				s, err := c.sweeper(q, token)
				if err != nil {
					return err
				}
				return c.sweep(cmd.Context(), s, skip)
			})
		},
	}
	cmd.Flags().BoolVar(&skip.heal, "no-heal", false, "do not look for apps whose machines somebody changed")
	cmd.Flags().BoolVar(&skip.follow, "no-follow", false, "do not ask registries for the images that apps follow")
	return cmd
}

// sweeper wires a dispatcher that serves nobody: what it launches is what the one on Fly would, so what that has of
// FLYCD_MINT_TOKEN, FLYCD_GRANT_URL and FLYCD_NEXT_URL is needed here too.
func (c *cli) sweeper(q *queue.Queue, token string) (*dispatcher.Server, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	post, _, err := c.post(q)
	if err != nil {
		return nil, err
	}
	m := c.cfg.Monitor
	if m.MintToken != "" && m.GrantURL == "" {
		return nil, usage(errors.New("FLYCD_MINT_TOKEN is set and FLYCD_GRANT_URL is not: a runner would not know where to ask for its token"))
	}
	env := map[string]string{}
	for name, value := range map[string]string{
		"FLYCD_REDIS_PREFIX": c.cfg.RedisPrefix, "FLYCD_NEXT_URL": c.cfg.NextURL, "FLYCD_OIDC_AUDIENCE": m.OIDCAudience,
		"FLY_FLAPS_BASE_URL": c.cfg.FlapsBaseURL, "FLY_API_BASE_URL": c.cfg.APIBaseURL,
	} {
		if value != "" {
			env[name] = value
		}
	}
	q.Seal = m.MintToken != ""
	launcher := &launch.Launcher{
		Mint: m.MintToken, GrantURL: m.GrantURL,
		App: c.cfg.RunnerApp, Image: c.cfg.RunnerImage, Region: c.cfg.RunnerRegion, Size: c.cfg.RunnerSize,
		BaseURL: c.cfg.FlapsBaseURL, Token: token, Env: env, UserAgent: "flycd/" + version(), Log: c.log,
	}
	return &dispatcher.Server{Queue: q, Runners: launcher, Roots: roots, Feedback: post, MaxRunners: c.cfg.MaxRunners, Log: c.log}, nil
}

// skipped are the parts of a sweep that are left out.
type skipped struct{ heal, follow bool }

// sweep pushes jobs first, so that the due pass launches what is needed for them. What fails stops nothing else.
func (c *cli) sweep(ctx context.Context, s *dispatcher.Server, skip skipped) error {
	report := struct {
		dispatcher.SweepReport
		following
		healing
	}{}
	var errs [4]error
	var known idle
	if !skip.follow || !skip.heal {
		known, errs[0] = c.idle(ctx, s.Queue)
	}
	if !skip.follow {
		report.following, errs[1] = c.followImages(ctx, s.Queue, known)
	}
	if !skip.heal {
		// a deploy that follows an image heals the app too
		report.healing, errs[2] = c.heal(ctx, s.Queue, known.without(report.following))
	}
	report.SweepReport, errs[3] = s.Sweep(ctx)
	s.Tell(ctx)
	s.Wait()
	return errors.Join(append([]error{c.printJSON(report)}, errs[:]...)...)
}
