package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

// statusReport is what `flycd status -o json` prints.
type statusReport struct {
	Apps  []queue.AppState `json:"apps"`
	Queue queue.Stats      `json:"queue"`
	// Suspended are the apps and config trees whose pushes wait, Left the apps that no tree names any more.
	Suspended map[string]queue.Suspension `json:"suspended,omitempty"`
	Left      []leftover                  `json:"left,omitempty"`
	// Undelivered counts the statuses and notices that were given up.
	Undelivered int64 `json:"undelivered,omitempty"`
}

func (c *cli) statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status [GLOB]", Short: "Show every app: outcome, commits, active job", GroupID: "queue",
		Long: `Show every app that matches GLOB, with the outcome of its last job, what it runs, and what is under way; then what is
suspended, and the apps that their config tree stopped naming.`,
		Example: `  flycd status
  flycd status 'shop-*' -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			glob := "*"
			if len(args) == 1 {
				glob = args[0]
			}
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				report, err := c.readStatus(cmd.Context(), q, glob)
				if err != nil || output == "json" {
					return orElse(err, func() error { return c.printJSON(report) })
				}
				return c.printStatus(report)
			})
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func orElse(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

func (c *cli) readStatus(ctx context.Context, q *queue.Queue, glob string) (statusReport, error) {
	report := statusReport{Apps: []queue.AppState{}}
	if _, err := path.Match(glob, ""); err != nil {
		return report, usage(fmt.Errorf("GLOB %q: expected a glob such as 'shop-*'", glob))
	}
	names, err := q.Apps(ctx)
	if err != nil {
		return report, err
	}
	var wanted []string
	for _, n := range names {
		if ok, _ := path.Match(glob, n); ok {
			wanted = append(wanted, n)
		}
	}
	states, err := q.AppStates(ctx, wanted)
	if err != nil {
		return report, err
	}
	for _, n := range wanted {
		if s, ok := states[n]; ok {
			report.Apps = append(report.Apps, s)
		}
	}
	left, err := c.leftovers(ctx, q)
	if err != nil {
		return report, err
	}
	for _, l := range left {
		if ok, _ := path.Match(glob, l.App); ok {
			report.Left = append(report.Left, l)
		}
	}
	if report.Suspended, err = q.Suspensions(ctx); err != nil {
		return report, err
	}
	if _, report.Undelivered, err = q.Undelivered(ctx, 1); err != nil {
		return report, err
	}
	report.Queue, err = q.Stats(ctx)
	return report, err
}

func (c *cli) printStatus(r statusReport) error {
	tw := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "APP\tOUTCOME\tRELEASE\tCONFIG\tSOURCE\tACTIVE JOB\tLAST JOB")
	for _, a := range r.Apps {
		outcome := string(a.LastOutcome)
		if _, ok := r.Suspended[a.App]; ok {
			outcome += " (suspended)"
		} else if a.Hold {
			outcome += " (held)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", a.App, dash(outcome), a.Release, short(a.ConfigCommit), short(a.SourceCommit), dash(string(a.Active)), dash(string(a.Last)))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if err := r.printRest(c.out); err != nil {
		return err
	}
	if r.Undelivered > 0 {
		fmt.Fprintf(c.err, "warning: %s could not be delivered: flycd jobs --undelivered lists them\n", counted(int(r.Undelivered), "notice"))
	}
	_, err := fmt.Fprintf(c.out, "\n%d waiting, %d active, %d delayed, %d dead\n", r.Queue.Waiting, r.Queue.Active, r.Queue.Delayed, r.Queue.Dead)
	if p := r.Queue.Policy; p != "" && p != "noeviction" {
		fmt.Fprintf(c.err, "warning: the server's maxmemory-policy is %s: it may drop jobs; set noeviction\n", p)
	}
	return err
}

// printRest prints what stands beside the apps.
func (r statusReport) printRest(w io.Writer) error {
	if len(r.Suspended) > 0 {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "\nSUSPENDED\tFOR\tBY\tWHY")
		for _, subject := range slices.Sorted(maps.Keys(r.Suspended)) {
			s := r.Suspended[subject]
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", subject, age(s.Since, time.Now()), dash(manifest.Still(s.By)), dash(manifest.Still(s.Why)))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if len(r.Left) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return printLeftovers(w, r.Left)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
