package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// rendered is one app as `flycd render -o json` prints it. The names are public.
type rendered struct {
	App            string         `json:"app"`
	Path           string         `json:"path"`
	Project        []string       `json:"project"`
	Manifest       any            `json:"manifest"`
	Machines       map[string]any `json:"machines"`
	ReleaseCommand any            `json:"release_command,omitempty"`
}

func (c *cli) renderCommand() *cobra.Command {
	var lenient bool
	var output string
	cmd := &cobra.Command{
		Use: "render [PATH]", Short: "Print what FlyCD understood", GroupID: "manifest",
		Long: "Print the effective manifest of every app at PATH (default: here), after inheritance, defaults,\noverrides, substitutions and variables. Nothing is asked of Fly, Redis or Git.",
		Example: `  flycd render ./fly.toml
  flycd render ./config -o json | jq '.[].machines'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			read, err := c.load(cmd.Context(), pathArg(args), lenient)
			if err != nil {
				return err
			}
			if output == "json" {
				return errors.Join(c.renderJSON(read), read.local.Close())
			}
			return errors.Join(c.renderYAML(read), read.local.Close())
		},
	}
	cmd.Flags().BoolVar(&lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	outputFlag(cmd, &output, "yaml", "json")
	return cmd
}

func (c *cli) renderYAML(read loaded) error {
	for i, app := range read.Apps {
		doc, err := app.YAML()
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(c.out, "---")
		}
		if _, err := fmt.Fprintf(c.out, "# %s\n%s", fileFromHere(read.local.Dir, app.File), doc); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) renderJSON(read loaded) error {
	all := make([]rendered, 0, len(read.Apps))
	for _, app := range read.Apps {
		one, err := render(app)
		if err != nil {
			return usage(fmt.Errorf("%s: %w", fileFromHere(read.local.Dir, app.File), err))
		}
		all = append(all, one)
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}

func render(entry manifest.Entry) (rendered, error) {
	one := rendered{App: entry.App.Name, Path: entry.File, Project: entry.Projects, Manifest: entry.JSON(), Machines: map[string]any{}}
	if one.Project == nil {
		one.Project = []string{}
	}
	files, err := namedFiles(entry)
	if err != nil {
		return rendered{}, err
	}
	target, err := machine.Translate(entry.App, machine.Inputs{Files: files})
	if err != nil {
		return rendered{}, err
	}
	for _, g := range target.Groups {
		if one.Machines[g.Name], err = machine.Plain(g.Config); err != nil {
			return rendered{}, err
		}
	}
	if target.ReleaseCommand != nil {
		one.ReleaseCommand, err = machine.Plain(target.ReleaseCommand)
	}
	return one, err
}
