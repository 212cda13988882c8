package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

func (c *cli) sweepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sweep", Short: "Catch up: overdue jobs, lost runners, orphans", GroupID: "queue",
		Long: `Run one bounded due pass, as every webhook does, and look for orphans in both directions: machines without a
job and jobs without a machine. An orphan is ended when a second sweep still sees it. Run it every hour from a
scheduled machine: it is what finds a runner that died while nobody pushed.`,
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
				report, err := s.Sweep(cmd.Context())
				if err != nil {
					return err
				}
				return c.printJSON(report)
			})
		},
	}
}
