package buildkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	solver "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/opencontainers/go-digest"

	"github.com/gigurra/flycd/shared/image"
)

const (
	keptLines   = 20
	longestLine = 2000
)

// progress prints what a build does, as it does it, and remembers what the failing step said.
type progress struct {
	to    io.Writer
	hide  *strings.Replacer
	steps map[digest.Digest]*step
	order []digest.Digest
}

// step is a vertex of a build's graph, by the name that people know it under.
type step struct {
	name, failed string
	begun, ended bool
	lines        [][]byte
	part         []byte
}

func newProgress(req image.Request) *progress {
	to := req.Log
	if to == nil {
		to = io.Discard
	}
	return &progress{to: to, hide: hiding(req), steps: map[digest.Digest]*step{}}
}

// shortestHidden is below what a secret is, and above what would hide half of a log.
const shortestHidden = 6

// hiding puts stars for the values of secrets and for their lines. It is for the step that shows them by mistake (a trace of
// a shell, a client that repeats its token); a step that wants to tell a secret can.
func hiding(req image.Request) *strings.Replacer {
	var pairs []string
	for _, v := range req.Secrets {
		for _, part := range append(strings.Split(v.Reveal(), "\n"), v.Reveal()) {
			if part = strings.TrimSpace(part); len(part) >= shortestHidden {
				pairs = append(pairs, part, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...)
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
		if strings.HasPrefix(v.Name, "importing cache manifest from ") && strings.HasSuffix(v.Error, ": not found") {
			v.Error = "" // the first build of an app finds no cache, which is no error to show
		}
		st := p.step(v.Digest)
		st.name, st.failed = v.Name, v.Error
		st.begun, st.ended = st.begun || v.Started != nil, v.Completed != nil
	}
	for _, l := range s.Logs {
		l.Data = []byte(p.hide.Replace(string(l.Data)))
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
