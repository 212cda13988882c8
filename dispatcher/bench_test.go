package dispatcher_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// BenchmarkWebhook measures a signed push from the handler to its 202, over a real Redis, at the runner
// limit: there is nothing left to launch. Each push is a new job that takes the place of the last one.
func BenchmarkWebhook(b *testing.B) {
	q, err := queue.Open(queuetest.Redis(b), "")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	root, err := job.ParseConfig(hello)
	if err != nil {
		b.Fatal(err)
	}
	d := &dispatcher.Server{Queue: q, Secrets: []string{secret}, Roots: []job.Config{root}, MaxRunners: 1, Log: slog.New(slog.DiscardHandler)}
	// One job is launching for ever.
	busy := job.Job{ID: job.SaltedID(job.Deploy, "busy", "x"), Kind: job.Deploy, App: "busy", Order: job.Order{Time: 1}}
	if _, _, err := q.Push(b.Context(), queue.Delivery{Jobs: []job.Job{busy}}); err != nil {
		b.Fatal(err)
	}
	if _, ok, err := q.Take(b.Context(), 1); err != nil || !ok {
		b.Fatal(ok, err)
	}
	bodies := make([][]byte, b.N)
	for i := range bodies {
		bodies[i] = branchPush(b, i+1)
	}
	door := d.Public()
	var n atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1) - 1
			req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/webhook", bytes.NewReader(bodies[i]))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-GitHub-Event", "push")
			req.Header.Set("X-GitHub-Delivery", fmt.Sprintf("guid-%d", i))
			req.Header.Set("X-Hub-Signature-256", signWith(secret, bodies[i]))
			w := httptest.NewRecorder()
			door.ServeHTTP(w, req)
			if w.Code != http.StatusAccepted {
				b.Errorf("answered %d %s", w.Code, w.Body)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
}
