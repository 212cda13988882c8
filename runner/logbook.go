package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const (
	// batchLines and batchWait bound how long a line waits before it can be read in Redis.
	batchLines = 50
	batchWait  = time.Second
	// keptLines is the most that waits while Redis does not answer; later lines are counted only.
	keptLines = 5000
	longLine  = 8 << 10
	// A log that is longer than fullLog bytes keeps the beginnings of its further lines only: who floods it fills
	// no Redis, and the end of it can be read all the same.
	fullLog   = 4 << 20
	shortLine = 200
	// appendWait bounds one write to Redis.
	appendWait = 5 * time.Second
)

// Appender keeps the lines of a job's log.
type Appender interface {
	Append(ctx context.Context, id job.ID, lines []string) error
}

// logbook is an io.Writer that carries what a job says, line by line, redacted, to Redis in batches
// and to the runner's own output at once. A log that cannot be kept never fails the job.
type logbook struct {
	to     Appender
	id     job.ID
	redact manifest.Redactor
	out    io.Writer

	mu      sync.Mutex
	partial []byte
	lines   []string
	dropped int
	// size is how long the log is.
	size int

	full chan struct{}
	stop chan struct{}
	done chan struct{}
}

// open starts the goroutine that sends the batches; ctx does not end it, close does.
func (l *logbook) open(ctx context.Context) {
	l.full, l.stop, l.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go l.run(context.WithoutCancel(ctx))
}

// Write takes text in any pieces; a line is what ends with a newline. It never fails.
func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			break
		}
		l.add(string(line))
		text = rest
	}
	for len(text) >= longLine+l.redact.Longest() {
		text = l.cut(text)
	}
	l.partial = append(l.partial[:0], text...)
	return len(p), nil
}

// cut adds the beginning of a line that is too long, and gives the rest. What may be the beginning of a
// secret goes with the rest.
func (l *logbook) cut(text []byte) []byte {
	most := longLine + l.redact.Longest()
	head := l.redact.Redact(string(text[:most]))
	n := max(len(head)-l.redact.Longest(), 0)
	l.add(head[:n])
	return append([]byte(head[n:]), text[most:]...)
}

func (l *logbook) add(line string) {
	line = l.redact.Told(strings.TrimRight(line, "\r"))
	fmt.Fprintln(l.out, line)
	if l.size += len(line); l.size > fullLog && len(line) > shortLine {
		line = strings.ToValidUTF8(line[:shortLine], "") + "…"
	}
	if len(l.lines) >= keptLines {
		l.dropped++
		return
	}
	l.lines = append(l.lines, line)
	if len(l.lines) >= batchLines {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}

// longDetail is the most that is recorded of why a job ended as it did.
const longDetail = 32 << 10

// shortened keeps the beginning, which says what failed, and the end, which shows it.
func shortened(detail string) string {
	if len(detail) <= longDetail {
		return detail
	}
	head, tail := detail[:longDetail/2], detail[len(detail)-longDetail/2:]
	return strings.ToValidUTF8(head, "") + "\n…\n" + strings.ToValidUTF8(tail, "")
}

func (l *logbook) run(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(batchWait)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.full:
		case <-tick.C:
		}
		l.flush(ctx)
	}
}

// flush sends what waits. What Redis did not take waits for the next time.
func (l *logbook) flush(ctx context.Context) {
	l.mu.Lock()
	lines, dropped := l.lines, l.dropped
	l.lines, l.dropped = nil, 0
	l.mu.Unlock()
	batch := lines
	if dropped > 0 {
		batch = append(batch, fmt.Sprintf("(%d lines were lost while Redis did not answer)", dropped))
	}
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, appendWait)
	defer cancel()
	if err := l.to.Append(ctx, l.id, batch); err != nil {
		fmt.Fprintf(l.out, "append log: %s\n", l.redact.Redact(err.Error()))
		l.mu.Lock()
		lines = append(lines, l.lines...)
		l.lines = lines[:min(len(lines), keptLines)]
		l.dropped += dropped + len(lines) - len(l.lines)
		l.mu.Unlock()
	}
}

// close sends the rest and waits for the goroutine.
func (l *logbook) close(ctx context.Context) {
	close(l.stop)
	<-l.done
	l.mu.Lock()
	if len(l.partial) > 0 {
		l.add(string(l.partial))
		l.partial = nil
	}
	l.mu.Unlock()
	l.flush(context.WithoutCancel(ctx))
}
