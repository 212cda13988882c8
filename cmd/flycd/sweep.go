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
	noHeal := false
	cmd := &cobra.Command{
		Use: "sweep", Short: "Catch up: overdue jobs, lost runners, orphans, drift", GroupID: "queue",
		Long: `Run one bounded due pass, as every webhook does, and look for orphans in both directions: machines without a
job and jobs without a machine. An orphan is ended when a second sweep still sees it. Run it every hour from a
scheduled machine: it is what finds a runner that died while nobody pushed.

Before that every app of the catalog is looked at on Fly, and compared with what its last deploy proved there. An app
with sync.self_heal whose machines somebody changed gets a job of low priority, which undoes that; other apps are
only named ("drifted"), and put right by their next deploy. Where the token may not see an app, a job is pushed for
it if it is to heal itself: the runner looks. --no-heal leaves all this out.`,
		Example: "  flycd sweep",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token := c.cfg.flyToken()
			if token == "" || c.cfg.RunnerApp == "" || c.cfg.RunnerImage == "" {
				return usage(errors.New("a sweep launches what waits: set FLY_API_TOKEN, FLYCD_RUNNER_APP and FLYCD_RUNNER_IMAGE as the dispatcher has them"))
			}
			roots, err := c.roots()
			if err != nil {
				return err
			}
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				launcher := &launch.Launcher{
					App: c.cfg.RunnerApp, Image: c.cfg.RunnerImage, Region: c.cfg.RunnerRegion, Size: c.cfg.RunnerSize,
					BaseURL: c.cfg.FlapsBaseURL, Token: token, UserAgent: "flycd/" + version(), Log: c.log,
				}
				s := &dispatcher.Server{Queue: q, Runners: launcher, Roots: roots, MaxRunners: c.cfg.MaxRunners, Log: c.log}
				return c.sweep(cmd.Context(), s, noHeal)
			})
		},
	}
	cmd.Flags().BoolVar(&noHeal, "no-heal", false, "do not look for apps whose machines somebody changed")
	return cmd
}

// sweep heals first, so that the due pass launches what is needed for it. What fails stops nothing else.
func (c *cli) sweep(ctx context.Context, s *dispatcher.Server, noHeal bool) error {
	report := struct {
		dispatcher.SweepReport
		healing
	}{}
	var errs [2]error
	if !noHeal {
		report.healing, errs[0] = c.heal(ctx, s.Queue)
	}
	report.SweepReport, errs[1] = s.Sweep(ctx)
	return errors.Join(c.printJSON(report), errs[0], errs[1])
}
