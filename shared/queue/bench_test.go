package queue_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// BenchmarkPush is the hot path of a webhook, two round trips: routes, then push of the job that
// they make. The jobs of an app supersede each other, as nothing is launched.
func BenchmarkPush(b *testing.B) {
	for _, apps := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("apps=%d", apps), func(b *testing.B) {
			q := open(b, queuetest.Redis(b))
			many(b, q, apps)
			var n atomic.Int64
			b.SetParallelism(8)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					p := catalog.Push{
						Repo: fmt.Sprintf("https://github.com/acme/code-%d", i%int64(apps)), Ref: "refs/heads/main", DefaultBranch: "main",
						Before: fmt.Sprint("c", i-1), After: fmt.Sprint("c", i), Time: i, Delivery: fmt.Sprint("guid-", i),
					}
					routes, more, err := q.Routes(b.Context(), p, catalog.MaxApps)
					if err != nil || len(routes) != 1 {
						b.Errorf("%d routes, %v", len(routes), err)
						return
					}
					jobs, _ := catalog.Jobs(p, catalog.Found{Routes: routes, More: more}, time.Now())
					if _, _, err := q.Push(b.Context(), queue.Delivery{GUID: p.Delivery, Jobs: jobs}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
		})
	}
}

// many makes a catalog of apps that have a repository each.
func many(b *testing.B, q *queue.Queue, apps int) {
	b.Helper()
	c := job.Config{Repo: "https://github.com/acme/config"}
	list := make([]catalog.Entry, apps)
	for i := range list {
		list[i] = catalog.Entry{App: fmt.Sprintf("app-%d", i), Auto: true, Source: catalog.Source{Repo: fmt.Sprintf("https://github.com/acme/code-%d", i)}}
	}
	gen, err := q.BeginGeneration(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := q.WriteEntries(b.Context(), c, gen, list); err != nil {
		b.Fatal(err)
	}
	if _, err := q.SwitchGeneration(b.Context(), queue.Switch{Config: c, Generation: gen, Order: job.Order{Time: 1}}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkClaimToFinish is the whole life of a job: push, take, claim, hold, finish.
func BenchmarkClaimToFinish(b *testing.B) {
	q := open(b, queuetest.Redis(b))
	ctx := b.Context()
	for i := 0; b.Loop(); i++ {
		if _, _, err := q.Push(ctx, queue.Delivery{Jobs: []job.Job{deployJob("web", "", fmt.Sprint("c", i), int64(i+1))}}); err != nil {
			b.Fatal(err)
		}
		l, ok, err := q.Take(ctx, 10)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		c, err := q.Claim(ctx, l.Job.ID, l.Attempt, "m")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := q.Hold(ctx, c); err != nil {
			b.Fatal(err)
		}
		if err := q.Finish(ctx, c, job.Result{Outcome: job.Updated}); err != nil {
			b.Fatal(err)
		}
	}
}
