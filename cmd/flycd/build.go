package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

type buildFlags struct {
	push, noCache, lenient bool
	tag, app, output       string
}

// built is the image of `flycd build -o json`. The names are public.
type built struct {
	App string `json:"app"`
	// Image is the reference by digest, Name the same without it.
	Image string `json:"image"`
	Name  string `json:"name"`
	// Digest is empty where the builder tells none of an image that it does not push.
	Digest string `json:"digest,omitempty"`
	Pushed bool   `json:"pushed"`
	// Built is false where the registry had the image already.
	Built bool `json:"built"`
}

func (c *cli) buildCommand() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use: "build [PATH]", Short: "Build the image of an app as a deploy would", GroupID: "deploy",
		Long: `Build the image of the app at PATH (default: here) as a deploy would: from the same files, under the same name.
The builder's output is talk on stderr; the result is the reference of the image by its digest, alone on a line.

Without --push no registry gets anything, neither image nor cache, and no token is needed; the builder has what it
was handed. With it the image goes to the repository that the manifest says (image.repository, else the app's
own in Fly's registry, where the app has to exist). One that is there already is not built again, and the
next deploy of the same finds it. A --tag of your own is always built; tags of FlyCD's (t-<digest>, c-<digest>, cache-…)
stand for what an image is made from, and are refused.

Dockerfiles are built by BuildKit, at BUILDKIT_HOST and through the program buildctl, or by flyctl on Fly's
remote builders, as build.backend says; buildpacks only by those.`,
		Example: `  flycd build ./my-app
  flycd build . --app shop-web --push
  docker run "$(flycd build . --push --tag try-1)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := image.CheckTag(f.tag); err != nil && cmd.Flags().Changed("tag") {
				return usage(fmt.Errorf("--tag %q %w", f.tag, err))
			}
			return c.build(cmd.Context(), pathArg(args), f)
		},
	}
	cmd.Flags().BoolVar(&f.push, "push", false, "put the image into its registry")
	cmd.Flags().StringVar(&f.tag, "tag", "", "tag of the image, such as try-1; without it one that stands for what it is made from")
	cmd.Flags().StringVar(&f.app, "app", "", "which app, where PATH has several")
	cmd.Flags().BoolVar(&f.noCache, "no-cache", false, "build every step again")
	cmd.Flags().BoolVar(&f.lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (c *cli) build(ctx context.Context, path string, f buildFlags) (err error) {
	git := c.sources()
	t, err := c.tasks(ctx, git, []string{path}, deployFlags{only: "*", lenient: f.lenient})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close(), git.Close()) }()
	one, err := c.oneTask(t, path, f.app)
	if err != nil {
		return err
	}
	d, failed, err := c.buildsFor(git, one, f.push)
	if err != nil {
		return err
	}
	made, err := d.Build(ctx, one.req, deploy.BuildOptions{Push: f.push, Tag: f.tag, NoCache: f.noCache})
	if err = interrupted(ctx, err); err != nil {
		err = fmt.Errorf("%s: %w", one.app, inShort(err))
	}
	if err != nil && failed.Load() {
		return exitError{exitFailed, err}
	}
	if err != nil {
		return err
	}
	return c.printBuilt(one.app, made, f)
}

// shortError is an error whose further lines a person has seen already.
type shortError struct{ error }

func (e shortError) Unwrap() error { return e.error }

// Error implements error.
func (e shortError) Error() string {
	line, _, more := strings.Cut(e.error.Error(), "\n")
	if more {
		line = strings.TrimSuffix(line, ":")
	}
	return line
}

// inShort leaves out of the error of a builder what the builder has printed.
func inShort(err error) error {
	if errors.As(err, new(builderError)) {
		return shortError{err}
	}
	return err
}

// oneTask chooses the app to build. Mistakes of other apps do not matter.
func (c *cli) oneTask(t *tasks, path, app string) (task, error) {
	names := t.names()
	for _, one := range t.list {
		if one.app == app || app == "" && len(names) == 1 && len(t.problems) == 0 {
			return one, nil
		}
	}
	mine := slices.DeleteFunc(slices.Clone(t.problems), func(p manifest.Problem) bool { return app != "" && p.App != app && !p.Hides })
	switch {
	case len(mine) > 0:
		return task{}, c.tell(mine)
	case app != "":
		return task{}, usage(fmt.Errorf("--app %q: %s has no such app, only %s", app, path, strings.Join(names, ", ")))
	}
	return task{}, usage(fmt.Errorf("%s has several apps: say which one with --app (%s)", path, strings.Join(names, ", ")))
}

// buildsFor is the corridor as far as the image. failed tells a build that failed from bad input.
func (c *cli) buildsFor(git *source.Client, one task, push bool) (*deploy.Deployer, *atomic.Bool, error) {
	token := c.cfg.flyToken()
	if token == "" && push && c.pushesToFly(one) {
		return nil, nil, noToken()
	}
	images, builder, err := c.images(token)
	if err != nil {
		return nil, nil, err
	}
	builder, failed := watch(builder)
	return &deploy.Deployer{
		Source: git, Images: images, Builder: builder, Registry: c.cfg.RegistryHost, Secrets: c.cfg.secrets(),
		BuildLog: manifest.Redactor{}.Writer(c.err), Log: c.log, Now: time.Now,
	}, failed, nil
}

// pushesToFly tells whether the app's image goes to Fly's registry, as far as its manifest says.
func (c *cli) pushesToFly(one task) bool {
	for _, e := range one.req.Folder.Apps {
		if to := e.App.Image.Repository; e.App.Name == one.app {
			return to == "" || strings.HasPrefix(to, c.cfg.RegistryHost+"/")
		}
	}
	return true
}

// printBuilt prints the image as results are, and what became of it as talk.
func (c *cli) printBuilt(app string, made deploy.Built, f buildFlags) error {
	b := built{App: app, Image: made.String(), Name: made.Name, Digest: made.Digest, Pushed: f.push, Built: made.New}
	if made.Digest == "" {
		b.Image = made.Name
	}
	if !made.New {
		fmt.Fprintln(c.err, "the image is there already, nothing built: --no-cache builds it again")
	}
	if f.output == "json" {
		return c.printJSON(b)
	}
	if !f.push {
		fmt.Fprintln(c.err, "built, and not pushed: --push puts it into its registry")
	}
	_, err := fmt.Fprintln(c.out, b.Image)
	return err
}
