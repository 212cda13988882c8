package forge

import (
	"context"
	"errors"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// reader looks jobs and apps up, each once.
type reader struct {
	jobs    Jobs
	records map[job.ID]*queue.Record
	entries map[wanted]*catalog.Entry
}

// wanted is an app that is looked up; one that is to go may have a tombstone alone.
type wanted struct {
	app  string
	gone bool
}

func newReader(jobs Jobs) *reader {
	return &reader{jobs: jobs, records: map[job.ID]*queue.Record{}, entries: map[wanted]*catalog.Entry{}}
}

// record gives nil for a job that is not known any more.
func (w *reader) record(ctx context.Context, id job.ID) (*queue.Record, error) {
	if r, ok := w.records[id]; ok {
		return r, nil
	}
	r, err := w.jobs.Job(ctx, id)
	switch {
	case errors.Is(err, queue.ErrUnknown):
		w.records[id] = nil
	case err != nil:
		return nil, err
	default:
		w.records[id] = &r
	}
	return w.records[id], nil
}

// entry gives what the catalog says of a job's app, or said of one that is pruned; never nil.
func (w *reader) entry(ctx context.Context, j job.Job) (*catalog.Entry, error) {
	if j.App == "" {
		return &catalog.Entry{}, nil
	}
	key := wanted{j.App, j.Kind == job.Destroy}
	if e, ok := w.entries[key]; ok {
		return e, nil
	}
	e, ok, err := w.jobs.Entry(ctx, j.App)
	if err == nil && !ok && key.gone {
		var stones []queue.Tombstone
		stones, err = w.jobs.Tombstones(ctx, j.Config.ID())
		for _, s := range stones {
			if s.App == j.App {
				e = s.Entry
			}
		}
	}
	if err != nil {
		return nil, err
	}
	w.entries[key] = &e
	return &e, nil
}

// words makes letters of an event. What is not known any more is told to nobody.
func (p *Post) words(ctx context.Context, w *reader, ev queue.Event) ([]queue.Letter, error) {
	r, err := w.record(ctx, ev.Job)
	if err != nil || r == nil || p.now().Sub(ev.Time) > maxAge {
		return nil, err
	}
	m := &mail{event: ev}
	if ev.Supersedes != "" {
		if err := p.ousted(ctx, w, m, r); err != nil {
			return nil, err
		}
	}
	e, err := w.entry(ctx, r.Job)
	if err != nil {
		return nil, err
	}
	s := story{Record: *r, entry: *e, outcome: job.Outcome(ev.State)}
	if !ended(s.outcome) {
		if !ev.Pushed || r.Over() {
			return m.list, nil
		}
		return m.list, p.begun(m, s)
	}
	if s.State != ev.State {
		// it came back to life meanwhile
		s.Result = job.Result{Outcome: s.outcome, Detail: s.Detail}
	}
	if s.outcome == job.Superseded && s.SupersededBy != "" {
		if s.by, err = w.record(ctx, s.SupersededBy); err != nil {
			return nil, err
		}
	}
	return m.list, p.over(m, s)
}

// ousted tells the end of a job that waited until another one was pushed: it has no event of its own.
func (p *Post) ousted(ctx context.Context, w *reader, m *mail, by *queue.Record) error {
	old, err := w.record(ctx, m.event.Supersedes)
	if err != nil || old == nil {
		return err
	}
	e, err := w.entry(ctx, old.Job)
	if err != nil {
		return err
	}
	s := story{Record: *old, entry: *e, outcome: job.Superseded, by: by, ousted: true}
	s.Result = job.Result{Outcome: job.Superseded}
	return p.over(m, s)
}

func ended(o job.Outcome) bool {
	switch o {
	case job.Created, job.Updated, job.Unchanged, job.Superseded, job.Cancelled, job.Rejected, job.Failed:
		return true
	default:
		return false
	}
}

// story is a job with what there is to tell of it.
type story struct {
	queue.Record
	entry   catalog.Entry
	outcome job.Outcome
	// by took its place; nil where none did, or it is not known any more.
	by *queue.Record
	// ousted is true where another job's event tells the end.
	ousted bool
}

// kind makes the id of a letter its own among those of its event.
func (s story) kind(of string) string {
	if s.ousted {
		return "ousted-" + of
	}
	return of
}

// begun tells that a job waits to be done.
func (p *Post) begun(m *mail, s story) error {
	text := "queued"
	switch s.State {
	case queue.Parked:
		text = "waits for the run before it"
	case queue.Delayed:
		text = "waits for its time"
	case queue.Launching, queue.Claimed:
		text = "under way"
	}
	if s.Job.Kind == job.Sync || s.Job.Kind == job.Destroy {
		return nil
	}
	return p.status(m, s, Status{State: "pending", Description: text})
}
