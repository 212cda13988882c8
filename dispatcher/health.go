package dispatcher

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	healthWithin = 3 * time.Second
	// healthEvery is how long a deep answer stands.
	healthEvery = 5 * time.Second
)

// health is the last deep answer.
type health struct {
	mu         sync.Mutex
	at         time.Time
	redis, fly error
}

// healthz says that the dispatcher answers; with ?deep, whether Redis and Fly do. The deep answer
// costs a call to each, so what looks after the machine asks the plain one; anybody can ask, so however
// many do, each is called once in five seconds.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if !r.URL.Query().Has("deep") {
		answer(w, http.StatusOK, map[string]string{"dispatcher": "ok"})
		return
	}
	redis, fly := s.deep(r.Context())
	status := http.StatusOK
	if redis != nil || fly != nil {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]string{"dispatcher": "ok", "redis": word(redis), "fly": word(fly)})
}

// deep asks Redis and Fly, or gives what they said a moment ago.
func (s *Server) deep(ctx context.Context) (redis, fly error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) < healthEvery {
		return h.redis, h.fly
	}
	// Others are given the same answer, so it is not cut short when the first one goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthWithin)
	defer cancel()
	var asked sync.WaitGroup
	asked.Go(func() { h.redis = s.Queue.Ping(ctx) })
	if s.Fly != nil {
		asked.Go(func() { h.fly = s.Fly.Check(ctx) })
	}
	asked.Wait()
	h.at = time.Now()
	for what, err := range map[string]error{"redis": h.redis, "fly": h.fly} {
		if err != nil {
			s.Log.WarnContext(ctx, "unhealthy", "what", what, "error", err.Error())
		}
	}
	return h.redis, h.fly
}

// word is what the answer says. Why something is down is for the log: anybody can ask.
func word(err error) string {
	if err == nil {
		return "ok"
	}
	return "down"
}
