package dispatcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gigurra/flycd/shared/launch"
)

// counts is what /metrics shows. The zero value is ready.
type counts struct {
	// webhooks counts answers by status, less 200.
	webhooks     [400]atomic.Int64
	webhookNanos atomic.Int64
	buckets      [len(bounds) + 1]atomic.Int64
	jobs         atomic.Int64
	replays      atomic.Int64
	passes       atomic.Int64
	passErrors   atomic.Int64
	launched     atomic.Int64
	nothingMade  atomic.Int64
	unclear      atomic.Int64
}

// bounds are the upper bounds of the histogram of webhook times, in milliseconds.
//
//nolint:gochecknoglobals // a table
var bounds = [...]int{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000}

func (c *counts) webhook(status int, took time.Duration) {
	if i := status - 200; i >= 0 && i < len(c.webhooks) {
		c.webhooks[i].Add(1)
	}
	c.webhookNanos.Add(int64(took))
	i := 0
	for i < len(bounds) && took > time.Duration(bounds[i])*time.Millisecond {
		i++
	}
	c.buckets[i].Add(1)
}

func (c *counts) pushed(jobs int, replay bool) {
	if replay {
		c.replays.Add(1)
		return
	}
	c.jobs.Add(int64(jobs))
}

func (c *counts) pass(err error) {
	c.passes.Add(1)
	if err != nil {
		c.passErrors.Add(1)
	}
}

func (c *counts) launch(err error) {
	switch {
	case err == nil:
		c.launched.Add(1)
	case errors.Is(err, launch.ErrNothingMade):
		c.nothingMade.Add(1)
	default:
		c.unclear.Add(1)
	}
}

// metrics answers in Prometheus' text format.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthWithin)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	out := bufio.NewWriter(w)
	s.counts.write(out)
	s.queueMetrics(ctx, out)
	// A scraper that has gone away is told nothing.
	_ = out.Flush()
}

func (c *counts) write(w io.Writer) {
	head(w, "flycd_webhook_requests_total", "counter", "Webhook requests by status.")
	for i := range c.webhooks {
		if n := c.webhooks[i].Load(); n > 0 {
			fmt.Fprintf(w, "flycd_webhook_requests_total{status=\"%d\"} %d\n", i+200, n)
		}
	}
	head(w, "flycd_webhook_seconds", "histogram", "From the request to its answer.")
	total := int64(0)
	for i := range c.buckets {
		total += c.buckets[i].Load()
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(float64(bounds[i])/1000, 'g', -1, 64)
		}
		fmt.Fprintf(w, "flycd_webhook_seconds_bucket{le=%q} %d\n", le, total)
	}
	fmt.Fprintf(w, "flycd_webhook_seconds_sum %g\nflycd_webhook_seconds_count %d\n", float64(c.webhookNanos.Load())/1e9, total)
	for _, m := range []struct {
		name, help string
		n          int64
	}{
		{"flycd_jobs_pushed_total", "Jobs in accepted deliveries.", c.jobs.Load()},
		{"flycd_replays_total", "Deliveries that had been answered before.", c.replays.Load()},
		{"flycd_due_passes_total", "Due passes.", c.passes.Load()},
		{"flycd_due_pass_errors_total", "Due passes that the queue cut short.", c.passErrors.Load()},
	} {
		head(w, m.name, "counter", m.help)
		fmt.Fprintf(w, "%s %d\n", m.name, m.n)
	}
	head(w, "flycd_launches_total", "counter", "Runner launches by how they ended.")
	fmt.Fprintf(w, "flycd_launches_total{result=\"launched\"} %d\nflycd_launches_total{result=\"nothing_made\"} %d\nflycd_launches_total{result=\"unclear\"} %d\n",
		c.launched.Load(), c.nothingMade.Load(), c.unclear.Load())
}

func head(w io.Writer, name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// queueMetrics adds what the queue holds. Without an answer from it the rest is shown alone.
func (s *Server) queueMetrics(ctx context.Context, w io.Writer) {
	q, err := s.Queue.Stats(ctx)
	if err != nil {
		s.Log.WarnContext(ctx, "no queue metrics", "error", err.Error())
		return
	}
	head(w, "flycd_jobs", "gauge", "Jobs by state.")
	fmt.Fprintf(w, "flycd_jobs{state=\"waiting\"} %d\nflycd_jobs{state=\"active\"} %d\nflycd_jobs{state=\"delayed\"} %d\nflycd_jobs{state=\"dead\"} %d\n",
		q.Waiting, q.Active, q.Delayed, q.Dead)
}
