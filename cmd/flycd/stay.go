package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/source"
)

// lookEvery is how often the watched folder is compared with its last commit. Only files whose size
// or time changed are read.
const lookEvery = 500 * time.Millisecond

// localStay serves until Ctrl-C, and pushes whatever is saved in the folder.
func (c *cli) localStay(ctx context.Context, dir string) (err error) {
	watched := dir
	if dir == "" {
		top, err := os.MkdirTemp("", "flycd-tree-")
		if err != nil {
			return fmt.Errorf("make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(top)) }()
		if _, err := copyTree("", top); err != nil {
			return err
		}
		watched = top
	}
	exec, err := localExec()
	if err != nil {
		return err
	}
	w, err := newWorld(ctx, watched, exec, c.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	fmt.Fprintf(c.out, "Redis and Fly are simulated in this process, and builds are taken as done; the rest is real.\n\nwatching   %s\nredis-cli  redis-cli -u %s\nfly        %s/_sim/state\nconfig     %s\nregistry   %s/webhook/registry/%s\n\nSave a file to push it; Ctrl-C ends everything.\n\n", watched, w.redisURL, w.flyURL, w.config().Repo, w.hookURL, w.registryToken)
	for {
		if err := c.pushChanges(ctx, w); err != nil && ctx.Err() == nil {
			fmt.Fprintln(c.err, "flycd:", err)
		}
		if pause(ctx, lookEvery) != nil {
			return nil
		}
	}
}

// pushChanges commits and pushes what was saved, if anything was, and shows what became of it.
func (c *cli) pushChanges(ctx context.Context, w *world) error {
	change, err := w.mirror.Commit(ctx, "save")
	if err != nil || !change.Changed {
		return err
	}
	if err := c.printCurl(w, change); err != nil {
		return err
	}
	began := time.Now()
	answer, err := w.push(ctx, change)
	if err != nil {
		return err
	}
	ended, err := follow(ctx, w.queue, answer)
	if err != nil {
		return err
	}
	paint := newPaint(c.out, c.cfg.NoColor)
	for _, r := range ended {
		detail := changed(r.Result.Changes)
		if !job.Outcome(r.State).Done() {
			detail = r.Result.Detail
		}
		if at := w.address(r.Job.App); at != "" {
			detail = strings.TrimPrefix(detail+"; "+at, "; ")
		}
		fmt.Fprintf(c.out, "%s  %s  %-12s  %5s  %s\n", short(change.After), paint.outcome(fmt.Sprintf("%-9s", r.State)), r.Job.Subject(), time.Since(began).Round(10*time.Millisecond), detail)
	}
	return nil
}

// printCurl shows the push that follows, for a person to repeat by hand.
func (c *cli) printCurl(w *world, change source.Change) error {
	if strings.Trim(change.Before, "0") != "" {
		return nil
	}
	body, err := w.payload(change)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "The first push, by hand:\n\ncurl -H 'Content-Type: application/json' -H 'X-GitHub-Event: push' -H 'X-GitHub-Delivery: by-hand' \\\n  -H 'X-Hub-Signature-256: %s' \\\n  -d '%s' %s/webhook\n\n", sign(w.secret, body), body, w.hookURL)
	return err
}
