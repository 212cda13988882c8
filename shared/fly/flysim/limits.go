package flysim

import (
	"net/http"
	"strings"
	"time"
)

// bucket is a token bucket.
type bucket struct {
	left float64
	at   time.Time
}

// allow takes one token from a bucket that refills at rate per second up to burst.
func (b *bucket) allow(now time.Time, rate, burst float64) bool {
	b.left = min(burst, b.left+now.Sub(b.at).Seconds()*rate)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// limited applies the documented limits: per action and machine, or app where no machine is named.
func (s *Server) limited(rt route, r *http.Request) (answer, bool) {
	if !s.opts.RateLimits {
		return answer{}, false
	}
	rate, burst := 1.0, 3.0
	on := r.PathValue("app") + "/" + r.PathValue("id")
	switch rt.pattern {
	case "GET /v1/apps/{app}/machines/{id}":
		rate, burst = 5, 10
	case "DELETE /v1/apps/{app}":
		rate, burst, on = 100.0/60, 100, ""
	}
	if !strings.HasPrefix(rt.pattern[strings.IndexByte(rt.pattern, ' ')+1:], "/v1/apps/") {
		return answer{}, false
	}
	key := rt.pattern + " " + on
	b := s.buckets[key]
	if b == nil {
		b = &bucket{left: burst, at: s.now()}
		s.buckets[key] = b
	}
	if b.allow(s.now(), rate, burst) {
		return answer{}, false
	}
	a := fail(http.StatusTooManyRequests, "rate limit exceeded")
	a.header = http.Header{"Retry-After": {"1"}}
	return a, true
}
