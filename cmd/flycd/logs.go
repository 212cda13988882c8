package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

// followEvery is how often a log is asked for more. Upstash bills each command.
const followEvery = time.Second

func (c *cli) logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs [-f] ID", Short: "Print what a job's runner said", GroupID: "queue",
		Example: "  flycd logs -f 2q6zk3rgxhbbvlq5z6sdbmrzxu",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				if _, err := q.Job(cmd.Context(), job.ID(args[0])); err != nil {
					return unknownJob(err, args[0])
				}
				return c.tail(cmd.Context(), q, job.ID(args[0]), follow)
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended")
	return cmd
}

// tail prints a log, and with follow what comes until the job has ended.
func (c *cli) tail(ctx context.Context, q *queue.Queue, id job.ID, follow bool) error {
	const page = 500
	for after := ""; ; {
		// Asked before the lines, so that no line of an ended job is missed.
		record, err := q.Job(ctx, id)
		if err != nil {
			return err
		}
		lines, err := q.Tail(ctx, id, after, page)
		if err != nil {
			return err
		}
		for _, l := range lines {
			after = l.ID
			if _, err := fmt.Fprintf(c.out, "%s %s\n", l.Time.Local().Format(time.TimeOnly), manifest.Still(l.Text)); err != nil {
				return err
			}
		}
		if len(lines) == page {
			continue
		}
		if !follow || record.Over() {
			return nil
		}
		if err := pause(ctx, followEvery); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
