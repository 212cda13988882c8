package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// helpCommand is cobra's, but for its answer to what is no command: a sentence and an exit code.
func (c *cli) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Explain a command, or everything",
		Example: "  flycd help deploy\n  flycd help environment",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if len(args) == 0 {
				for _, one := range cmd.Root().Commands() {
					if one.IsAvailableCommand() || one.IsAdditionalHelpTopicCommand() {
						names = append(names, one.Name()+"\t"+one.Short)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usage(err)
			}
			if about == cmd.Root() && len(rest) > 0 {
				return noSuchCommand(about, rest)
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// completionExample is for the command that cobra adds.
func completionExample(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Example = "  source <(flycd completion bash)\n  flycd completion zsh > \"${fpath[1]}/_flycd\""
		cmd.Args, cmd.RunE = noShell, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range cmd.Commands() {
			shell.Example = fmt.Sprintf("  flycd completion %s", shell.Name())
			shell.Args = usageArgs(cobra.NoArgs)
		}
	}
}

func noShell(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Errorf("no completion for %q: expected bash, zsh, fish or powershell", args[0]))
}
