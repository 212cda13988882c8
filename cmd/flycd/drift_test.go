package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// deployed APP FILE: makes a config repository of the manifest, puts the app into the catalog at that
// commit, and records that it was deployed from there.
func deployedFrom(ts *testscript.TestScript, _ bool, args []string) {
	app := args[0]
	r := worldOf(ts).Repo("config")
	text, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	commit := r.Commit(map[string]string{app + "/" + filepath.Base(args[1]): string(text)}).After
	tree := job.Config{Repo: r.URL}
	withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
		entries := []catalog.Entry{{App: app, Config: tree, Dir: app, Commit: commit, Auto: true}}
		gen, err := q.BeginGeneration(ctx, tree)
		if err != nil {
			return err
		}
		if _, err := q.WriteEntries(ctx, tree, gen, entries); err != nil {
			return err
		}
		if _, err := q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Commit: commit, Order: job.Order{Time: 1}}); err != nil {
			return err
		}
		j := byHand(job.Job{Kind: job.Deploy, App: app, Config: tree}, time.Now())
		if _, _, err := q.Push(ctx, queue.Delivery{Jobs: []job.Job{j}}); err != nil {
			return err
		}
		l, ok, err := q.Take(ctx, 1)
		if err != nil || !ok {
			return errors.Join(err, errors.New("nothing waits"))
		}
		c, err := q.Claim(ctx, l.Job.ID, l.Attempt, "m1")
		if err != nil {
			return err
		}
		return q.Finish(ctx, c, job.Result{Outcome: job.Updated, ConfigCommit: commit, Started: time.Now(), Ended: time.Now()})
	})
}
