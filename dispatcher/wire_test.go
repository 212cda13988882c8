package dispatcher_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

// listen serves each connection with a function until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// silent is a server that takes everything and says nothing.
func silent(t *testing.T) (addr string) {
	t.Helper()
	return listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// counter stands before a Redis and counts the commands that clients send.
type counter struct {
	addr     string
	commands atomic.Int64
}

func counting(t *testing.T, redis string) *counter {
	t.Helper()
	c := &counter{}
	c.addr = listen(t, func(client net.Conn) {
		var d net.Dialer
		server, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(redis, "redis://"))
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		go func() { _, _ = io.Copy(client, server) }()
		r := bufio.NewReader(client)
		for c.relay(r, server) == nil {
			c.commands.Add(1)
		}
	})
	return c
}

// relay hands on one command: an array of bulk strings.
func (c *counter) relay(r *bufio.Reader, w io.Writer) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "*")))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, line); err != nil {
		return err
	}
	for range n {
		size, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		length, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(size, "$")))
		if err != nil {
			return fmt.Errorf("not a bulk string: %q", size)
		}
		if _, err := io.WriteString(w, size); err != nil {
			return err
		}
		if _, err := io.CopyN(w, r, int64(length)+2); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) active() []queue.Record {
	h.t.Helper()
	list, err := h.q.Active(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// finish does what a runner does with a job that is launching.
func (h *house) finish(r queue.Record) {
	h.t.Helper()
	c, err := h.q.Claim(h.t.Context(), r.Job.ID, r.Attempt, launch.Name(r.Job.ID, r.Attempt))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.q.Finish(h.t.Context(), c, job.Result{Outcome: job.Updated}); err != nil {
		h.t.Fatal(err)
	}
}

// impatient bounds what a grant may take of Fly.
type impatient struct{ dispatcher.Granter }

// GrantFor is for dispatcher.Granter.
func (i impatient) GrantFor(ctx context.Context, j job.Job, e *catalog.Entry, until time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	return i.Granter.GrantFor(ctx, j, e, until)
}
