package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

type planFlags struct {
	deployFlags
	exitCode bool
}

// planned is one app of `flycd plan -o json`.
type planned struct {
	App     string      `json:"app"`
	Outcome job.Outcome `json:"outcome"`
	Changes []string    `json:"changes"`
	Plan    plan.Plan   `json:"plan"`
	Notes   []string    `json:"notes,omitempty"`
	Error   string      `json:"error,omitempty"`
}

func (c *cli) planCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "plan [PATH...]", Short: "Say what a deploy would change", GroupID: "deploy",
		Long: "Compare every app at PATH (default: here) with what Fly holds, and print what a deploy would create, change\n(old → new by key), replace and destroy. Nothing is changed, and nothing is built.",
		Example: `  flycd plan ./my-app
  flycd plan ./config -o json
  flycd plan . --exit-code   # 10 when something would change`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.plan(cmd.Context(), args, f) },
	}
	addDeployFlags(cmd, &f.deployFlags)
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit with 10 when something would change")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (c *cli) plan(ctx context.Context, paths []string, f planFlags) (err error) {
	git := c.sources()
	t, err := c.tasks(ctx, git, paths, f.deployFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close(), git.Close()) }()
	worst, changes := c.tell(t.problems), false
	if len(t.list) == 0 {
		return worst
	}
	base, err := c.deployer(ctx, git)
	if err != nil {
		return err
	}
	results, errs := planAll(ctx, base, t.list, f)
	rows := make([]planned, 0, len(t.list))
	for i, one := range t.list {
		row := planned{App: one.app, Outcome: results[i].Result.Outcome, Changes: results[i].Summary, Plan: results[i].Plan, Notes: results[i].Plan.Notes}
		if errs[i] != nil {
			row.Error = errs[i].Error()
			worst = worse(worst, planError(errs[i]))
		}
		changes = changes || !row.Plan.Empty()
		rows = append(rows, row)
	}
	if err := c.printPlans(rows, f.output); err != nil {
		return err
	}
	if worst == nil && changes && f.exitCode {
		return exitError{code: exitChanges}
	}
	return worst
}

func planAll(ctx context.Context, base *deploy.Deployer, list []task, f planFlags) ([]deploy.PlanResult, []error) {
	results, errs := make([]deploy.PlanResult, len(list)), make([]error, len(list))
	var group errgroup.Group
	group.SetLimit(max(f.parallel, 1))
	for i, t := range list {
		group.Go(func() error {
			results[i], errs[i] = base.Plan(ctx, t.req)
			return nil
		})
	}
	_ = group.Wait() // each app's error is in errs
	return results, errs
}

func planError(err error) error {
	if refused(err) {
		return exitError{code: exitRefused}
	}
	if errors.Is(err, job.ErrRejected) {
		return exitError{code: exitUsage}
	}
	return exitError{code: exitFailed}
}

func (c *cli) printPlans(rows []planned, output string) error {
	if output == "json" {
		return c.printJSON(rows)
	}
	paint := newPaint(c.out, c.cfg.NoColor)
	for _, row := range rows {
		switch {
		case row.Error != "":
			fmt.Fprintf(c.err, "%s: %s\n", row.App, row.Error)
			continue
		case len(row.Changes) == 0:
			fmt.Fprintf(c.out, "%s  nothing to do\n", row.App)
		default:
			fmt.Fprintf(c.out, "%s  would be %s\n", row.App, row.Outcome)
		}
		for _, line := range row.Changes {
			fmt.Fprintf(c.out, "  %s\n", paint.change(line))
		}
		for _, note := range row.Notes {
			fmt.Fprintf(c.out, "  note: %s\n", note)
		}
	}
	return nil
}
