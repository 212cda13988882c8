package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/report"
)

// deployed is one app of `flycd deploy -o json`: a JSON line each.
type deployed struct {
	App string `json:"app"`
	job.Result
}

// table prints the results of several apps, aligned.
type table struct {
	*cli
	paint paint
	width int
}

func newTable(c *cli, names []string) table {
	t := table{cli: c, paint: newPaint(c.out, c.cfg.NoColor)}
	for _, name := range names {
		t.width = max(t.width, len(name))
	}
	return t
}

// report prints one app's result and gives the error for the exit code.
func (t table) report(app string, res job.Result, err error, output string) error {
	if err != nil && res.Outcome == "" {
		res.Outcome, res.Detail = job.Failed, err.Error()
		if errors.Is(err, errInterrupted) || errors.Is(err, errCalledOff) {
			res.Outcome = job.Cancelled
		}
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(t.err, "%s: warning: %s\n", app, manifest.Still(w))
	}
	if output == "json" {
		return orElse(json.NewEncoder(t.out).Encode(deployed{app, res}), func() error { return resultError(res, err) })
	}
	took := ""
	if !res.Started.IsZero() {
		took = res.Ended.Sub(res.Started).Round(10 * time.Millisecond).String()
	}
	fmt.Fprintf(t.out, "%-*s  %s  %s\n", t.width, app, t.paint.outcome(fmt.Sprintf("%-9s", res.Outcome)), took)
	for _, line := range res.Changes {
		fmt.Fprintf(t.out, "  %s\n", t.paint.change(report.OneLine(line)))
	}
	for _, line := range res.Pending {
		fmt.Fprintf(t.out, "  pending: %s\n", report.OneLine(line))
	}
	if !res.Outcome.Done() && res.Detail != "" {
		fmt.Fprintf(t.err, "%s: %s\n", app, manifest.Still(res.Detail))
	}
	return resultError(res, err)
}

func resultError(res job.Result, err error) error {
	if res.Refused || refused(err) {
		return exitError{code: exitRefused}
	}
	if errors.Is(err, errBuildFailed) {
		return exitError{code: exitFailed}
	}
	return outcomeError(res.Outcome)
}
