package main

import "github.com/spf13/cobra"

// commands are all there are, in the order of their groups. Cobra adds help and completion.
func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.deployCommand(), c.planCommand(), c.driftCommand(), c.buildCommand(),
		c.renderCommand(), c.validateCommand(), c.convertCommand(), c.adoptCommand(), c.reposCommand(), c.schemaCommand(), c.keysCommand(),
		c.dispatchCommand(), c.syncCommand(), c.pruneCommand(), c.suspendCommand(), c.resumeCommand(), c.statusCommand(), c.jobsCommand(), c.jobCommand(), c.logsCommand(), c.cancelCommand(), c.sweepCommand(),
		c.installCommand(), c.upgradeCommand(), c.tokenCommand(), c.webhookCommand(), c.uninstallCommand(),
		c.localCommand(), c.simCommand(), c.monitorCommand(), c.helloCommand(), c.runnerCommand(), c.gitCommand(),
		c.versionCommand(), c.environmentTopic(), c.plansTopic(), c.movingTopic(), c.securityTopic(),
	}
}
