package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	// passWithin bounds a due pass, takeWithin the part of it in which launches may begin.
	passWithin = 4 * time.Second
	takeWithin = 2500 * time.Millisecond
	// dueRounds bounds how often one pass asks for more overdue work.
	dueRounds = 10
)

// Report says what a due pass did.
type Report struct {
	// Launched and Failed count launches; a failed one may nevertheless have made a machine.
	Launched int `json:"launched"`
	Failed   int `json:"failed,omitempty"`
	// Lapsed counts launches and claims that were past their deadline, Released delayed jobs whose
	// time had come.
	Lapsed   int `json:"lapsed,omitempty"`
	Released int `json:"released,omitempty"`
	// NextDue is when the clock will have something to do, zero where it has nothing.
	NextDue time.Time `json:"next_due,omitzero"`
}

// passes lets everybody who asks for a due pass while one runs share the next one. A pass that began
// before the asking may have looked too early; one that begins after it serves all who wait.
type passes struct {
	mu      sync.Mutex
	running bool
	next    *pass
	// work counts the goroutines; slots holds a token for each launch under way.
	work  sync.WaitGroup
	slots chan struct{}
}

type pass struct {
	// until is when the last of those who wait will leave.
	until  time.Time
	done   chan struct{}
	mu     sync.Mutex
	report Report
	err    error
}

// Due catches up with the clock and the stream: it lets lapse what is past its deadline, releases
// delayed jobs that are due, and makes a machine for each job that waits while fewer than MaxRunners
// are active. It comes back when the machines are made, or with ctx's error when ctx ends first: give
// it a deadline. It may be called at any time, by any number at once, and is safe to repeat.
func (s *Server) Due(ctx context.Context) (Report, error) {
	s.prepare()
	p := s.join(ctx)
	select {
	case <-p.done:
		return p.report, p.err
	case <-ctx.Done():
		return Report{}, fmt.Errorf("due pass: %w", context.Cause(ctx))
	}
}

func (s *Server) join(ctx context.Context) *pass {
	d := &s.due
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next == nil {
		d.next = &pass{done: make(chan struct{})}
	}
	until, ok := ctx.Deadline()
	if most := time.Now().Add(replyWithin); !ok || until.After(most) {
		until = most
	}
	if until.After(d.next.until) {
		d.next.until = until
	}
	if !d.running {
		d.running = true
		ctx := context.WithoutCancel(ctx)
		d.work.Go(func() { s.passes(ctx) })
	}
	return d.next
}

// passes runs one pass after the other while somebody waits.
func (s *Server) passes(ctx context.Context) {
	for {
		s.due.mu.Lock()
		p := s.due.next
		s.due.next = nil
		s.due.running = p != nil
		s.due.mu.Unlock()
		if p == nil {
			return
		}
		s.pass(ctx, p)
	}
}

// pass does p's part with the queue, and leaves its launches to a goroutine, so that the next pass
// need not wait for Fly.
func (s *Server) pass(ctx context.Context, p *pass) {
	began := time.Now()
	end := began.Add(passWithin)
	if p.until.Before(end) {
		end = p.until
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	launches := &sync.WaitGroup{}
	var free bool
	free, p.err = s.overdue(ctx, p)
	if p.err == nil && free {
		p.err = s.take(ctx, p, launches)
	}
	s.counts.pass(p.err)
	s.due.work.Go(func() {
		launches.Wait()
		cancel()
		close(p.done)
	})
}

// overdue catches up with the clock, and reports whether another runner may be launched then.
func (s *Server) overdue(ctx context.Context, p *pass) (free bool, err error) {
	for range dueRounds {
		d, err := s.Queue.Due(ctx)
		if err != nil {
			return false, err
		}
		free = d.Active < positive(s.MaxRunners, defaultMaxRunners)
		p.report.Lapsed += d.Lapsed
		p.report.Released += d.Released
		p.report.NextDue = d.NextDue
		if !d.More {
			break
		}
	}
	return free, nil
}

// take takes as many jobs as there are free slots, in one command, and launches each, until none
// waits, the limit is reached, a launch fails, or time is up.
func (s *Server) take(ctx context.Context, p *pass, launches *sync.WaitGroup) error {
	timer := time.NewTimer(takeWithin)
	defer timer.Stop()
	for !p.troubled() {
		select {
		case s.due.slots <- struct{}{}:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
		n := 1 + s.due.more()
		taken, err := s.Queue.TakeMany(ctx, positive(s.MaxRunners, defaultMaxRunners), n)
		for range n - len(taken) {
			<-s.due.slots
		}
		for _, l := range taken {
			launches.Go(func() {
				defer func() { <-s.due.slots }()
				p.count(s.launch(ctx, l))
			})
		}
		if err != nil || len(taken) < n {
			return err
		}
	}
	return nil
}

// more takes the slots that are free now, and says how many.
func (d *passes) more() int {
	for n := 0; ; n++ {
		select {
		case d.slots <- struct{}{}:
		default:
			return n
		}
	}
}

// launch makes the machine for a job that was taken, and says when the job is to be looked at again.
func (s *Server) launch(ctx context.Context, l queue.Launch) (due time.Time, err error) {
	began := time.Now()
	m, err := s.Runners.Launch(ctx, launch.Runner{Job: l.Job, Attempt: l.Attempt, Deadline: l.RunDeadline})
	s.counts.launch(err)
	if err == nil {
		s.Log.InfoContext(ctx, "launched", "job", l.Job.ID, "subject", l.Job.Subject(), "attempt", l.Attempt, "machine", m.ID, "ms", time.Since(began).Milliseconds())
		return l.Deadline, nil
	}
	s.Log.ErrorContext(ctx, "not launched", "job", l.Job.ID, "subject", l.Job.Subject(), "attempt", l.Attempt, "error", err.Error())
	if !errors.Is(err, launch.ErrNothingMade) {
		// There may be a machine: its claim or the start deadline decides.
		return l.Deadline, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if back := s.Queue.Unlaunch(ctx, l); back != nil {
		s.Log.ErrorContext(ctx, "not given back", "job", l.Job.ID, "attempt", l.Attempt, "error", back.Error())
		return l.Deadline, err
	}
	return time.Now().Add(s.Queue.Times.Unlaunch), err
}

func (p *pass) count(due time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next := p.report.NextDue; next.IsZero() || due.Before(next) {
		p.report.NextDue = due
	}
	if err != nil {
		p.report.Failed++
		return
	}
	p.report.Launched++
}

// troubled reports whether a launch has failed: then the rest waits for the next pass.
func (p *pass) troubled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report.Failed > 0
}
