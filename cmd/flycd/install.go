package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/install"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// installFlags are those of all commands about FlyCD itself.
type installFlags struct {
	app, org, region, output string
	project, repo, redisURL  string
	image, runnerImage       string
	secrets                  []string
	toZero, fromSource       bool
	check, print, yes        bool
	grace                    int
}

func (c *cli) installCommand() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use: "install", Short: "Install FlyCD into a Fly organisation, or mend and upgrade it", GroupID: "self",
		Long: `Make FlyCD run in a Fly organisation: two apps that cost nothing while nothing happens, a Redis (or --redis-url),
tokens of the least power that end after a year, the dispatcher, a webhook in the config repository and in each
repository that it names, and a first sync. What is there already is found by its name and mended, so the same command again is
the repair and the upgrade, also of one that was broken off. --check only shows what it would do (exit code 10 where
there is something), --print gives the commands to a person who wants to do it by hand.

The config repository is the one that --repo names, or that the project.yaml in --project-path points to, or that the
folder is a checkout of. Webhooks are set with the token in GITHUB_TOKEN (or GH_TOKEN), which is used here and stored nowhere; for
repositories that it does not reach, and without one, what to enter is printed.

--secret NAME gives FlyCD a value of this environment: FLYCD_GIT_TOKENS or FLY_SSH_PRIVATE_KEY for private repositories,
SOPS_AGE_KEY, FLYCD_GITHUB_TOKEN for feedback on commits, and whatever the apps' env secrets are read from.

The images are those of --image and --runner-image, else those of this release, else both programs are compiled by the Go of this
machine and pushed to Fly's registry, without Docker.`,
		Example: `  flycd install --repo https://github.com/acme/config --org acme
  flycd install --project-path . --org acme --region fra --secret FLYCD_GIT_TOKENS
  flycd install --org acme --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.install(cmd.Context(), f, cmd.Flags().Changed("scale-to-zero"))
		},
	}
	c.selfFlags(cmd, &f)
	flags := cmd.Flags()
	flags.StringVarP(&f.project, "project-path", "p", "", "a folder whose project.yaml points to the config repository, or a checkout of it (projects, else this folder)")
	flags.StringVar(&f.repo, "repo", "", "the config repository, URL[@ref][#path]")
	flags.StringVarP(&f.region, "region", "r", "", "where the dispatcher runs (the nearest)")
	flags.StringVar(&f.redisURL, "redis-url", "", "a Redis that is run elsewhere, within reach of the organisation's network; none is made then")
	flags.StringArrayVar(&f.secrets, "secret", nil, "give FlyCD the value that this variable has here; may be repeated")
	flags.BoolVar(&f.toZero, "scale-to-zero", true, "stop the dispatcher's machine while nothing happens")
	flags.BoolVar(&f.print, "print", false, "print the commands for doing it by hand, and do nothing")
	flags.IntVar(&f.grace, "shutdown-grace-time", 0, "without effect: the dispatcher ends within 15 seconds")
	_ = flags.MarkHidden("shutdown-grace-time")
	c.imageFlags(cmd, &f)
	return cmd
}

// selfFlags are those that say which installation is meant, and how to go about it.
func (c *cli) selfFlags(cmd *cobra.Command, f *installFlags) {
	flags := cmd.Flags()
	flags.StringVarP(&f.app, "app-name", "a", "", "the dispatcher's app (flycd-ORG)")
	flags.StringVar(&f.org, "org", c.cfg.Org, "slug of the organisation")
	flags.BoolVar(&f.check, "check", false, "show what would be done, and do nothing")
	flags.BoolVarP(&f.yes, "yes", "y", false, "ask nothing")
	outputFlag(cmd, &f.output, "text", "json")
}

func (c *cli) imageFlags(cmd *cobra.Command, f *installFlags) {
	cmd.Flags().StringVar(&f.image, "image", "", "the dispatcher's image")
	cmd.Flags().StringVar(&f.runnerImage, "runner-image", "", "the runner's image")
	cmd.Flags().BoolVar(&f.fromSource, "from-source", false, "compile both programs here, also where a release has published images")
}

func (c *cli) install(ctx context.Context, f installFlags, zeroSaid bool) error {
	git := c.installSources()
	want, err := c.wantOf(f)
	if err != nil {
		return errors.Join(err, git.Close())
	}
	if zeroSaid {
		on := !f.toZero
		want.AlwaysOn = &on
	}
	want.Roots, want.Repos, err = c.installRoots(ctx, git, f)
	if err == nil {
		err = c.runInstall(ctx, git, want, f)
	}
	return errors.Join(err, git.Close())
}

// runInstall plans and applies what is wanted.
func (c *cli) runInstall(ctx context.Context, git *source.Client, want install.Want, f installFlags) error {
	if f.print {
		p, err := install.Describe(want, time.Now())
		if err != nil {
			return err
		}
		return c.printCommands(p)
	}
	in, err := c.installer(ctx, git, f)
	if err != nil {
		return err
	}
	there, err := in.Installed(ctx, want)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(there.Roots, func(r job.Config) bool {
		return slices.ContainsFunc(want.Roots, func(w job.Config) bool { return w.ID() == r.ID() })
	})
	want.Repos = c.withRepos(ctx, git, want.Repos, others)
	if len(want.Roots)+len(others) == 0 {
		return usage(errors.New("no config repository is known: name it with --repo URL, or a checkout of it with --project-path DIR"))
	}
	p, err := in.Plan(ctx, want)
	if err != nil {
		return err
	}
	return c.applyPlan(ctx, in, p, f)
}

// wantOf is what the flags say.
func (c *cli) wantOf(f installFlags) (install.Want, error) {
	values, err := named(f.secrets, lookup)
	if err != nil {
		return install.Want{}, err
	}
	w := install.Want{
		Org: f.org, App: f.app, Region: f.region, RedisURL: manifest.NewSecret(f.redisURL), RunnerRegion: c.cfg.RunnerRegion, RunnerSize: c.cfg.RunnerSize,
		Dispatcher: map[string]manifest.Secret{}, Runner: map[string]manifest.Secret{}, Env: map[string]string{},
	}
	for name, v := range values {
		if ofDispatcher(name) {
			w.Dispatcher[name] = manifest.NewSecret(v)
		} else {
			w.Runner[name] = manifest.NewSecret(v)
		}
	}
	if c.cfg.GitHubURL != "" {
		w.Env["FLYCD_GITHUB_URL"] = c.cfg.GitHubURL
	}
	return w, nil
}

// ofDispatcher reports whether a value is the dispatcher's; the others are the runners'.
func ofDispatcher(name string) bool {
	return strings.HasPrefix(name, "FLYCD_GITHUB_") || slices.Contains([]string{
		"FLYCD_NOTIFY", "FLYCD_REGISTRY_TOKENS", "FLYCD_OIDC_REPOS", "FLYCD_DISPATCH_TOKENS",
		"FLYCD_LINK", "FLYCD_NOTIFY_ALLOW", "FLYCD_MAX_RUNNERS", "FLYCD_REMOTE_BUILDS",
	}, name)
}

// withRepos adds the repositories that the installed trees name.
func (c *cli) withRepos(ctx context.Context, git *source.Client, repos []string, roots []job.Config) []string {
	for _, root := range roots {
		more, err := c.reposOfRoot(ctx, git, root)
		if err != nil {
			fmt.Fprintf(c.err, "warning: %v: the repositories that it names get no webhook now\n", err)
		}
		repos = append(repos, more...)
	}
	return repos
}
