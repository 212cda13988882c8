package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

type deployFlags struct {
	dryRun, force, lenient, abortEarly bool
	only, output                       string
	parallel                           int
}

// deployed is one app of `flycd deploy -o json`: a JSON line each.
type deployed struct {
	App string `json:"app"`
	job.Result
}

func (c *cli) deployCommand() *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use: "deploy [PATH...]", Short: "Deploy one app or a folder of many from here", GroupID: "deploy",
		Long: `Deploy every app at PATH (default: here): an app folder, a manifest file or a tree of them. Each is compared with
what Fly holds, changed where it differs, and proven. Apps are deployed side by side; Fly's machine leases keep
two deployers apart.`,
		Example: `  flycd deploy
  flycd deploy ./config --only 'shop-*' --dry-run
  flycd deploy ./apps/web ./apps/api -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.dryRun {
				return c.plan(cmd.Context(), args, planFlags{deployFlags: f})
			}
			return c.deploy(cmd.Context(), args, f)
		},
	}
	addDeployFlags(cmd, &f)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would change, as flycd plan does")
	cmd.Flags().BoolVar(&f.abortEarly, "abort-early", false, "begin no further app after one has failed")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func addDeployFlags(cmd *cobra.Command, f *deployFlags) {
	cmd.Flags().BoolVar(&f.force, "force", false, "deploy although nothing changed")
	cmd.Flags().BoolVar(&f.lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	cmd.Flags().StringVar(&f.only, "only", "*", "only apps whose name matches this glob")
	cmd.Flags().IntVar(&f.parallel, "parallel", 8, "how many apps at once")
}

// task is one app to deploy or plan.
type task struct {
	app string
	req deploy.Request
}

// tasks reads the manifests at the paths and makes a job for each app that is wanted. Mistakes in a
// manifest stop nothing but its own app; they come back as the second error.
func (c *cli) tasks(ctx context.Context, paths []string, f deployFlags) (list []task, problems, err error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	if _, err := path.Match(f.only, ""); err != nil {
		return nil, nil, usage(fmt.Errorf("--only %q: %w", f.only, err))
	}
	seen := map[string]string{}
	for _, p := range paths {
		read, err := c.load(ctx, p, f.lenient)
		var mistakes manifest.Problems
		if err != nil && !errors.As(err, &mistakes) {
			return nil, nil, err
		}
		problems = errors.Join(problems, err)
		if err := read.local.Close(); err != nil {
			return nil, nil, err
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, nil, fmt.Errorf("find %s: %w", p, err)
		}
		for _, e := range read.Apps {
			name := e.App.Name
			if ok, _ := path.Match(f.only, name); !ok {
				continue
			}
			if other, ok := seen[name]; ok && other != abs {
				return nil, nil, usage(fmt.Errorf("app %s is in %s and in %s: name it once", name, other, p))
			}
			seen[name] = abs
			list = append(list, task{name, request(name, e.App.Org, abs, f.force)})
		}
	}
	if len(list) == 0 && problems == nil {
		return nil, nil, usage(fmt.Errorf("--only %q matches no app", f.only))
	}
	return list, problems, nil
}

// request is a person's job for a folder of this machine. It never enters Redis.
func request(app, org, dir string, force bool) deploy.Request {
	j := byHand(job.Job{Kind: job.Deploy, App: app, Org: org, Config: job.Config{Repo: dir}, Force: force}, time.Now())
	j.Reason = "deploy"
	return deploy.Request{Job: j, Force: force, Final: true}
}

func (c *cli) deploy(ctx context.Context, paths []string, f deployFlags) error {
	list, problems, err := c.tasks(ctx, paths, f)
	if err != nil {
		return err
	}
	if problems != nil && (f.abortEarly || len(list) == 0) {
		return problems
	}
	base, err := c.deployer(ctx, f.lenient)
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = t.app
	}
	show := newBoard(c.err, names)
	results, errs := c.deployAll(ctx, base, list, deployRun{f, show})
	show.done()
	worst := problems
	for i, t := range list {
		worst = worse(worst, c.report(t.app, results[i], errs[i], f.output))
	}
	return errors.Join(worst, base.Source.Close())
}

type deployRun struct {
	deployFlags
	show *board
}

// deployAll deploys the apps side by side and gives their results in the order of the list.
func (c *cli) deployAll(ctx context.Context, base *deploy.Deployer, list []task, run deployRun) ([]job.Result, []error) {
	results, errs := make([]job.Result, len(list)), make([]error, len(list))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(run.parallel, 1))
	for i, t := range list {
		group.Go(func() error {
			if groupCtx.Err() != nil {
				errs[i] = groupCtx.Err()
				return nil
			}
			d := *base
			d.Log = run.show.logger(t.app)
			d.BuildLog = lineWriter{run.show, t.app}
			// A deploy that has begun is finished, even when another one failed.
			results[i], errs[i] = d.Deploy(ctx, t.req)
			if run.abortEarly && (errs[i] != nil || !results[i].Outcome.Done()) {
				return errAborted
			}
			return nil
		})
	}
	_ = group.Wait() // each app's error is in errs
	return results, errs
}

var errAborted = errors.New("another app failed first")

// lineWriter shows a builder's output as an app's line.
type lineWriter struct {
	show *board
	app  string
}

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range lines(p) {
		w.show.say(w.app, line)
	}
	return len(p), nil
}

// report prints one app's result and gives the error for the exit code.
func (c *cli) report(app string, res job.Result, err error, output string) error {
	if err != nil && res.Outcome == "" {
		res.Outcome, res.Detail = job.Failed, err.Error()
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(c.err, "%s: warning: %s\n", app, w)
	}
	if output == "json" {
		return orElse(json.NewEncoder(c.out).Encode(deployed{app, res}), func() error { return resultError(res, err) })
	}
	took := res.Ended.Sub(res.Started).Round(10 * time.Millisecond)
	fmt.Fprintf(c.out, "%s  %s  %s\n", app, res.Outcome, took)
	for _, line := range res.Changes {
		fmt.Fprintf(c.out, "  %s\n", line)
	}
	if !res.Outcome.Done() && res.Detail != "" {
		fmt.Fprintf(c.err, "%s: %s\n", app, res.Detail)
	}
	return resultError(res, err)
}

func resultError(res job.Result, err error) error {
	if res.Refused || refused(err) {
		return exitError{code: exitRefused}
	}
	return outcomeError(res.Outcome)
}
