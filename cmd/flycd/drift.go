package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/report"
	"github.com/gigurra/flycd/shared/source"
)

func (c *cli) driftCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "drift [PATH|APP...]", Short: "Say what somebody changed on Fly since the last deploy", GroupID: "deploy",
		Long: `Compare what FlyCD deployed last with what Fly holds, and print the differences: what somebody changed there,
by hand or with another tool. The next deploy would undo them.

flycd plan shows everything that a deploy would change, from whichever side; flycd drift shows only what comes
from Fly's side. A manifest that has changed since its last deploy hides drift, so such an app is named and
nothing more is said of it: deploy it, or ask for its plan. So is an app that FlyCD adopted and has not changed since.

For a PATH the manifests there are read. Where REDIS_URL is set, an APP is compared with its manifest at the
commit that was deployed last, and so has no such gap.`,
		Example: `  flycd drift ./config --exit-code   # 10 when something has drifted
  flycd drift shop-web -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.drift(cmd.Context(), args, f) },
	}
	cmd.Flags().BoolVar(&f.lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	cmd.Flags().StringVar(&f.only, "only", "*", "only apps whose name matches this glob")
	cmd.Flags().IntVar(&f.parallel, "parallel", 8, "how many apps at once")
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit with 10 when something has drifted")
	outputFlag(cmd, &f.output, "text", "json", "markdown")
	return cmd
}

func (c *cli) drift(ctx context.Context, args []string, f planFlags) (err error) {
	paths, apps, err := c.pathsAndApps(args)
	if err != nil {
		return err
	}
	git := c.sources()
	defer func() { err = errors.Join(err, git.Close()) }()
	t := &tasks{}
	defer func() { err = errors.Join(err, t.Close()) }()
	if len(paths) > 0 || len(apps) == 0 {
		if t, err = c.tasks(ctx, git, paths, f.deployFlags); err != nil {
			return err
		}
	}
	worst := c.tell(t.problems)
	if len(apps) > 0 {
		wanted, err := c.deployedLast(ctx, apps)
		if err != nil {
			return err
		}
		t.list = append(t.list, wanted...)
	}
	if len(t.list) == 0 {
		return worst
	}
	return c.printDrift(ctx, git, t.list, driftRun{f, worst})
}

type driftRun struct {
	planFlags
	worst error
}

func (c *cli) printDrift(ctx context.Context, git *source.Client, list []task, run driftRun) error {
	base, err := c.deployer(ctx, git)
	if err != nil {
		return err
	}
	results, errs := planAll(ctx, base, list, run.planFlags)
	rows, worst := make([]report.Row, 0, len(list)), run.worst
	for i, one := range list {
		row := rowOf(one.app, results[i], errs[i])
		if worst = worse(worst, planError(errs[i])); errs[i] == nil {
			row = drifted(row, one.req.Config != nil)
		}
		rows = append(rows, row)
	}
	return c.endPlan(rows, run.planFlags, worst)
}

// drifted judges a plan, and leaves out of it what does not come from Fly's side.
func drifted(row report.Row, deployedBefore bool) report.Row {
	if row.Drift = driftOf(row.Plan, row.Digest); row.Drift == report.DriftNew && deployedBefore {
		row.Drift = report.DriftFound
	}
	switch row.Drift {
	case report.DriftNew, report.DriftChanged:
		row.Plan, row.Counts, row.Changes, row.Notes = plan.Plan{}, plan.Counts{}, nil, nil
	case report.DriftNone, report.DriftFound:
	}
	return row
}

// driftOf says what the plan comes from: a deploy writes the digest of what it deploys into each
// machine, so a plan for machines that carry the wanted one comes from Fly's side.
func driftOf(p plan.Plan, wanted string) string {
	if p.Empty() {
		return report.DriftNone
	}
	seen, carried := false, false
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			if _, ok := step.(plan.CreateApp); ok {
				return report.DriftNew
			}
			m, ok := machineOf(step)
			if !ok {
				continue
			}
			have := m.GetMetadataByKey(digestKey)
			if have != "" && have != wanted {
				return report.DriftChanged
			}
			seen, carried = true, carried || have != ""
		}
	}
	if seen && !carried {
		return report.DriftNew
	}
	return report.DriftFound
}

// machineOf gives the machine that a step finds on Fly.
func machineOf(step plan.Step) (plan.Machine, bool) {
	var m plan.Machine
	switch s := step.(type) {
	case plan.UpdateMachine:
		m = s.Machine
	case plan.DestroyMachine:
		m = s.Machine
	case plan.ReplaceMachine:
		m = s.Old
	default:
	}
	return m, m.Machine != nil
}

// digestKey is the public name of the digest in a machine's metadata.
const digestKey = "flycd_digest"

// pathsAndApps tells folders and files from names of apps.
func (c *cli) pathsAndApps(args []string) (paths, apps []string, err error) {
	for _, arg := range args {
		_, err := os.Stat(arg)
		switch {
		case err == nil:
			paths = append(paths, arg)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, usage(fmt.Errorf("look at %s: %w", arg, err))
		case c.cfg.RedisURL == "":
			return nil, nil, usage(fmt.Errorf("%s does not exist: expected a folder or a manifest, or set REDIS_URL to ask for an app of the catalog by name", arg))
		default:
			apps = append(apps, arg)
		}
	}
	return paths, apps, nil
}

// deployedLast gives the apps as they were deployed last: their manifests and sources at those commits.
func (c *cli) deployedLast(ctx context.Context, apps []string) (list []task, err error) {
	err = c.withQueue(ctx, func(q *queue.Queue) error {
		states, err := q.AppStates(ctx, apps)
		if err != nil {
			return err
		}
		for _, app := range apps {
			entry, ok, err := q.Entry(ctx, app)
			if err != nil {
				return err
			}
			if !ok {
				return usage(fmt.Errorf("no app %s is in the catalog, and no folder has that name: `flycd status` lists the apps", app))
			}
			state := states[app]
			if state.ConfigCommit == "" {
				return usage(fmt.Errorf("app %s has not been deployed from its config tree yet: `flycd dispatch %s` does it", app, app))
			}
			req := deploy.Request{
				Job:    byHand(job.Job{Kind: job.Plan, App: app, Org: entry.Org, Config: entry.Config}, time.Now()),
				Config: &job.Half{Side: job.ConfigSide, Repo: entry.Config.Repo, Ref: entry.Config.Ref, Default: entry.Config.Ref == "", Commit: state.ConfigCommit},
				Entry:  &entry, Last: state.Result, Final: true,
			}
			if s := entry.Source; s.Repo != "" && state.SourceCommit != "" {
				req.Source = &job.Half{Side: job.SourceSide, Repo: s.Repo, Ref: s.Ref, Default: s.Ref == "", Commit: state.SourceCommit}
			}
			list = append(list, task{app: app, req: req})
		}
		return nil
	})
	return list, err
}
