package queuetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// world is what a law acts on: one queue, whose rules are audited after every move. A broken law
// ends it by a panic with a broken value.
type world struct {
	ctx  context.Context //nolint:containedctx // a world lives as long as one law's check
	q    *queue.Queue
	guid int
}

type broken struct{ err error }

func (w *world) fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

func (w *world) must(err error) {
	if err != nil {
		panic(broken{err})
	}
}

func (w *world) is(what string, got, want any) {
	if got != want {
		w.fail("%s is %v, want %v", what, got, want)
	}
}

func (w *world) audit() {
	found, err := w.q.Audit(w.ctx)
	w.must(err)
	if len(found) > 0 {
		w.fail("rules are broken:\n%s", strings.Join(found, "\n"))
	}
}

// push pushes jobs of one delivery and checks the states that the answer gives.
func (w *world) push(states string, jobs ...job.Job) {
	w.guid++
	answer, replay, err := w.q.Push(w.ctx, queue.Delivery{GUID: fmt.Sprintf("guid-%d", w.guid), Jobs: jobs})
	w.must(err)
	w.is("replay", replay, false)
	var got []string
	w.is("answered jobs", len(answer.Jobs), len(jobs))
	for i, p := range answer.Jobs {
		w.is("answered id", p.ID, jobs[i].ID) //nolint:gosec // the lengths are equal
		got = append(got, p.State)
	}
	w.is("answered states", strings.Join(got, " "), states)
	w.audit()
}

const most = 50

// take takes a job, which must be the given one.
func (w *world) take(j job.Job) queue.Launch {
	l, ok, err := w.q.Take(w.ctx, most)
	w.must(err)
	w.audit()
	w.is("a job to take", ok, true)
	w.is("taken job", l.Job.ID, j.ID)
	return l
}

// idle checks that there is nothing to take.
func (w *world) idle() {
	l, ok, err := w.q.Take(w.ctx, most)
	w.must(err)
	if ok {
		w.fail("took %s, want nothing", l.Job.ID)
	}
	w.audit()
}

func (w *world) claim(l queue.Launch) *queue.Claim {
	c, err := w.q.Claim(w.ctx, l.Job.ID, l.Attempt, machine(l))
	w.must(err)
	w.audit()
	return c
}

func machine(l queue.Launch) string { return fmt.Sprintf("m-%.8s-%d", l.Job.ID, l.Attempt) }

// start takes and claims.
func (w *world) start(j job.Job) *queue.Claim { return w.claim(w.take(j)) }

func (w *world) refused(l queue.Launch, machine string) {
	if _, err := w.q.Claim(w.ctx, l.Job.ID, l.Attempt, machine); !errors.Is(err, queue.ErrRefused) {
		w.fail("claim gave %v, want ErrRefused", err)
	}
	w.audit()
}

func (w *world) finish(c *queue.Claim, o job.Outcome) {
	w.must(w.q.Finish(w.ctx, c, result(c, o)))
	w.audit()
}

// result is a result as a deploy of the claim's wish has it.
func result(c *queue.Claim, o job.Outcome) job.Result {
	r := job.Result{Outcome: o, Digest: "d-" + string(c.Job.ID), Release: 1, Detail: "because"}
	if c.Wish.Config != nil {
		r.ConfigCommit = c.Wish.Config.Commit
	}
	if c.Wish.Source != nil {
		r.SourceCommit = c.Wish.Source.Commit
	}
	return r
}

func (w *world) lost(err error) {
	if !errors.Is(err, queue.ErrLost) {
		w.fail("got %v, want ErrLost", err)
	}
	w.audit()
}

func (w *world) giveBack(c *queue.Claim, g queue.GiveBack, want bool) {
	again, err := w.q.GiveBack(w.ctx, c, g)
	w.must(err)
	w.audit()
	w.is("retrying", again, want)
}

func (w *world) due() queue.DueReport {
	r, err := w.q.Due(w.ctx)
	w.must(err)
	w.audit()
	return r
}

// release runs due passes until the job waits: its delay is a moment.
func (w *world) release(j job.Job) {
	w.until("the job waits again", func() bool {
		w.due()
		return w.record(j).State == queue.Waiting
	})
}

// until asks again for two seconds: what the law waits for takes a few milliseconds, on a machine that has nothing
// else to do.
func (w *world) until(what string, so func() bool) {
	for end := time.Now().Add(2 * time.Second); !so(); {
		if time.Now().After(end) {
			w.fail("waited in vain until %s", what)
		}
	}
}

func (w *world) record(j job.Job) queue.Record {
	r, err := w.q.Job(w.ctx, j.ID)
	w.must(err)
	return r
}

func (w *world) state(j job.Job, want string) {
	w.is("state of "+j.Reason, w.record(j).State, want)
}

func (w *world) web() queue.AppState { return w.app("web") }

func (w *world) app(name string) queue.AppState {
	a, _, err := w.q.AppState(w.ctx, name)
	w.must(err)
	return a
}

// The repositories of the jobs below.
const (
	sourceRepo = "https://github.com/acme/code.git"
	configRepo = "https://github.com/acme/config.git"
	mainRef    = "refs/heads/main"
)

// source is a push of app code: the commits before and after, at a time.
func source(app, before, after string, at int64) job.Job {
	return pushed(job.Job{Kind: job.Deploy, App: app}, job.Half{Side: job.SourceSide, Repo: sourceRepo}, order(before, after, at))
}

// config is the deploy job that a sync makes for an app.
func config(app, before, after string, at int64) job.Job {
	return pushed(job.Job{Kind: job.Deploy, App: app}, job.Half{Side: job.ConfigSide, Repo: configRepo, Digest: "digest-" + after},
		order(before, after, at))
}

// destroy is the destroy job that a sync makes for an app that it no longer names.
func destroy(app, before, after string, at int64) job.Job {
	return pushed(job.Job{Kind: job.Destroy, App: app}, job.Half{Side: job.ConfigSide, Repo: configRepo}, order(before, after, at))
}

// sync is a push to a config tree.
func sync(c job.Config, before, after string, at int64) job.Job {
	return pushed(job.Job{Kind: job.Sync, Config: c}, job.Half{Side: job.ConfigSide, Repo: c.Repo}, order(before, after, at))
}

// person is a job that names no half.
func person(kind job.Kind, app string, at int64) job.Job {
	return job.Job{
		ID: job.SaltedID(kind, app, fmt.Sprint(at)), Kind: kind, App: app, Order: job.Order{Time: at},
		Reason: fmt.Sprintf("%s %s by hand at %d", kind, app, at), Created: time.UnixMilli(at).UTC(),
	}
}

func order(before, after string, at int64) job.Order {
	return job.Order{Time: at, Before: before, After: after}
}

func pushed(j job.Job, h job.Half, o job.Order) job.Job {
	h.Ref, h.Commit = mainRef, o.After
	j.Half, j.Order, j.Created = h, o, time.UnixMilli(o.Time).UTC()
	j.ID = job.Push{
		Kind: j.Kind, Subject: j.Subject(), Repo: h.Repo, Ref: h.Ref, Before: o.Before, After: o.After, Time: o.Time,
	}.ID()
	j.Reason = fmt.Sprintf("%s %s %s at %d", j.Kind, j.Subject(), o.After, o.Time)
	return j
}
