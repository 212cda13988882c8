package main

import (
	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/install"
)

func (c *cli) webhookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "webhook", Short: "The webhooks of an installed FlyCD", GroupID: "self",
		Example: "  flycd webhook rotate --org acme",
	}
	cmd.AddCommand(c.rotateCommand(
		`Make a new webhook secret. The dispatcher accepts both while the hooks are moved to it one after the other, by the token in
GITHUB_TOKEN; then the old one goes. For repositories out of reach, what to enter is printed, with the secret, and the old one stays.`,
		"  flycd webhook rotate --org acme", func(w *install.Want) { w.RotateWebhook = true },
	))
	return cmd
}
