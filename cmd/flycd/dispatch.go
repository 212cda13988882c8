package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

type dispatchFlags struct {
	wait, force, confirm bool
	next                 string
	output               string
}

func (c *cli) dispatchCommand() *cobra.Command {
	var f dispatchFlags
	cmd := &cobra.Command{
		Use: "dispatch APP|REPO[@REF]", Short: "Enqueue a job by hand", GroupID: "queue",
		Long: `Push a job as a webhook would: for an app, its newest config and source; for a config repo, a sync of its
trees; for an app repo, a deploy of the apps that follow it. The dispatcher is asked to launch a runner where
FLYCD_NEXT_URL and FLYCD_NEXT_TOKEN are set; else the job waits for the next webhook or sweep. Closed sync.windows let
a person's job pass.`,
		Example: `  flycd dispatch shop-web --wait
  flycd dispatch https://github.com/acme/config@main
  flycd dispatch shop-web --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error { return c.dispatch(cmd.Context(), q, args[0], f) })
		},
	}
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the jobs have ended, and print their logs")
	cmd.Flags().BoolVar(&f.force, "force", false, "deploy although nothing changed")
	cmd.Flags().BoolVar(&f.confirm, "confirm", false, "let the app's deploy destroy also what is lost for good, where sync.prune asks for it")
	cmd.Flags().StringVar(&f.next, "next", c.cfg.NextURL, "the dispatcher's /next, which launches at once")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (c *cli) dispatch(ctx context.Context, q *queue.Queue, what string, f dispatchFlags) error {
	jobs, err := c.wished(ctx, q, what, f)
	if err != nil {
		return err
	}
	answer, _, err := q.Push(ctx, queue.Delivery{Jobs: jobs})
	if err != nil {
		return err
	}
	if err := c.askNext(ctx, f.next); err != nil {
		fmt.Fprintln(c.err, "warning:", err)
	}
	if !f.wait {
		return c.printPushed(answer, f.output)
	}
	return c.waitFor(ctx, q, answer, f.output)
}

// wished gives the jobs for an app's name or a repository.
func (c *cli) wished(ctx context.Context, q *queue.Queue, what string, f dispatchFlags) ([]job.Job, error) {
	now := time.Now()
	if !strings.ContainsAny(what, "/:") {
		entry, ok, err := q.Entry(ctx, what)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, usage(fmt.Errorf("no app %s is in the catalog: dispatch the config repo that names it, or `flycd deploy` its folder", what))
		}
		return []job.Job{byHand(job.Job{Kind: job.Deploy, App: what, Org: entry.Org, Config: entry.Config, Force: f.force, Confirm: f.confirm}, now)}, nil
	}
	if f.confirm {
		return nil, usage(errors.New("--confirm is for one app: name the app that may lose what is gone for good"))
	}
	tree, err := job.ParseConfig(what)
	if err != nil {
		return nil, usage(err)
	}
	push := catalog.Push{Repo: tree.Repo, Ref: fullRef(tree.Ref), Time: now.UnixMilli()}
	if push.Ref == "" {
		// No ref was named: whatever follows the default branch, under whichever name.
		push.Ref, push.DefaultBranch = "refs/heads/HEAD", "HEAD"
	}
	routes, more, err := q.Routes(ctx, push, catalog.MaxApps)
	if err != nil {
		return nil, err
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	jobs, ignored := catalog.Jobs(push, catalog.Found{Routes: routes, More: more, Roots: roots}, now)
	if len(jobs) == 0 && ignored != "" {
		jobs = []job.Job{{Kind: job.Sync, Config: tree}}
	}
	for i := range jobs {
		jobs[i].Half, jobs[i].Force = job.Half{}, f.force
		jobs[i] = byHand(jobs[i], now)
	}
	return jobs, nil
}

func (c *cli) roots() ([]job.Config, error) {
	var roots []job.Config
	for _, s := range c.cfg.ConfigRepos {
		root, err := job.ParseConfig(s)
		if err != nil {
			return nil, usage(fmt.Errorf("FLYCD_CONFIG_REPOS: %w", err))
		}
		roots = append(roots, root)
	}
	return roots, nil
}

func fullRef(ref string) string {
	if ref == "" || strings.HasPrefix(ref, "refs/") {
		return ref
	}
	return "refs/heads/" + ref
}

// byHand makes a job a person's: salted, so that asking twice is two jobs. It names no time: the
// queue's own clock says when it was asked for, whatever this machine's clock says.
func byHand(j job.Job, now time.Time) job.Job {
	j.ID = job.SaltedID(j.Kind, j.Subject(), rand.Text())
	j.Order, j.Reason, j.Created = job.Order{}, job.ByDispatch, now.UTC()
	if u, err := user.Current(); err == nil {
		j.Actor = u.Username
	}
	return j
}

// askNext asks the dispatcher for a due pass. Nothing is lost when it does not answer.
func (c *cli) askNext(ctx context.Context, url string) error {
	if url == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask the dispatcher: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.NextToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the dispatcher: %w; the job waits for the next webhook or sweep", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("ask the dispatcher: it answered %s; check FLYCD_NEXT_TOKEN", res.Status)
	}
	return nil
}

func (c *cli) printPushed(a queue.Answer, output string) error {
	if output == "json" {
		return c.printJSON(a)
	}
	for _, p := range a.Jobs {
		if _, err := fmt.Fprintf(c.out, "%s  %s %s  %s\n", p.ID, p.Kind, orString(p.App, p.Config), p.State); err != nil {
			return err
		}
	}
	return nil
}

// waitFor follows the jobs to their end, and the jobs that they push, and gives the worst outcome.
func (c *cli) waitFor(ctx context.Context, q *queue.Queue, a queue.Answer, output string) error {
	var worst error
	var records []queue.Record
	ids := make([]job.ID, 0, len(a.Jobs))
	for _, p := range a.Jobs {
		ids = append(ids, p.ID)
	}
	for len(ids) > 0 {
		id := ids[0]
		record, err := c.waitForOne(ctx, q, id)
		if err != nil {
			return err
		}
		records = append(records, record)
		ids = append(ids[1:], record.Result.Jobs...)
		if output != "json" {
			fmt.Fprintf(c.out, "%s  %s  %s  %s\n", record.Job.ID, record.Job.Subject(), record.State, record.Result.Detail)
		}
		worst = worse(worst, outcomeError(job.Outcome(record.State)))
	}
	if output == "json" {
		return errors.Join(c.printJSON(records), worst)
	}
	return worst
}

func (c *cli) waitForOne(ctx context.Context, q *queue.Queue, id job.ID) (queue.Record, error) {
	after := ""
	for {
		record, err := q.Job(ctx, id)
		if err != nil {
			return record, unknownJob(err, string(id))
		}
		lines, err := q.Tail(ctx, id, after, 500)
		if err != nil {
			return record, err
		}
		for _, l := range lines {
			after = l.ID
			fmt.Fprintln(c.err, l.Text)
		}
		if record.Over() {
			return record, nil
		}
		if err := pause(ctx, followEvery); err != nil {
			return record, err
		}
	}
}

// outcomeError gives the silent exit code of an outcome; what happened was printed.
func outcomeError(o job.Outcome) error {
	switch o {
	case job.Created, job.Updated, job.Unchanged, job.Superseded:
		return nil
	case job.Rejected:
		return exitError{code: exitUsage}
	case job.Cancelled, job.Failed:
		return exitError{code: exitFailed}
	default:
		return exitError{code: exitFailed}
	}
}

// worse gives the error with the higher exit code.
func worse(a, b error) error {
	if exitCode(b) > exitCode(a) {
		return b
	}
	return a
}
