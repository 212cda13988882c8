package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/install"
)

func (c *cli) uninstallCommand() *cobra.Command {
	var f installFlags
	var how install.Removal
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Remove FlyCD from a Fly organisation", GroupID: "self",
		Long: `Remove what flycd install made: the webhooks within reach of GITHUB_TOKEN, the dispatcher's and the runner's app, their
tokens, and the Redis, with the queue's history. A Redis that is run elsewhere stays.

The apps that FlyCD deployed run on. They are listed, unless --keep-apps is given; with --confirm-apps those that FlyCD made
every machine of, and that have no volume, are destroyed as well.`,
		Example: `  flycd uninstall --org acme --check
  flycd uninstall --org acme --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.uninstall(cmd.Context(), f, how) },
	}
	c.selfFlags(cmd, &f)
	cmd.Flags().BoolVar(&how.KeepApps, "keep-apps", false, "do not look for apps that FlyCD deployed")
	cmd.Flags().BoolVar(&how.ConfirmApps, "confirm-apps", false, "destroy the apps that FlyCD deployed as well")
	return cmd
}

func (c *cli) uninstall(ctx context.Context, f installFlags, how install.Removal) error {
	if !f.check && !f.yes && !isTerminal(c.out) {
		return usage(errConfirm)
	}
	git := c.installSources()
	defer func() { _ = git.Close() }()
	f.image, f.runnerImage = running, running
	in, err := c.installer(ctx, git, f)
	if err != nil {
		return err
	}
	want := install.Want{Org: f.org, App: f.app}
	there, err := in.Installed(ctx, want)
	if err != nil {
		return err
	}
	want.Repos = c.withRepos(ctx, git, nil, there.Roots)
	p, err := in.PlanRemoval(ctx, want, how)
	if err != nil {
		return err
	}
	return c.applyPlan(ctx, in, p, f)
}
