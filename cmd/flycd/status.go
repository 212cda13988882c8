package main

import (
	"fmt"
	"path"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/queue"
)

// statusReport is what `flycd status -o json` prints.
type statusReport struct {
	Apps  []queue.AppState `json:"apps"`
	Queue queue.Stats      `json:"queue"`
}

func (c *cli) statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status [GLOB]", Short: "Show every app: outcome, commits, active job", GroupID: "queue",
		Example: `  flycd status
  flycd status 'shop-*' -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			glob := "*"
			if len(args) == 1 {
				glob = args[0]
			}
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				report, err := readStatus(cmd, q, glob)
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

func readStatus(cmd *cobra.Command, q *queue.Queue, glob string) (statusReport, error) {
	report := statusReport{Apps: []queue.AppState{}}
	if _, err := path.Match(glob, ""); err != nil {
		return report, usage(fmt.Errorf("GLOB %q: expected a glob such as 'shop-*'", glob))
	}
	names, err := q.Apps(cmd.Context())
	if err != nil {
		return report, err
	}
	var wanted []string
	for _, n := range names {
		if ok, _ := path.Match(glob, n); ok {
			wanted = append(wanted, n)
		}
	}
	states, err := q.AppStates(cmd.Context(), wanted)
	if err != nil {
		return report, err
	}
	for _, n := range wanted {
		if s, ok := states[n]; ok {
			report.Apps = append(report.Apps, s)
		}
	}
	report.Queue, err = q.Stats(cmd.Context())
	return report, err
}

func (c *cli) printStatus(r statusReport) error {
	tw := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "APP\tOUTCOME\tRELEASE\tCONFIG\tSOURCE\tACTIVE JOB\tLAST JOB")
	for _, a := range r.Apps {
		outcome := string(a.LastOutcome)
		if a.Hold {
			outcome += " (held)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", a.App, dash(outcome), a.Release, short(a.ConfigCommit), short(a.SourceCommit), dash(string(a.Active)), dash(string(a.Last)))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "\n%d waiting, %d active, %d delayed, %d dead\n", r.Queue.Waiting, r.Queue.Active, r.Queue.Delayed, r.Queue.Dead)
	if p := r.Queue.Policy; p != "" && p != "noeviction" {
		fmt.Fprintf(c.err, "warning: the server's maxmemory-policy is %s: it may drop jobs; set noeviction\n", p)
	}
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
