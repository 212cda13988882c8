package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/report"
)

type planFlags struct {
	deployFlags
	exitCode bool
}

func (c *cli) planCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "plan [PATH...]", Short: "Say what a deploy would change", GroupID: "deploy",
		Long: `Compare every app at PATH (default: here) with what Fly holds, and print what a deploy would create, change
(old → new by key), replace and destroy, by process group: which machines restart, and what does not answer
meanwhile. Nothing is changed, and nothing is built.

-o json is a stable form for programs. -o markdown is for a pull request: a table of the apps that would
change and a diff of each, no longer than a comment may be. Values that may be secret are in neither.`,
		Example: `  flycd plan ./my-app
  flycd plan ./config -o markdown > plan.md
  flycd plan . --exit-code   # 10 when something would change`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.plan(cmd.Context(), args, f) },
	}
	addDeployFlags(cmd, &f.deployFlags)
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit with 10 when something would change")
	outputFlag(cmd, &f.output, "text", "json", "markdown")
	return cmd
}

func (c *cli) plan(ctx context.Context, paths []string, f planFlags) (err error) {
	git := c.sources()
	t, err := c.tasks(ctx, git, paths, f.deployFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close(), git.Close()) }()
	worst := c.tell(t.problems)
	if len(t.list) == 0 {
		return worst
	}
	base, err := c.deployer(ctx, git)
	if err != nil {
		return err
	}
	results, errs := planAll(ctx, base, t.list, f)
	rows := make([]report.Row, 0, len(t.list))
	for i, one := range t.list {
		rows = append(rows, rowOf(one.app, results[i], errs[i]))
		worst = worse(worst, planError(errs[i]))
	}
	return c.endPlan(rows, f, worst)
}

// endPlan prints the rows and gives the exit code.
func (c *cli) endPlan(rows []report.Row, f planFlags, worst error) error {
	if err := c.printPlans(rows, f.output); err != nil {
		return err
	}
	changes := slices.ContainsFunc(rows, func(row report.Row) bool { return !row.Plan.Empty() })
	if worst == nil && changes && f.exitCode {
		return exitError{code: exitChanges}
	}
	return worst
}

func rowOf(app string, p deploy.PlanResult, err error) report.Row {
	row := report.Row{
		App: app, Outcome: p.Result.Outcome, Counts: p.Plan.Counts(), Changes: p.Summary, Plan: p.Plan,
		Notes: p.Result.Warnings, Pending: p.Result.Pending, Digest: p.Result.Digest,
	}
	if err != nil {
		row.Error = err.Error()
	}
	return row
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
	switch {
	case err == nil:
		return nil
	case refused(err):
		return exitError{code: exitRefused}
	case errors.Is(err, job.ErrRejected):
		return exitError{code: exitUsage}
	}
	return exitError{code: exitFailed}
}

func (c *cli) printPlans(rows []report.Row, output string) error {
	if output == "json" {
		return c.printJSON(rows)
	}
	for _, row := range rows {
		if row.Error != "" {
			fmt.Fprintf(c.err, "%s: %s\n", row.App, row.Error)
		}
	}
	if output == "markdown" {
		return report.Markdown(c.out, rows)
	}
	paint := newPaint(c.out, c.cfg.NoColor)
	for _, row := range rows {
		if row.Error == "" {
			printPlanText(c.out, paint, row)
		}
	}
	return nil
}
