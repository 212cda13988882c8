package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/settings"
)

// environmentTopic is a help topic: `flycd help environment`.
func (c *cli) environmentTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("FlyCD is set up by environment variables:\n\n")
	settings.Help[config](&b)
	return &cobra.Command{Use: "environment", Short: "The settings that the environment holds", Long: b.String()}
}
