package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/report"
)

// TestDriftIsWhatTheWantedDigestDoesNotExplain judges plans by the digests of the machines in them.
func TestDriftIsWhatTheWantedDigestDoesNotExplain(t *testing.T) {
	machineWith := func(digest string) plan.Machine {
		config := &flygo.MachineConfig{Metadata: map[string]string{digestKey: digest}}
		return plan.Machine{Machine: &flygo.Machine{ID: "m", Config: config}}
	}
	changed := func(digest string) plan.Step { return plan.UpdateMachine{Machine: machineWith(digest)} }
	for name, one := range map[string]struct {
		want  string
		steps []plan.Step
	}{
		"nothing to do":                  {want: report.DriftNone},
		"somebody changed it":            {report.DriftFound, []plan.Step{changed("d1")}},
		"the manifest changed":           {report.DriftChanged, []plan.Step{changed("d0")}},
		"both":                           {report.DriftChanged, []plan.Step{changed("d1"), changed("d0")}},
		"the count went down":            {report.DriftChanged, []plan.Step{plan.DestroyMachine{Machine: machineWith("d0")}}},
		"somebody made one more":         {report.DriftFound, []plan.Step{plan.DestroyMachine{Machine: machineWith("d1")}}},
		"somebody destroyed one":         {report.DriftFound, []plan.Step{plan.CreateMachine{}}},
		"a mount came":                   {report.DriftChanged, []plan.Step{plan.ReplaceMachine{Old: machineWith("d0")}}},
		"flyctl deployed it":             {report.DriftNew, []plan.Step{changed(""), changed("")}},
		"one of its machines is another": {report.DriftFound, []plan.Step{changed(""), changed("d1")}},
		"it is not there":                {report.DriftNew, []plan.Step{plan.CreateApp{}, plan.CreateMachine{}}},
	} {
		p := plan.Plan{}
		if len(one.steps) > 0 {
			p.Stages = []plan.Stage{{Steps: one.steps}}
		}
		if got := driftOf(p, "d1"); got != one.want {
			t.Errorf("%s: got %s, want %s", name, got, one.want)
		}
	}
	row := rowWith("shop", plan.CreateApp{App: "shop"})
	if got := drifted(row, true).Drift; got != report.DriftFound {
		t.Errorf("an app that was deployed and is gone: %s", got)
	}
}

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
