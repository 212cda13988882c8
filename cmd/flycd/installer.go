package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/image/assemble"
	"github.com/gigurra/flycd/shared/install"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// releaseImages are the two images that a release was published with, DISPATCHER,RUNNER; empty in a build of one's own.
var releaseImages string //nolint:gochecknoglobals // the linker sets it

// installer wires an installation for this process. Its images are those that the flags name.
func (c *cli) installer(ctx context.Context, git *source.Client, f installFlags) (*install.Installer, error) {
	deployer, err := c.deployer(ctx, git)
	if err != nil {
		return nil, err
	}
	in := &install.Installer{
		Fly: deployer.Fly, Deployer: deployer, Source: git, Forge: c.forge(), Talk: c.err, Log: c.log,
		HTTP: &http.Client{Transport: c.outside()},
	}
	in.Images, err = c.ownImages(f)
	return in, err
}

// ownImages are the images of FlyCD: those that are named, else those of the release, else of the sources.
func (c *cli) ownImages(f installFlags) (install.Images, error) {
	registry, err := c.registry(c.cfg.flyToken())
	if err != nil {
		return nil, err
	}
	dispatcher, runner, published := strings.Cut(releaseImages, ",")
	switch {
	case f.image != "" && f.runnerImage != "":
		return install.Published{Dispatcher: f.image, Runner: f.runnerImage, Registry: registry}, nil
	case f.image != "" || f.runnerImage != "":
		return nil, usage(errors.New("--image and --runner-image go together: the dispatcher and the runner are of one version"))
	case published && !f.fromSource:
		return install.Published{Dispatcher: dispatcher, Runner: runner, Registry: registry}, nil
	}
	own := assemble.Own{Log: c.err, Version: version()}
	if dir, ok := assemble.Checkout("."); ok {
		own.Dir, own.Version = dir, ""
	} else if strings.HasPrefix(own.Version, "devel") || own.Version == "unknown" {
		return nil, usage(errors.New("this flycd is no release: start it in a checkout of FlyCD, whose sources it then compiles, or name --image and --runner-image"))
	}
	return &install.Compiled{Own: own, Registry: registry}, nil
}

// forge is GitHub with the person's own token, which is used here and stored nowhere.
func (c *cli) forge() *forge.Client {
	return &forge.Client{BaseURL: c.cfg.GitHubURL, Token: cmp.Or(c.cfg.ForgeToken, c.cfg.GHToken, c.cfg.FlyCDForgeToken)}
}

// installSources reads config repositories, those of the forge with its token.
func (c *cli) installSources() *source.Client {
	git := c.sources()
	if f := c.forge(); f.Ready() {
		git.Auth = forgeLogin{f, git.Auth}
	}
	return git
}

// forgeLogin opens the forge's repositories with its token, where rest has nothing of their own for them.
type forgeLogin struct {
	forge *forge.Client
	rest  source.Authenticator
}

// Credential implements source.Authenticator.
func (l forgeLogin) Credential(ctx context.Context, repo string) (source.Credential, error) {
	c, err := l.rest.Credential(ctx, repo)
	if err != nil || !c.Password.IsZero() || !c.SSHKey.IsZero() || !l.forge.Known(repo) {
		return c, err
	}
	return source.Credential{Username: "x-access-token", Password: manifest.NewSecret(l.forge.Token)}, nil
}

// outside reaches apps at their public addresses. Those of a simulated Fly are on this host.
func (c *cli) outside() http.RoundTripper {
	if u, err := url.Parse(c.cfg.FlapsBaseURL); err == nil && isLoopback(u.Host) {
		return onThisHost{strings.TrimSuffix(c.cfg.FlapsBaseURL, "/")}
	}
	return http.DefaultTransport
}

// onThisHost carries requests for https://APP.fly.dev to where a flycd sim serves the app.
type onThisHost struct{ sim string }

