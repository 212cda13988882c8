package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/install"
)

func (c *cli) upgradeCommand() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Bring an installed FlyCD to this version", GroupID: "self",
		Long: `Deploy the dispatcher and the runner of this flycd's version where FlyCD is installed, and mend what else is not as
it should be. Nothing else changes: settings, secrets and repositories stay. It is flycd install, for what is there already.`,
		Example: `  flycd upgrade --org acme
  flycd upgrade --org acme --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.again(cmd.Context(), f, func(*install.Want) {})
		},
	}
	c.selfFlags(cmd, &f)
	c.imageFlags(cmd, &f)
	return cmd
}

func (c *cli) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "The tokens of an installed FlyCD", GroupID: "self",
		Example: "  flycd token rotate --org acme",
	}
	cmd.AddCommand(c.rotateCommand(
		"Make new tokens of Fly, deploy the dispatcher with them, and revoke the old ones. Runners that are at work keep theirs: the old\ntokens go with the next run of this command or of flycd install.",
		"  flycd token rotate --org acme", func(w *install.Want) { w.RotateTokens = true },
	))
	return cmd
}

// rotateCommand is install with other secrets, and the images that run.
func (c *cli) rotateCommand(long, example string, change func(*install.Want)) *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace them by new ones", Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.image, f.runnerImage = running, running
			return c.again(cmd.Context(), f, change)
		},
	}
	c.selfFlags(cmd, &f)
	return cmd
}

// running stands for the image that is deployed.
const running = "(as it runs)"

// again goes over what is installed.
func (c *cli) again(ctx context.Context, f installFlags, change func(*install.Want)) error {
	git := c.installSources()
	defer func() { _ = git.Close() }()
	in, err := c.installer(ctx, git, f)
	if err != nil {
		return err
	}
	want := install.Want{Org: f.org, App: f.app}
	there, err := in.Installed(ctx, want)
	if err != nil {
		return err
	}
	if there.Dispatcher == "" {
		return usage(fmt.Errorf("FlyCD is not installed in the organisation %s under the name that is meant: name its app with --app-name, or install it with `flycd install`", f.org))
	}
	if own, ok := in.Images.(install.Published); ok && f.image == running {
		own.Dispatcher, own.Runner = there.Dispatcher, there.Runner
		in.Images = own
	}
	want.Repos = c.withRepos(ctx, git, nil, there.Roots)
	change(&want)
	p, err := in.Plan(ctx, want)
	if err != nil {
		return err
	}
	return c.applyPlan(ctx, in, p, f)
}

var errConfirm = errors.New("what is removed is gone: look with --check, and say --yes")
