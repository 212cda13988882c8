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

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// askFlags are those of every command that pushes jobs.
type askFlags struct {
	wait         bool
	next, output string
}

func (c *cli) addAskFlags(cmd *cobra.Command, f *askFlags) {
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the jobs have ended, and print their logs")
	cmd.Flags().StringVar(&f.next, "next", c.cfg.NextURL, "the dispatcher's /next, which launches at once")
	outputFlag(cmd, &f.output, "text", "json")
}

func (c *cli) dispatchCommand() *cobra.Command {
	var f askFlags
	var force, confirm bool
	cmd := &cobra.Command{
		Use: "dispatch APP|REPO[@REF]", Short: "Enqueue a job by hand", GroupID: "queue",
		Long: `Push a job as a webhook would: for an app, a deploy of its config as it was last read and its newest source; for a
config repo, a sync of its trees; for an app repo, a deploy of the apps that follow it. The dispatcher is asked to launch a
runner where FLYCD_NEXT_URL and FLYCD_NEXT_TOKEN are set; else the job waits for the next webhook or sweep. Closed
sync.windows let a person's job pass.

Where Redis is out of reach, the dispatcher does it: set FLYCD_DISPATCH_URL and FLYCD_DISPATCH_TOKEN, and not REDIS_URL. Such
a job is a program's, and waits for windows as a push does.`,
		Example: `  flycd dispatch shop-web --wait
  flycd dispatch https://github.com/acme/config@main
  flycd dispatch shop-web --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := askOf(args[0])
			if err != nil {
				return err
			}
			if a.Force, a.Confirm = force, confirm; confirm && a.App == "" {
				return usage(errors.New("--confirm is for one app: name the app that may lose what is gone for good"))
			}
			return c.ask(cmd.Context(), f, func(context.Context, *queue.Queue) ([]dispatcher.Ask, error) { return []dispatcher.Ask{a}, nil })
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "deploy although nothing changed")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "let the app's deploy destroy also what is lost for good, where sync.prune asks for it")
	c.addAskFlags(cmd, &f)
	return cmd
}

// askOf reads an app's name, or a repository.
func askOf(what string) (dispatcher.Ask, error) {
	if !strings.ContainsAny(what, "/:") {
		return dispatcher.Ask{App: what}, nil
	}
	tree, err := job.ParseConfig(what)
	if err != nil {
		return dispatcher.Ask{}, usage(err)
	}
	return dispatcher.Ask{Repo: tree.Repo, Ref: tree.Ref, Path: tree.Path}, nil
}

// ask pushes the jobs of what is wanted, or has the dispatcher do it where the queue is out of reach: wanted is given no
// queue then.
func (c *cli) ask(ctx context.Context, f askFlags, wanted func(context.Context, *queue.Queue) ([]dispatcher.Ask, error)) error {
	if c.cfg.RedisURL == "" && c.cfg.Call.URL != "" {
		list, err := wanted(ctx, nil)
		if err != nil {
			return err
		}
		return c.call(ctx, f, list)
	}
	return c.withQueue(ctx, func(q *queue.Queue) error {
		list, err := wanted(ctx, q)
		if err != nil {
			return err
		}
		jobs, err := c.wished(ctx, q, list)
		if err != nil {
			return err
		}
		return c.pushByHand(ctx, q, jobs, f)
	})
}

// wished gives the jobs of what a person asks for, each once.
func (c *cli) wished(ctx context.Context, q *queue.Queue, list []dispatcher.Ask) ([]job.Job, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	var jobs []job.Job
	known := map[string]bool{}
	for _, a := range list {
		more, err := dispatcher.Wished(ctx, q, a, roots)
		if err != nil {
			return nil, err
		}
		for _, j := range more {
			if !known[j.Subject()] {
				jobs = append(jobs, byHand(j, time.Now()))
			}
			known[j.Subject()] = true
		}
	}
	return jobs, nil
}

// pushByHand pushes jobs, asks for a launch, and waits for their end where that is wanted.
func (c *cli) pushByHand(ctx context.Context, q *queue.Queue, jobs []job.Job, f askFlags) error {
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

// byHand makes a job a person's: salted, so that asking twice is two jobs. It names no time: the
// queue's own clock says when it was asked for, whatever this machine's clock says.
func byHand(j job.Job, now time.Time) job.Job {
	j.ID = job.SaltedID(j.Kind, j.Subject(), rand.Text())
	j.Order, j.Reason, j.Created = job.Order{}, job.ByDispatch, now.UTC()
	j.Actor = person()
	return j
}

// person is who runs this program, as this machine knows them.
func person() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
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
