package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/queue"
)

const image = "registry.fly.io/web:t-1"

// another opens the queue as another process does.
func another(t *testing.T, url string, q *queue.Queue) *queue.Queue {
	t.Helper()
	n, err := queue.Open(url, q.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	n.Times = q.Times
	return n
}

// Broken when: two jobs that want one image build it at once.
func TestOneBuildsAtATime(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			q := open(t, url)
			q.Times.Turn = 3 * time.Second
			var inside, most, waits atomic.Int32
			var all sync.WaitGroup
			for i := range 5 {
				mine := another(t, url, q)
				all.Go(func() {
					release, waited, err := mine.Turn(t.Context(), image, fmt.Sprint("m-", i))
					if err != nil {
						t.Error(err)
					}
					if waited {
						waits.Add(1)
					}
					if n := inside.Add(1); n > most.Load() {
						most.Store(n)
					}
					// a round trip, in which another one could come in
					if err := mine.Ping(t.Context()); err != nil {
						t.Error(err)
					}
					inside.Add(-1)
					release()
				})
			}
			all.Wait()
			if got := most.Load(); got != 1 {
				t.Errorf("%d built at once", got)
			}
			left, err := q.Redis().Exists(t.Context(), q.Prefix()+"build:"+image).Result()
			if err != nil || left != 0 {
				t.Errorf("a turn is left behind: %d, %v", left, err)
			}
		})
	}
}

// holderEnv makes the test binary a holder that never lets go: the URL, and the queue's prefix.
const holderEnv, prefixEnv = "FLYCD_TEST_HOLDER", "FLYCD_TEST_PREFIX"

// TestHolder is that process, and does nothing otherwise.
func TestHolder(t *testing.T) {
	url := os.Getenv(holderEnv)
	if url == "" {
		return
	}
	q, err := queue.Open(url, os.Getenv(prefixEnv))
	if err != nil {
		t.Fatal(err)
	}
	q.Times.Turn = 3 * time.Second
	if _, _, err := q.Turn(t.Context(), image, "child"); err != nil {
		t.Fatal(err)
	}
	fmt.Println("held")
	<-make(chan struct{})
}

// Broken when: a runner that was killed in a build keeps its image from being built.
func TestKilledHolderIsOutlived(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			q := open(t, url)
			q.Times.Turn = 3 * time.Second
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestHolder$")
			child.Env = append(os.Environ(), holderEnv+"="+url, prefixEnv+"="+q.Prefix())
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("held"))); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, waited, err := q.Turn(ctx, image, "parent"); !waited || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waited %t, %v", waited, err)
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait()
			release, waited, err := q.Turn(t.Context(), image, "parent")
			if err != nil || !waited {
				t.Errorf("waited %t, %v", waited, err)
			}
			release()
		})
	}
}

// Broken when: a queue that was closed in a build keeps its image from being built.
func TestClosedQueueIsOutlived(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			q := open(t, url)
			q.Times.Turn = 300 * time.Millisecond
			gone := another(t, url, q)
			release, _, err := gone.Turn(t.Context(), image, "gone")
			if err != nil {
				t.Fatal(err)
			}
			if err := gone.Close(); err != nil {
				t.Fatal(err)
			}
			mine, _, err := q.Turn(t.Context(), image, "here")
			if err != nil {
				t.Fatal(err)
			}
			release()
			mine()
		})
	}
}

// Broken when: a build waits for a Redis that is not there.
func TestTurnWithoutRedisIsAnError(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	q := open(t, "redis://"+l.Addr().String())
	release, waited, err := q.Turn(t.Context(), image, "m")
	release()
	if err == nil || waited {
		t.Errorf("waited %t, %v", waited, err)
	}
}
