package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/adopt"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/report"
)

type adoptFlags struct {
	dir                   string
	toml, force, toStdout bool
}

func (c *cli) adoptCommand() *cobra.Command {
	var f adoptFlags
	cmd := &cobra.Command{
		Use: "adopt APP", Short: "Write the manifest of an app that runs already", GroupID: "manifest",
		Long: `Look at an app on Fly and write a manifest whose plan is empty: the configuration of its last release where
that is still true, else of its machines; the image by digest; exact counts, sizes, volumes, addresses and
certificates. Secrets stay as they are and are listed in a comment, since Fly tells nobody their values.
Notes say what a manifest cannot, and stand in it as comments.

Nothing on Fly is changed. The exit code is 10 when a deploy of what was written would still change something:
the app is then in a state that no manifest describes, such as two machines of one group with different
environments.`,
		Example: `  flycd adopt shop-web
  flycd adopt shop-web --dir ./apps/web --toml
  flycd adopt shop-web --stdout`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error { return c.adopt(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "folder to write to (default: one with the app's name)")
	cmd.Flags().BoolVar(&f.toml, "toml", false, "write a fly.toml instead of an app.yaml")
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite files that are there")
	cmd.Flags().BoolVar(&f.toStdout, "stdout", false, "print the manifest instead of writing files")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

func (c *cli) adopt(ctx context.Context, app string, f adoptFlags) error {
	if f.dir == "" {
		f.dir = app
	}
	if err := f.free(); err != nil {
		return err
	}
	draft, err := c.draft(ctx, app)
	if err != nil {
		return err
	}
	files, err := f.files(draft)
	if err != nil {
		return err
	}
	if f.toStdout {
		if _, err := c.out.Write(files[0].content); err != nil {
			return err
		}
		return c.remark(draft)
	}
	if err := writeAll(files, f.force); err != nil {
		return err
	}
	for _, one := range files {
		fmt.Fprintln(c.out, shortPath(one.path))
	}
	return c.remark(draft)
}

// draft looks at the app and describes it. Without a release that can be read the machines say all.
func (c *cli) draft(ctx context.Context, app string) (adopt.Draft, error) {
	if c.cfg.flyToken() == "" {
		return adopt.Draft{}, exitError{exitRefused, errors.New("no Fly token: run `fly auth login`, or set FLY_API_TOKEN")}
	}
	client, err := fly.New(ctx, flyOptions(c.cfg, false))
	if err != nil {
		return adopt.Draft{}, usage(err)
	}
	observed, err := client.Observe(ctx, app, adopt.Scope())
	if err != nil {
		return adopt.Draft{}, adoptError(err)
	}
	var last *adopt.Release
	if observed.Exists {
		record, err := client.LastRelease(ctx, app)
		switch {
		case err != nil:
			fmt.Fprintf(c.err, "warning: the last release cannot be read, so its machines say what %s is: %v\n", app, err)
		case record.Definition != nil:
			last = &adopt.Release{Version: record.Version, Definition: record.Definition}
		}
	}
	draft, err := adopt.DraftOf(observed, last)
	return draft, adoptError(err)
}

func adoptError(err error) error {
	switch {
	case refused(err):
		return exitError{exitRefused, err}
	case errors.Is(err, job.ErrRejected):
		return usage(err)
	}
	return err
}

// free wants a folder without a manifest: two in one folder would contradict each other.
func (f adoptFlags) free() error {
	if f.force || f.toStdout {
		return nil
	}
	for _, name := range []string{"app.yaml", "app.toml", "fly.toml"} {
		if _, err := os.Lstat(filepath.Join(f.dir, name)); err == nil {
			return usage(fmt.Errorf("%s is there already: --force overwrites, --dir names another folder, --stdout prints instead", filepath.Join(f.dir, name)))
		}
	}
	return nil
}

// files are the manifest, first, and what belongs beside it.
func (f adoptFlags) files(d adopt.Draft) ([]newFile, error) {
	name, content := "app.yaml", d.YAML
	if f.toml {
		toml, err := manifest.ToTOML(name, content)
		if err != nil {
			return nil, err
		}
		name, content = "fly.toml", toml
	}
	all := []newFile{{filepath.Join(f.dir, name), content}}
	for path, content := range d.Files {
		all = append(all, newFile{filepath.Join(f.dir, filepath.FromSlash(path)), content})
	}
	slices.SortFunc(all[1:], func(a, b newFile) int { return compareText(a.path, b.path) })
	return all, nil
}

// remark tells a person what to know, and what a deploy would still change.
func (c *cli) remark(d adopt.Draft) error {
	for _, note := range d.Notes {
		fmt.Fprintln(c.err, "note:", report.OneLine(note))
	}
	if d.Plan.Empty() {
		return nil
	}
	fmt.Fprintln(c.err, "warning: no manifest describes the app as it is; a deploy of this one would change:")
	for _, line := range d.Plan.Summary() {
		fmt.Fprintln(c.err, "  "+report.OneLine(line))
	}
	return exitError{code: exitChanges}
}
