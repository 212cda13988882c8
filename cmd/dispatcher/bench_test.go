package main

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// manyRunners is more than there are at once.
const manyRunners = 200

// BenchmarkPush sends signed pushes to the built dispatcher until each is answered with 202: over real
// connections, with a real Redis, at the runner limit, so that nothing is left to launch. The pushes go
// round the apps of the catalog, which all wait already: each takes the place of its app's last one. The
// load comes from this process; it, Redis and the dispatcher share the machine.
func BenchmarkPush(b *testing.B) {
	binary := buildFor(b, ".")
	for _, c := range []struct{ apps, connections int }{
		{10, 1},
		{10, 16},
		{10, 256},
		{1000, 16},
		{10_000, 16},
	} {
		b.Run(fmt.Sprintf("%d_apps_%d_connections", c.apps, c.connections), func(b *testing.B) {
			w := newWorld(b, binary)
			w.occupy()
			w.wait(w.catalog(c.apps))
			d := w.dispatcher(1)
			requests := w.requests(b.N, c.apps)
			measure(b, w, d, load{addr: d.addr, connections: c.connections, requests: requests})
		})
	}
}

// BenchmarkPushAndLaunch is the same with a launch for every push: each concerns an app of its own and
// makes a runner machine on a simulated Fly. This process serves that Fly, and for each machine it claims
// the job and finishes it at once, so that the runners stay few.
func BenchmarkPushAndLaunch(b *testing.B) {
	binary := buildFor(b, ".")
	for _, connections := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("%d_connections", connections), func(b *testing.B) {
			w := newWorld(b, binary)
			w.catalog(b.N)
			d := w.dispatcher(manyRunners)
			requests := w.requests(b.N, b.N)
			measure(b, w, d, load{addr: d.addr, connections: connections, requests: requests})
			b.ReportMetric(float64(w.launched.Load())/float64(b.N), "launches/push")
		})
	}
}

// BenchmarkColdStart is what a push waits for that wakes the dispatcher: from exec to its 202. Redis runs
// and knows the scripts; the binary is in the page cache.
func BenchmarkColdStart(b *testing.B) {
	w := newWorld(b, buildFor(b, "."))
	w.occupy()
	w.catalog(10)
	requests := w.requests(b.N+1, 10)
	var took, answered []time.Duration
	for i := range b.N + 1 {
		began := time.Now()
		d := w.exec(1)
		conn := d.dial(b)
		up := time.Since(began)
		if err := roundTrip(conn, requests[i], make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		// The first one teaches Redis the scripts.
		if i > 0 {
			took, answered = append(took, time.Since(began)), append(answered, time.Since(began)-up)
		}
		_ = conn.Close()
		d.stop(b)
	}
	slices.Sort(took)
	slices.Sort(answered)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(quantile(took, 0.5)), "p50-ms")
	b.ReportMetric(milliseconds(quantile(took, 0.99)), "p99-ms")
	b.ReportMetric(milliseconds(quantile(answered, 0.5)), "first-push-ms")
}

// measure sends the load and reports what it cost whom.
func measure(b *testing.B, w *world, d *daemon, l load) {
	b.Helper()
	l.warm(b)
	cpu := [3]time.Duration{cpuOf(b, d.pid), cpuOf(b, w.redisPID), cpuOf(b, os.Getpid())}
	asked := commands(b, w.redis)
	b.ResetTimer()
	took := l.run(b)
	b.StopTimer()
	b.ReportMetric(float64(commands(b, w.redis)-asked)/float64(b.N), "commands/push")
	if b.Failed() {
		b.Log(d.tail())
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/b.Elapsed().Seconds(), "pushes/s")
	b.ReportMetric(milliseconds(quantile(took, 0.5)), "p50-ms")
	b.ReportMetric(milliseconds(quantile(took, 0.99)), "p99-ms")
	b.ReportMetric(memory(b, d.pid, "VmRSS"), "rss-MB")
	b.ReportMetric(memory(b, d.pid, "VmHWM"), "peak-MB")
	for i, pid := range []int{d.pid, w.redisPID, os.Getpid()} {
		used := cpuOf(b, pid) - cpu[i]
		b.ReportMetric(float64(used.Microseconds())/n, [3]string{"dispatcher-µs", "redis-µs", "load-µs"}[i])
	}
}

// quantile reads a sorted list.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
