package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/machine"
)

func (c *cli) validateCommand() *cobra.Command {
	var lenient bool
	cmd := &cobra.Command{
		Use: "validate [PATH]", Short: "Say everything that is wrong with manifests", GroupID: "manifest",
		Long: "Read every manifest at PATH (default: here) and print all mistakes at once: file, line, column, key and\nwhat was expected. Nothing is asked of Fly, Redis or Git.",
		Example: `  flycd validate
  flycd validate ./config --lenient`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			read, err := c.load(cmd.Context(), pathArg(args), lenient)
			if err != nil {
				return err
			}
			defer func() { _ = read.local.Close() }()
			var mistakes []error
			for _, entry := range read.Apps {
				files, err := namedFiles(entry)
				if err == nil {
					_, err = machine.Translate(entry.App, machine.Inputs{Files: files})
				}
				if err != nil {
					mistakes = append(mistakes, fmt.Errorf("%s: %w", fileFromHere(read.local.Dir, entry.File), err))
				}
			}
			if err := errors.Join(mistakes...); err != nil {
				return usage(err)
			}
			_, err = fmt.Fprintln(c.out, counted(len(read.Apps), "app"), "without a mistake")
			return err
		},
	}
	cmd.Flags().BoolVar(&lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	return cmd
}
