package main

import (
	"fmt"
	"io"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// headline says in a line what becomes of an app.
func (row planned) headline() string {
	switch {
	case row.Drift == driftNew:
		return "FlyCD has not deployed it: flycd plan shows what a deploy would do"
	case row.Drift == driftChanged:
		return "its manifest or source has changed since the last deploy: flycd plan shows what a deploy would do"
	case row.Drift == driftNone:
		return "as it was deployed"
	case row.Plan.Empty():
		return "nothing to do"
	case row.Drift == driftFound:
		return "has drifted: " + countText(row.Counts)
	}
	text := "would be " + string(row.Outcome)
	if row.Outcome == job.Unchanged {
		text = "would stay as it is" // only notes, or commands
	}
	if counts := countText(row.Counts); counts != "" {
		text += ": " + counts
	}
	return text
}

// printPlanText prints an app's plan for a terminal.
func printPlanText(w io.Writer, paint paint, row planned) {
	fmt.Fprintf(w, "%s  %s\n", row.App, row.headline())
	for _, s := range fold(row.Plan) {
		fmt.Fprintf(w, "  %s\n", s.title)
		for _, l := range s.lines {
			if len(l.changes) == 1 {
				fmt.Fprintf(w, "    %s\n", paint.as(l.verb, oneLineText(l.text+": "+l.changes[0].String())))
			} else {
				fmt.Fprintf(w, "    %s\n", paint.as(l.verb, oneLineText(l.text)))
				printChanges(w, paint, l.changes)
			}
			if l.downtime != "" {
				fmt.Fprintf(w, "      %s\n", paint.as("downtime", "downtime: "+l.downtime))
			}
		}
	}
	for _, note := range row.Notes {
		fmt.Fprintf(w, "  note: %s\n", oneLineText(note))
	}
	for _, p := range row.Pending {
		fmt.Fprintf(w, "  pending: %s\n", oneLineText(p))
	}
}

func printChanges(w io.Writer, paint paint, changes []plan.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "      %s\n", paint.as("update", oneLineText(c.String())))
	}
}
