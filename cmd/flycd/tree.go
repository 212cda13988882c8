package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// loaded is a folder of manifests that was read from this machine's disk.
type loaded struct {
	manifest.Tree
	local *source.Tree
}

// load reads the manifests at path and asks nothing of Git. Mistakes come back as
// manifest.Problems beside the apps that are sound, so that a command can go on with those if it
// wants to.
func (c *cli) load(ctx context.Context, path string, lenient bool) (loaded, error) {
	local, err := c.sources().Local(ctx, path)
	if err != nil {
		return loaded{}, usage(err)
	}
	fsys, err := local.FS()
	if err != nil {
		return loaded{}, err
	}
	read, err := manifest.Read(fsys, local.Path, manifest.Options{Lenient: lenient, Repo: local.Origin, Org: c.cfg.Org})
	c.warn(read, local.Dir)
	for _, r := range read.Unread {
		fmt.Fprintf(c.err, "warning: project %s: %s is not read here; flycd plan and deploy read it\n", r.By, r.Repo)
	}
	if err != nil {
		var problems manifest.Problems
		if !errors.As(err, &problems) {
			return loaded{}, errors.Join(err, local.Close())
		}
		return loaded{read, local}, exitError{codeOf(problems), fromHere(problems, local.Dir)}
	}
	if len(read.Apps) == 0 && len(read.Unread) == 0 {
		return loaded{read, local}, noApp(path)
	}
	return loaded{read, local}, nil
}

func noApp(path string) error {
	return usage(fmt.Errorf("%s: no app here: expected an app.yaml or app.toml in this folder or below, or the path of a fly.toml; flycd convert %s makes an app.yaml of each fly.toml below it", path, path))
}

func (c *cli) warn(read manifest.Tree, root string) {
	for _, w := range fromHere(read.Warnings, root) {
		fmt.Fprintln(c.err, "warning:", w)
	}
}

// fromHere names the files of problems as they are found from the working directory.
func fromHere(all manifest.Problems, root string) manifest.Problems {
	named := slices.Clone(all)
	for i, p := range named {
		if p.Repo == "" {
			named[i].File = fileFromHere(root, p.File)
		}
	}
	return named
}

// fileFromHere gives the path of a tree's file from the working directory.
func fileFromHere(root, file string) string {
	here, err := os.Getwd()
	if err == nil {
		here, err = filepath.EvalSymlinks(here)
	}
	if err != nil {
		return file
	}
	near, err := filepath.Rel(here, filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return file
	}
	return near
}

// pathArg is the PATH of a command that takes one at most.
func pathArg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}