// RoundTrip implements http.RoundTripper.
func (s onThisHost) RoundTrip(r *http.Request) (*http.Response, error) {
	app, ok := strings.CutSuffix(r.URL.Hostname(), ".fly.dev")
	if !ok {
		return http.DefaultTransport.RoundTrip(r)
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, s.sim+"/_sim/apps/"+app+"/url", http.NoBody) //nolint:gosec // the address of the simulator that the person named
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultTransport.RoundTrip(ask)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var said struct{ URL string }
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		return nil, fmt.Errorf("ask the simulated Fly where %s is: %w", app, err)
	}
	at, err := url.Parse(said.URL)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("ask the simulated Fly where %s is: it answered %s", app, res.Status)
	}
	there := r.Clone(r.Context())
	there.URL.Scheme, there.URL.Host, there.Host = at.Scheme, at.Host, r.URL.Host
	return http.DefaultTransport.RoundTrip(there)
}

// printPlan shows what there is and what is to be done.
func (c *cli) printPlan(p install.Plan, output string) error {
	if output == "json" {
		return c.printJSON(p)
	}
	for _, w := range p.Warnings {
		fmt.Fprintln(c.err, "warning:", w)
	}
	for _, s := range p.Steps {
		switch {
		case s.Done:
			fmt.Fprintf(c.out, "ok       %s\n", s.Name)
		case s.Manual:
			fmt.Fprintf(c.out, "by hand  %s: %s\n         %s\n", s.Name, s.Why, s.Command)
		default:
			fmt.Fprintf(c.out, "to do    %s: %s\n", s.Name, s.Why)
		}
	}
	if p.Empty() {
		fmt.Fprintln(c.out, "nothing to do")
	}
	return nil
}

// printCommands gives what a person would do by hand.
func (c *cli) printCommands(p install.Plan) error {
	for _, s := range p.Steps {
		if s.Command != "" {
			fmt.Fprintf(c.out, "# %s\n%s\n", s.Name, s.Command)
		}
	}
	return nil
}

// applyPlan does what is to be done, after a person agreed where one watches, and tells what is left to them.
func (c *cli) applyPlan(ctx context.Context, in *install.Installer, p install.Plan, f installFlags) error {
	if f.check {
		if err := c.printPlan(p, f.output); err != nil || p.Empty() {
			return err
		}
		return exitError{code: exitChanges}
	}
	for _, w := range p.Warnings {
		fmt.Fprintln(c.err, "warning:", w)
	}
	if !p.Empty() && !f.yes && isTerminal(c.out) {
		if err := errors.Join(c.printPlan(p, "text"), c.agree("Go on?")); err != nil {
			return err
		}
	}
	report, err := in.Apply(ctx, p)
	if err != nil {
		return fmt.Errorf("%w; the same command goes on from there", err)
	}
	if f.output == "json" {
		return c.printJSON(report)
	}
	for _, n := range report.Notes {
		fmt.Fprintln(c.err, "note:", n)
	}
	for _, s := range report.Manual {
		fmt.Fprintf(c.out, "by hand: %s (%s)\n  %s\n", s.Name, s.Why, s.Command)
	}
	if !report.WebhookSecret.IsZero() {
		fmt.Fprintf(c.out, "the webhook secret for these, which is told once: %s\n", report.WebhookSecret.Reveal())
	}
	fmt.Fprintf(c.out, "%s: %s done\n", p.Want.App, counted(len(report.Done), "step"))
	return nil
}

// agree asks the person who watches.
func (c *cli) agree(question string) error {
	fmt.Fprintf(c.out, "%s [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(c.in, &answer); err != nil || !strings.HasPrefix(strings.ToLower(answer), "y") {
		return exitError{exitUsage, errors.New("nothing was changed")}
	}
	return nil
}

// named reads values of this environment that were asked for by name.
func named(names []string, lookup func(string) (string, bool)) (map[string]string, error) {
	values := map[string]string{}
	for _, name := range names {
		v, ok := lookup(name)
		if !ok || v == "" {
			return nil, usage(fmt.Errorf("--secret %s: the variable is not set here", name))
		}
		values[name] = v
	}
	return values, nil
}

// folderOf is a folder that a person named, which must be there.
func folderOf(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		dir, err = ".", fmt.Errorf("%s is no folder", dir)
	}
	if err != nil {
		return "", usage(fmt.Errorf("--project-path: %w", err))
	}
	return dir, nil
}
