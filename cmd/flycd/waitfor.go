package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

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
		worst = worse(worst, recordError(record))
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

// recordError gives the silent exit code of a job that is over; what happened was printed.
func recordError(r queue.Record) error {
	if r.Result.Refused {
		return exitError{code: exitRefused}
	}
	return outcomeError(job.Outcome(r.State))
}

// outcomeError gives the silent exit code of an outcome.
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
