package dispatcher

import (
	"context"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/forge"
)

// reportWithin bounds how long feedback is delivered at a time.
const reportWithin = 20 * time.Second

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
		defer cancel()
		for again := true; again; {
			did, err := s.Feedback.Deliver(ctx, reportWithin)
			if err != nil {
				s.Log.WarnContext(ctx, "feedback not delivered", "error", err.Error())
			}
			if did != (forge.Report{}) {
				s.Log.InfoContext(ctx, "told", "events", did.Events, "letters", did.Letters, "sent", did.Sent, "failed", did.Failed)
			}
			again = s.reports.next(ctx)
		}
		close(done)
	})
	return done
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
