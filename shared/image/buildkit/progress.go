package buildkit

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/opencontainers/go-digest"
)

const (
	keptLines   = 20
	longestLine = 2000
)

// progress prints what a build does, as it does it, and remembers what the failing step said.
type progress struct {
	to    io.Writer
	steps map[digest.Digest]*step
	order []digest.Digest
}

// step is a vertex of a build's graph, by the name that people know it under.
type step struct {
	name, failed string
	lines        [][]byte
	part         []byte
}

func newProgress(to io.Writer) *progress {
	if to == nil {
		to = io.Discard
	}
	return &progress{to: to, steps: map[digest.Digest]*step{}}
}

// follow prints until the states end. It goes on when the build is cancelled: who sends them waits for it.
func (p *progress) follow(ctx context.Context, states <-chan *client.SolveStatus) {
	shown := make(chan *client.SolveStatus)
	done := make(chan struct{})
	go func() {
		defer close(done)
		display, err := progressui.NewDisplay(p.to, progressui.PlainMode)
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
	close(shown)
	<-done
}

func (p *progress) remember(s *client.SolveStatus) {
	for _, v := range s.Vertexes {
		st := p.step(v.Digest)
		st.name = v.Name
		if v.Error != "" {
			st.failed = v.Error
		}
	}
	for _, l := range s.Logs {
		p.step(l.Vertex).add(l.Data)
	}
}

func (p *progress) step(d digest.Digest) *step {
	if st, ok := p.steps[d]; ok {
		return st
	}
	st := &step{}
	p.steps[d] = st
	p.order = append(p.order, d)
	return st
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

// failing gives the step that failed, the first of them in their order; nil is none.
func (p *progress) failing() *step {
	if p == nil {
		return nil
	}
	for _, d := range p.order {
		if st := p.steps[d]; st.failed != "" && !cancelled(st.failed) {
			return st
		}
	}
	return nil
}
