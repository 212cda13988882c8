package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// loaded is a folder of manifests that was read from this machine's disk.
type loaded struct {
	manifest.Tree
	local *source.Tree
}

// load reads the manifests at path. Mistakes come back as manifest.Problems beside the apps that
// are sound, so that a command can go on with those if it wants to.
func (c *cli) load(ctx context.Context, path string, lenient bool) (loaded, error) {
	local, err := c.sources().Local(ctx, path)
	if err != nil {
		return loaded{}, usage(err)
	}
	fsys, err := local.FS()
	if err != nil {
		return loaded{}, err
	}
	read, err := manifest.Read(fsys, local.Path, manifest.Options{Lenient: lenient})
	for _, w := range read.Warnings {
		fmt.Fprintln(c.err, "warning:", w)
	}
	if err != nil {
		var problems manifest.Problems
		if !errors.As(err, &problems) {
			return loaded{}, errors.Join(err, local.Close())
		}
		return loaded{read, local}, usage(err)
	}
	if len(read.Apps) == 0 {
		return loaded{read, local}, usage(fmt.Errorf("%s: no app here: expected an app.yaml or app.toml in this folder or below, or the path of a fly.toml", path))
	}
	return loaded{read, local}, nil
}

func (c *cli) sources() *source.Client { return &source.Client{Git: true} }

// pathArg is the PATH of a command that takes one at most.
func pathArg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}
