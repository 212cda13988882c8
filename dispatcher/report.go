package dispatcher

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/forge"
)

const (
	// reportWithin bounds how long feedback is delivered at a time.
	reportWithin = 20 * time.Second
	// reportAtTheEnd is what is left of it once the dispatcher is to end.
	reportAtTheEnd = 3 * time.Second
)

// Feedback tells the world what becomes of jobs. *forge.Post does.
type Feedback interface {
	// Deliver tells what is to be told, for at most budget. What it does not get to stays for the next time.
	Deliver(ctx context.Context, budget time.Duration) (forge.Report, error)
}

// reports lets one delivery of feedback run at a time.
type reports struct {
	mu    sync.Mutex
	done  chan struct{}
	again bool
}

// Tell has feedback delivered and comes back when that is done, or ctx ends.
func (s *Server) Tell(ctx context.Context) { s.await(ctx, s.report(ctx)) }

// report has feedback delivered beside whatever else goes on, once at a time, and gives a channel that is closed when
// that is done. Nothing depends on it: a machine that is stopped meanwhile leaves the rest to the next one.
func (s *Server) report(ctx context.Context) <-chan struct{} {
	s.prepare()
	s.reports.mu.Lock()
	defer s.reports.mu.Unlock()
	if s.Feedback == nil || s.reports.done != nil {
		if s.reports.done == nil {
			done := make(chan struct{})
			close(done)
			return done
		}
		s.reports.again = true
		return s.reports.done
	}
	done := make(chan struct{})
	s.reports.done = done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*reportWithin)
	s.due.work.Go(func() {
		defer close(done)
		defer cancel()
		for again := true; again; again = s.reports.next(ctx) {
			s.deliver(ctx)
		}
	})
	go s.hurry(ctx, cancel)
	return done
}

// hurry ends a delivery when the dispatcher is to end: what is under way then is told again by the next one, which
// looks first whether it has arrived.
func (s *Server) hurry(ctx context.Context, cancel context.CancelFunc) {
	select {
	case <-ctx.Done():
		return
	case <-s.stopped:
	}
	timer := time.NewTimer(reportAtTheEnd)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		cancel()
	}
}

// deliver tells what is to be told. Whatever goes wrong there ends no dispatcher.
func (s *Server) deliver(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.ErrorContext(ctx, "panicked", "path", "feedback", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	did, err := s.Feedback.Deliver(ctx, reportWithin)
	if err != nil {
		s.Log.WarnContext(ctx, "feedback not delivered", "error", err.Error())
	}
	if did != (forge.Report{}) {
		s.Log.InfoContext(ctx, "told", "events", did.Events, "letters", did.Letters, "sent", did.Sent, "failed", did.Failed)
	}
}

// next says whether somebody asked meanwhile, and ends the delivery otherwise.
func (r *reports) next(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	again := r.again && ctx.Err() == nil
	r.again = false
	if !again {
		r.done = nil
	}
	return again
}
