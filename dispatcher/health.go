package dispatcher

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const healthWithin = 3 * time.Second

// healthz says that the dispatcher answers; with ?deep, whether Redis and Fly do. The deep answer
// costs a call to each, so what looks after the machine asks the plain one.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if !r.URL.Query().Has("deep") {
		answer(w, http.StatusOK, map[string]string{"dispatcher": "ok"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), healthWithin)
	defer cancel()
	said, status := map[string]string{"dispatcher": "ok"}, http.StatusOK
	var redis, fly error
	var asked sync.WaitGroup
	asked.Go(func() { redis = s.Queue.Ping(ctx) })
	if s.Fly != nil {
		asked.Go(func() { fly = s.Fly.Check(ctx) })
	}
	asked.Wait()
	said["redis"], said["fly"] = s.health(ctx, "redis", redis), s.health(ctx, "fly", fly)
	if redis != nil || fly != nil {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, said)
}

// health is the word for the answer. Why something is down is for the log: anybody can ask.
func (s *Server) health(ctx context.Context, what string, err error) string {
	if err == nil {
		return "ok"
	}
	s.Log.WarnContext(ctx, "unhealthy", "what", what, "error", err.Error())
	return "down"
}
