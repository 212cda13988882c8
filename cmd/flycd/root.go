package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/settings"
)

// streams are where a command reads and writes: results go to out, talk goes to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// cli is what every command is given.
type cli struct {
	streams
	cfg config
	log *slog.Logger
}

const rootLong = `FlyCD is GitOps for Fly.io: Git says what should run, FlyCD makes it so.

Try it without an account:   flycd local --once
See what it understands:     flycd render ./fly.toml
See what it would do:        flycd plan ./my-app
Do it:                       flycd deploy ./my-app

Bring an app that runs:      flycd adopt my-app

Settings come from the environment; "flycd help environment" lists them.
Exit codes: 0 done or nothing to do, 1 failed, 2 bad input, 3 refused, 10 plan, drift or adopt found changes.`

// run is the program without its process: it returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	cfg, err := readConfig()
	if err != nil {
		fmt.Fprintln(s.err, "flycd:", err)
		return exitUsage
	}
	log, err := settings.ParseLog("FLYCD_LOG", cfg.Log, slog.LevelWarn)
	if err != nil {
		fmt.Fprintln(s.err, "flycd:", err)
		return exitUsage
	}
	c := &cli{streams: s, cfg: cfg, log: log.Logger(s.err)}
	root := c.root() //nolint:contextcheck // cobra hands the context to each command
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err = root.ExecuteContext(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintln(s.err, "flycd:", manifest.Still(err.Error()))
	}
	return exitCode(err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use: "flycd", Short: "GitOps for Fly.io", Long: rootLong,
		SilenceUsage: true, SilenceErrors: true,
		Version: version(),
		Args:    noSuchCommand, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help"))
	})
	root.AddGroup(
		&cobra.Group{ID: "deploy", Title: "Deploy by hand:"},
		&cobra.Group{ID: "manifest", Title: "Read and write manifests:"},
		&cobra.Group{ID: "queue", Title: "Work with the queue:"},
		&cobra.Group{ID: "self", Title: "Run FlyCD on Fly:"},
		&cobra.Group{ID: "run", Title: "Run FlyCD here:"},
	)
	for _, cmd := range c.commands() {
		if cmd.Args != nil {
			cmd.Args = usageArgs(cmd.Args)
		}
		root.AddCommand(cmd)
	}
	root.SetHelpCommand(c.helpCommand())
	completionExample(root)
	return root
}

// noSuchCommand is given what is no command, and says what may have been meant.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := `see "flycd help"`
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return usage(fmt.Errorf("unknown command %q: %s", args[0], hint))
}

// usageArgs gives a wrong number of arguments the exit code for wrong usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help"))
		}
		return nil
	}
}

// isTerminal reports whether a person watches w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
