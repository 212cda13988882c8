package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/report"
)

func (c *cli) jobsCommand() *cobra.Command {
	var f queue.Filter
	var output string
	var undelivered bool
	cmd := &cobra.Command{
		Use: "jobs", Short: "List jobs, newest first", GroupID: "queue",
		Long: `List jobs, newest first. --undelivered lists instead the commit statuses, comments and notices about jobs that could not be
delivered and were given up, with the reason.`,
		Example: `  flycd jobs --app shop-web
  flycd jobs --state failed -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				if undelivered {
					return c.undelivered(cmd.Context(), q, f.Limit, output)
				}
				list, err := q.Jobs(cmd.Context(), f)
				if err != nil {
					return err
				}
				if output == "json" {
					return c.printJSON(append([]queue.Record{}, list...)) // none is [], not null
				}
				tw := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "JOB\tKIND\tWHAT\tSTATE\tATTEMPT\tAGE\tREASON")
				for _, r := range list {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.Job.ID, r.Job.Kind, r.Job.Subject(), r.State, r.Attempt, age(r.Queued, time.Now()), because(r))
				}
				return tw.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&f.App, "app", "", "only this app's")
	cmd.Flags().StringVar(&f.State, "state", "", "only those in this state: waiting, parked, delayed, launching, claimed, or an outcome")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "how many at most")
	cmd.Flags().BoolVar(&undelivered, "undelivered", false, "list what of them could not be told to the forge or to people")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// undelivered lists the letters that were given up, newest first.
func (c *cli) undelivered(ctx context.Context, q *queue.Queue, n int, output string) error {
	list, total, err := q.Undelivered(ctx, n)
	if err != nil {
		return err
	}
	if output == "json" {
		return c.printJSON(append([]queue.Undelivered{}, list...)) // none is [], not null
	}
	tw := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "GIVEN UP\tTO\tTRIES\tWHY")
	for _, u := range list {
		fmt.Fprintf(tw, "%s ago\t%s\t%d\t%s\n", age(u.Time, time.Now()), u.Letter.Channel, u.Letter.Tries, report.OneLine(u.Why))
	}
	fmt.Fprintf(tw, "\n%d in all\n", total)
	return tw.Flush()
}

func (c *cli) jobCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "job ID", Short: "Show one job and its result", GroupID: "queue",
		Example: "  flycd job 2q6zk3rgxhbbvlq5z6sdbmrzxu",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				r, err := q.Job(cmd.Context(), job.ID(args[0]))
				if err != nil {
					return unknownJob(err, args[0])
				}
				if output == "json" {
					return c.printJSON(r)
				}
				return printRecord(c.out, r)
			})
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// because says why there is the job, and why it is where it is, where it waits for something.
func because(r queue.Record) string {
	if r.State == queue.Delayed && r.Detail != "" {
		return r.Job.Reason + "; " + r.Detail
	}
	return r.Job.Reason
}

func unknownJob(err error, id string) error {
	if errors.Is(err, queue.ErrUnknown) {
		return usage(fmt.Errorf("no job %s is known: `flycd jobs` lists them; ended jobs are kept for four days", id))
	}
	return err
}

func printRecord(w io.Writer, r queue.Record) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) {
		if s := fmt.Sprint(value); s != "" && s != "0" {
			fmt.Fprintf(tw, "%s\t%s\n", name, s)
		}
	}
	row("job", r.Job.ID)
	row("kind", r.Job.Kind)
	row("what", r.Job.Subject())
	row("reason", r.Job.Reason)
	row("actor", r.Job.Actor)
	row("delivery", r.Job.Delivery)
	row("state", r.State)
	row("detail", orString(r.Result.Detail, r.Detail))
	row("superseded by", r.SupersededBy)
	row("waits for", r.WaitsFor)
	if r.State == queue.Delayed {
		row("until at most", when(r.Due))
	}
	row("attempt", r.Attempt)
	row("machine", r.Machine)
	row("queued", when(r.Queued))
	row("claimed", when(r.Claimed))
	row("ended", when(r.Ended))
	row("config commit", r.Result.ConfigCommit)
	row("source commit", r.Result.SourceCommit)
	row("image", r.Result.Image)
	row("release", r.Result.Release)
	for _, line := range r.Result.Changes {
		row("change", line)
	}
	for _, line := range r.Result.Warnings {
		row("warning", line)
	}
	for _, id := range r.Result.Jobs {
		row("pushed job", id)
	}
	return tw.Flush()
}

func orString(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func (c *cli) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Call a job off", GroupID: "queue",
		Long:    "Call a job off. One that waits ends at once; a running one finishes the step at hand and stops.",
		Example: "  flycd cancel 2q6zk3rgxhbbvlq5z6sdbmrzxu",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				state, err := q.Cancel(cmd.Context(), job.ID(args[0]))
				if err != nil {
					return unknownJob(err, args[0])
				}
				_, err = fmt.Fprintln(c.out, state)
				return err
			})
		},
	}
}
