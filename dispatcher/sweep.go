package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

// defaultOrphanAge is longer than a finishing runner waits at POST /next, and than Fly's lists lag.
const defaultOrphanAge = 2 * time.Minute

// SweepReport says what a sweep found.
type SweepReport struct {
	// Synced are the syncs of root trees that had never been read.
	Synced []job.ID `json:"synced,omitempty"`
	// Due is what the sweep's due pass did.
	Due Report `json:"due"`
	// Machines is how many runners there are.
	Machines int `json:"machines"`
	// Suspects are machines and launches that looked like orphans in this pass: a later pass that
	// still sees them ends them.
	Suspects []string `json:"suspects,omitempty"`
	// Ended are machines without a job, Lapsed are launches without a machine, seen in two passes.
	Ended  []string `json:"ended,omitempty"`
	Lapsed []job.ID `json:"lapsed,omitempty"`
}

// Sweep has root trees read that never were, runs one due pass and looks for orphans in both directions: machines whose job does not need
// them (any more), and launches that have no machine. Nothing is ended on one sighting: an earlier
// sweep, at least OrphanAge before, must have seen it too, and it is looked up once more before
// anything is done. A claimed job needs no such look: its hold lapses by itself when the machine is
// gone, and while the hold is renewed the runner lives, whatever a list says.
//
// It is bounded by ctx and safe to repeat; the report is also right where the error is not nil.
func (s *Server) Sweep(ctx context.Context) (SweepReport, error) {
	var r SweepReport
	var errs [4]error
	r.Synced, errs[3] = s.syncRoots(ctx)
	due, cancel := context.WithTimeout(ctx, 2*replyWithin)
	r.Due, errs[0] = s.Due(due)
	cancel()
	// The machines come first: a job is launching before its machine is made, so a machine in this
	// list that no job of the later list needs is one too many.
	machines, err := s.Runners.List(ctx)
	if err != nil {
		return r, errors.Join(errs[0], errs[3], err)
	}
	r.Machines = len(machines)
	active, err := s.Queue.Active(ctx)
	if err != nil {
		return r, errors.Join(errs[0], errs[3], err)
	}
	errs[1] = s.endOrphans(ctx, &r, machines, active)
	errs[2] = s.lapseOrphans(ctx, &r, machines, active)
	s.Log.InfoContext(ctx, "swept", "machines", r.Machines, "active", len(active), "suspects", len(r.Suspects), "ended", len(r.Ended), "lapsed", len(r.Lapsed))
	return r, errors.Join(errs[:]...)
}

// endOrphans ends machines without a job.
func (s *Server) endOrphans(ctx context.Context, r *SweepReport, machines []launch.Machine, active []queue.Record) error {
	needed := map[job.ID]queue.Record{}
	for _, a := range active {
		needed[a.Job.ID] = a
	}
	odd, ids := map[string]launch.Machine{}, []string{}
	for _, m := range machines {
		if a, ok := needed[m.Job]; m.Gone() || m.Keep || ok && needs(a, m) {
			continue
		}
		odd[m.ID] = m
		ids = append(ids, m.ID)
		r.Suspects = append(r.Suspects, m.Name)
	}
	confirmed, err := s.Queue.Suspect(ctx, "machine", ids, positive(s.OrphanAge, defaultOrphanAge))
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range confirmed {
		m := odd[id]
		a, err := s.Queue.Job(ctx, m.Job)
		if err != nil && !errors.Is(err, queue.ErrUnknown) || err == nil && needs(a, m) {
			errs = append(errs, ignoreNil(err)...)
			continue
		}
		if err := s.Runners.End(ctx, m); err != nil {
			errs = append(errs, err)
			continue
		}
		s.Log.WarnContext(ctx, "orphan ended", "machine", m.ID, "job", m.Job, "attempt", m.Attempt, "state", m.State)
		r.Ended = append(r.Ended, m.Name)
	}
	return errors.Join(errs...)
}

// needs reports whether the job is active on the machine, or about to be.
func needs(a queue.Record, m launch.Machine) bool {
	return a.Active() && (a.Machine == m.ID || a.Machine == "" && a.Attempt == m.Attempt)
}

// lapseOrphans gives up launches whose machine is not there.
func (s *Server) lapseOrphans(ctx context.Context, r *SweepReport, machines []launch.Machine, active []queue.Record) error {
	there := map[string]bool{}
	for _, m := range machines {
		if !m.Gone() {
			there[m.Name] = true
		}
	}
	odd, ids := map[string]queue.Record{}, []string{}
	for _, a := range active {
		name := launch.Name(a.Job.ID, a.Attempt)
		if a.State != queue.Launching || there[name] {
			continue
		}
		odd[name] = a
		ids = append(ids, name)
		r.Suspects = append(r.Suspects, "launch "+name)
	}
	confirmed, err := s.Queue.Suspect(ctx, "job", ids, positive(s.OrphanAge, defaultOrphanAge))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range confirmed {
		a := odd[name]
		if now, err := s.Queue.Job(ctx, a.Job.ID); err != nil || now.State != queue.Launching || now.Attempt != a.Attempt {
			errs = append(errs, ignoreNil(err)...)
			continue
		}
		lapsed, err := s.Queue.Lapse(ctx, a.Job.ID, a.Attempt, "attempt "+strconv.Itoa(a.Attempt)+" has no machine: two sweeps looked for it")
		if err != nil {
			errs = append(errs, fmt.Errorf("give up launch %s: %w", name, err))
		}
		if lapsed {
			s.Log.WarnContext(ctx, "launch given up", "job", a.Job.ID, "attempt", a.Attempt)
			r.Lapsed = append(r.Lapsed, a.Job.ID)
		}
	}
	return errors.Join(errs...)
}

func ignoreNil(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}
