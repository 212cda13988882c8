package flysim

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
)

// keptLines is how much of a machine's output the state shows, maxLine how long a line may be.
const (
	keptLines = 200
	maxLine   = 64 << 10
)

// say keeps a line of the machine's output and passes it on.
func (s *Server) say(m *machine, line string) {
	m.output = append(m.output, line)
	if len(m.output) > keptLines {
		m.output = slices.Clone(m.output[len(m.output)-keptLines:])
	}
	s.log(m, line)
	s.opts.Log.LogAttrs(context.Background(), slog.LevelInfo, "output",
		slog.String("app", m.app.name), slog.String("machine", cmp.Or(m.name, m.id)), slog.String("line", line))
}

// lines cuts a stream into lines of bounded length.
type lines struct {
	mu   sync.Mutex
	rest []byte
	say  func(string)
}

// Write is for io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		if end < 0 || end > maxLine {
			l.say(string(l.rest[:maxLine]))
			l.rest = l.rest[maxLine:]
			continue
		}
		l.say(string(bytes.TrimSuffix(l.rest[:end], []byte("\r"))))
		l.rest = l.rest[end+1:]
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.say(string(l.rest))
		l.rest = nil
	}
}
