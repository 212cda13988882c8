package buildkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	solver "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/opencontainers/go-digest"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
)

const (
	keptLines   = 20
	longestLine = 2000
)

// progress prints what a build does, as it does it, and remembers what the failing step said. Neither tells a secret.
type progress struct {
	to     io.Writer
	redact manifest.Redactor
	steps  map[digest.Digest]*step
	order  []digest.Digest
}

// step is a vertex of a build's graph, by the name that people know it under.
type step struct {
	name, failed string
	begun, ended bool
	// says takes what the step prints, in any pieces; whole is what of it may be shown.
	says  io.WriteCloser
	whole bytes.Buffer
	lines [][]byte
	part  []byte
}

func newProgress(req image.Request) *progress {
	to := req.Log
	if to == nil {
		to = io.Discard
	}
	return &progress{to: to, redact: req.Redactor(), steps: map[digest.Digest]*step{}}
}

// follow prints until the states end. It goes on when the build is cancelled: who sends them waits for it.
func (p *progress) follow(ctx context.Context, states <-chan *client.SolveStatus) {
	shown := make(chan *client.SolveStatus)
	done := make(chan struct{})
	to := p.redact.Writer(p.to)
	go func() {
		defer close(done)
		display, err := progressui.NewDisplay(to, progressui.PlainMode)
		if err == nil {
			_, err = display.UpdateFrom(context.WithoutCancel(ctx), shown)
		}
		for err != nil { // not reached with a writer, and the build must not stand still for its log
			if _, ok := <-shown; !ok {
				return
			}
		}
	}()
	for s := range states {
		p.remember(s)
		shown <- s
	}
	shown <- &client.SolveStatus{Logs: p.rest()}
	close(shown)
	<-done
	_ = to.Close() // a log that fails does not fail the build
}

func (p *progress) remember(s *client.SolveStatus) {
	for _, v := range s.Vertexes {
		if strings.HasPrefix(v.Name, "importing cache manifest from ") && strings.HasSuffix(v.Error, ": not found") {
			v.Error = "" // the first build of an app finds no cache, which is no error to show
		}
		st := p.step(v.Digest)
		st.name, st.failed = v.Name, v.Error
		st.begun, st.ended = st.begun || v.Started != nil, v.Completed != nil
	}
	said := s.Logs
	s.Logs = nil
	for _, l := range said {
		if l.Data = p.step(l.Vertex).say(l.Data); len(l.Data) > 0 {
			s.Logs = append(s.Logs, l)
		}
	}
	for _, v := range s.Vertexes {
		if v.Completed != nil {
			s.Logs = append(s.Logs, p.step(v.Digest).end(v.Digest, *v.Completed)...)
		}
	}
}

// rest is what steps printed last that never ended.
func (p *progress) rest() []*client.VertexLog {
	var logs []*client.VertexLog
	for _, d := range p.order {
		logs = append(logs, p.steps[d].end(d, time.Now())...)
	}
	return logs
}

func (p *progress) step(d digest.Digest) *step {
	if st, ok := p.steps[d]; ok {
		return st
	}
	st := &step{}
	st.says = p.redact.Writer(&st.whole)
	p.steps[d] = st
	p.order = append(p.order, d)
	return st
}

// say takes what the step prints and gives what may be shown of it by now: the lines that are whole, since a
// secret may come in pieces.
func (s *step) say(text []byte) []byte {
	_, _ = s.says.Write(text) // a buffer takes everything
	return s.show()
}

// end gives what the step printed last, where no end of a line followed.
func (s *step) end(d digest.Digest, at time.Time) []*client.VertexLog {
	_ = s.says.Close() // as above
	text := s.show()
	if len(text) == 0 {
		return nil
	}
	return []*client.VertexLog{{Vertex: d, Stream: 1, Data: text, Timestamp: at}}
}

// show takes over what may be shown.
func (s *step) show() []byte {
	text := slices.Clone(s.whole.Bytes())
	s.whole.Reset()
	s.add(text)
	return text
}

func (s *step) add(text []byte) {
	s.part = append(s.part, text...)
	for {
		line, rest, ok := bytes.Cut(s.part, []byte("\n"))
		if !ok {
			break
		}
		s.keep(line)
		s.part = slices.Clone(rest)
	}
	s.part = s.part[max(0, len(s.part)-longestLine):]
}

func (s *step) keep(line []byte) {
	if line = bytes.TrimRight(line, "\r\t "); len(line) == 0 {
		return
	}
	s.lines = append(s.lines, slices.Clone(line[:min(len(line), longestLine)]))
	if len(s.lines) > keptLines {
		s.lines = s.lines[1:]
	}
}

// last gives the last lines that the step printed.
func (s *step) last() string {
	lines := s.lines
	if part := bytes.TrimSpace(s.part); len(part) > 0 {
		lines = append(slices.Clone(lines), part)
	}
	return string(bytes.Join(lines, []byte("\n")))
}

// failing gives the step that an error comes from; nil is none.
func (p *progress) failing(err error) *step {
	if p == nil || err == nil {
		return nil
	}
	var named *solver.VertexError
	if errors.As(err, &named) {
		if st, ok := p.steps[digest.Digest(named.GetDigest())]; ok {
			return st
		}
	}
	for _, d := range p.order {
		if st := p.steps[d]; st.failed != "" && strings.Contains(err.Error(), st.failed) {
			return st
		}
	}
	return nil
}

// unfinished gives the step that was begun last of those that did not end by themselves; nil is none.
func (p *progress) unfinished() *step {
	for _, d := range slices.Backward(p.order) {
		if st := p.steps[d]; st.begun && (!st.ended || strings.HasSuffix(st.failed, context.Canceled.Error())) {
			return st
		}
	}
	return nil
}
