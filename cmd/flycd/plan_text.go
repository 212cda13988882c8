package main

import (
	"fmt"
	"io"

	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/report"
)

// printPlanText prints an app's plan for a terminal.
func printPlanText(w io.Writer, paint paint, row report.Row) {
	fmt.Fprintf(w, "%s  %s\n", row.App, row.Headline())
	for _, s := range report.Fold(row.Plan) {
		fmt.Fprintf(w, "  %s\n", s.Title)
		for _, l := range s.Lines {
			if len(l.Changes) == 1 {
				fmt.Fprintf(w, "    %s\n", paint.as(l.Verb, report.OneLine(l.Text+": "+l.Changes[0].String())))
			} else {
				fmt.Fprintf(w, "    %s\n", paint.as(l.Verb, report.OneLine(l.Text)))
				printChanges(w, paint, l.Changes)
			}
			if l.Downtime != "" {
				fmt.Fprintf(w, "      %s\n", paint.as("downtime", "downtime: "+l.Downtime))
			}
		}
	}
	for _, note := range row.Notes {
		fmt.Fprintf(w, "  note: %s\n", report.OneLine(note))
	}
	for _, p := range row.Pending {
		fmt.Fprintf(w, "  pending: %s\n", report.OneLine(p))
	}
}

func printChanges(w io.Writer, paint paint, changes []plan.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "      %s\n", paint.as("update", report.OneLine(c.String())))
	}
}
