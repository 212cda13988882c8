package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

type deployFlags struct {
	dryRun, force, confirm, lenient, abortEarly bool
	only, output                                string
	parallel                                    int
}

func (c *cli) deployCommand() *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use: "deploy [PATH...]", Short: "Deploy one app or a folder of many from here", GroupID: "deploy",
		Long: `Deploy every app at PATH (default: here): an app folder, a manifest file or a tree of them. Each is compared with
what Fly holds, changed where it differs, and proven. Apps are deployed side by side, but each after those that it
depends on (depends_on): when one of these fails, it is not deployed. Fly's machine leases keep two deployers apart. What
is lost for good (volumes, databases, certificates, dedicated addresses that the manifest no longer names) goes only with
--confirm, where sync.prune asks for it. Where REDIS_URL is set, an app that a runner is deploying is refused, and the result is
recorded: flycd status shows it.

-o json prints the result of each app on a line of its own.`,
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
	cmd.Flags().BoolVar(&f.confirm, "confirm", false, "destroy also what is lost for good, where sync.prune asks for it: volumes, databases, certificates, addresses")
	cmd.Flags().BoolVar(&f.lenient, "lenient", false, "warn of unknown keys instead of refusing them")
	cmd.Flags().StringVar(&f.only, "only", "*", "only apps whose name matches this glob")
	cmd.Flags().IntVar(&f.parallel, "parallel", 8, "how many apps at once")
}

func (c *cli) deploy(ctx context.Context, paths []string, f deployFlags) error {
	if c.cfg.RedisURL == "" {
		return c.deployPaths(ctx, nil, paths, f)
	}
	return c.withQueue(ctx, func(q *queue.Queue) error { return c.deployPaths(ctx, q, paths, f) })
}

// deployPaths deploys the apps at the paths; q may be nil.
func (c *cli) deployPaths(ctx context.Context, q *queue.Queue, paths []string, f deployFlags) (err error) {
	git := c.sources()
	t, err := c.tasks(ctx, git, paths, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close(), git.Close()) }()
	worst := c.tell(t.problems)
	if worst != nil && (f.abortEarly || len(t.list) == 0) {
		return worst
	}
	base, err := c.deployer(ctx, git)
	if err != nil {
		return err
	}
	show := newBoard(c.err, t.names())
	results, errs := c.deployAll(ctx, base, newCourse(t, f.parallel), deployRun{f, show, q})
	show.done()
	rows := newTable(c, t.names())
	for i, one := range t.list {
		worst = worse(worst, rows.report(one.app, results[i], errs[i], f.output))
	}
	return worst
}

type deployRun struct {
	deployFlags
	show  *board
	queue *queue.Queue
}

// deployAll deploys the apps and gives their results in the order of the list.
func (c *cli) deployAll(ctx context.Context, base *deploy.Deployer, all *course, run deployRun) ([]job.Result, []error) {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, i := range all.circles() {
		group.Go(func() error {
			defer close(all.ended[i])
			leave, obstacle, err := all.await(groupCtx, i)
			if err == nil && leave != nil {
				defer leave()
				err = context.Cause(groupCtx)
			}
			switch {
			case err != nil:
				all.errs[i] = interrupted(ctx, err)
				return nil
			case obstacle != "":
				all.results[i] = job.Result{Outcome: job.Failed, Detail: obstacle}
			default:
				t, d := all.list[i], *base
				d.Log = run.show.logger(t.app)
				d.BuildLog = lineWriter{run.show, t.app}
				builder, failed := watch(d.Builder)
				d.Builder = builder
				// A deploy that has begun is finished, even when another one failed.
				all.results[i], all.errs[i] = c.deployOne(ctx, run.queue, d, t.req)
				if all.errs[i] == nil && all.results[i].Outcome == job.Rejected && failed.Load() {
					all.errs[i] = errBuildFailed
				}
			}
			if run.abortEarly && all.badly(i) != "" {
				return errAborted
			}
			return nil
		})
	}
	_ = group.Wait() // each app's error is in errs
	return all.results, all.errs
}

var errAborted = errors.New("not begun: another app failed first")

// lineWriter shows a builder's output as an app's line.
type lineWriter struct {
	show *board
	app  string
}

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range lines(p) {
		w.show.build(w.app, line)
	}
	return len(p), nil
}
