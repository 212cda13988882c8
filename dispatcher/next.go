package dispatcher

import (
	"context"
	"net/http"
	"time"
)

// nextWithin is how long a request for the next launch is held while something becomes due.
const nextWithin = 55 * time.Second

// next runs a due pass and answers what it did. Where it launched nothing and something becomes due
// within the minute, it waits for that: the request keeps the dispatcher awake until then. One who
// waits is enough, so a later request takes over from an earlier one, which is answered.
func (s *Server) next(w http.ResponseWriter, r *http.Request) {
	if !bearer(r.Header.Get("Authorization"), s.NextToken) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answer(w, http.StatusUnauthorized, refused{"the bearer token is not this dispatcher's FLYCD_NEXT_TOKEN"})
		return
	}
	// The server's own timeouts are for requests that are answered at once.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(nextWithin + 2*replyWithin))
	until := time.Now().Add(nextWithin)
	// A runner that asks has just ended its job: the open request keeps the dispatcher awake while that is told.
	reported := s.report(r.Context())
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), replyWithin)
		report, err := s.Due(ctx)
		cancel()
		if err != nil {
			s.Log.ErrorContext(r.Context(), "no next launch", "error", err.Error())
			answer(w, http.StatusServiceUnavailable, refused{"the queue or Fly does not answer: ask again"})
			return
		}
		at := report.NextDue
		if report.Launched > 0 || at.IsZero() || at.After(until) || !s.watch(r.Context(), at) {
			s.await(r.Context(), reported)
			answer(w, http.StatusOK, report)
			return
		}
	}
}

// await waits for the feedback, unless the asker has gone or the dispatcher is to end.
func (s *Server) await(ctx context.Context, reported <-chan struct{}) {
	select {
	case <-reported:
	case <-ctx.Done():
	case <-s.stopped:
	}
}

// watch waits for a time, and reports false where somebody else watches from now on, the asker has
// gone or the dispatcher is to end.
func (s *Server) watch(ctx context.Context, at time.Time) bool {
	// Redis keeps the time, and its clock need not be ours: never spin.
	timer := time.NewTimer(max(time.Until(at), 250*time.Millisecond))
	defer timer.Stop()
	mine := make(chan struct{})
	if last := s.watcher.Swap(&mine); last != nil {
		close(*last)
	}
	defer s.watcher.CompareAndSwap(&mine, nil)
	select {
	case <-timer.C:
		return true
	case <-mine:
	case <-ctx.Done():
	case <-s.stopped:
	}
	return false
}
