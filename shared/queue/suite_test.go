package queue_test

import (
	"crypto/rand"
	"testing"

	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// servers are the two sorts of Redis. The suite and the interleavings must pass on both.
func servers() map[string]func(testing.TB) string {
	return map[string]func(testing.TB) string{"embedded": queuetest.Embedded, "redis": queuetest.Redis}
}

// open gives a queue whose keys nobody else has.
func open(tb testing.TB, url string) *queue.Queue {
	tb.Helper()
	q, err := queue.Open(url, "t-"+rand.Text()[:8]+":")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = q.Close() })
	return q
}

func TestConformance(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			queuetest.Run(t, func(t *testing.T) *queue.Queue {
				t.Helper()
				return open(t, url)
			})
		})
	}
}
