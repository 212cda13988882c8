package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// drain does one job after the other, with the program as the runner of each, until none can be launched.
// Those that a sweep has launched are done first.
func drainQueue(ts *testscript.TestScript, _ bool, _ []string) {
	for {
		id, attempt := job.ID(""), 0
		withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
			active, err := q.Active(ctx)
			for _, r := range active {
				if r.State == queue.Launching {
					id, attempt = r.Job.ID, r.Attempt
				}
			}
			if id != "" || err != nil {
				return err
			}
			_, err = q.Due(ctx)
			l, ok, taken := q.Take(ctx, 10)
			if ok {
				id, attempt = l.Job.ID, l.Attempt
			}
			return errors.Join(err, taken)
		})
		if id == "" {
			return
		}
		ts.Setenv("FLYCD_JOB", string(id))
		ts.Setenv("FLYCD_ATTEMPT", strconv.Itoa(attempt))
		ts.Setenv("FLY_MACHINE_ID", "m-"+strconv.FormatInt(time.Now().UnixNano(), 10))
		if err := ts.Exec("flycd", "runner", "--simulated"); err != nil {
			ts.Fatalf("the runner of %s: %v", id, err)
		}
	}
}

// app NAME makes an empty app on Fly.
func makeApp(ts *testscript.TestScript, _ bool, args []string) {
	ask(ts, "POST", worldOf(ts).FlyURL+"/v1/apps", map[string]any{"app_name": args[0], "org_slug": "personal"})
}
