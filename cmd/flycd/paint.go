package main

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/report"
)

// refused reports whether err is about rights: a token, somebody else's name, a lease.
func refused(err error) bool { return errors.Is(err, fly.ErrRefused) || errors.Is(err, fly.ErrLeased) }

// paint colours a plan's lines where a person watches.
type paint struct{ on bool }

func newPaint(w io.Writer, noColor string) paint { return paint{isTerminal(w) && noColor == ""} }

// change colours a line by what it does.
func (p paint) change(line string) string {
	verb, _, _ := strings.Cut(line, " ")
	return p.as(verb, line)
}

// as colours a text by a step's verb: green creates, yellow changes, red destroys, as does downtime.
func (p paint) as(verb, text string) string {
	if !p.on {
		return text
	}
	color := map[string]string{"+": "\x1b[32m", "-": "\x1b[31m", "!": "\x1b[33m"}[report.Sign(verb)]
	return color + text + "\x1b[0m"
}

// outcome colours an outcome's word.
func (p paint) outcome(word string) string {
	color := "\x1b[31m"
	switch job.Outcome(strings.TrimSpace(word)) {
	case job.Created, job.Updated:
		color = "\x1b[32m"
	case job.Unchanged, job.Superseded:
		color = "\x1b[2m"
	case job.Cancelled, job.Rejected, job.Failed:
	}
	if !p.on {
		return word
	}
	return color + word + "\x1b[0m"
}

// lines gives the lines of p that are not empty.
func lines(p []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range bytes.Lines(p) {
			if text := strings.TrimRight(manifest.Still(string(line)), " \t\n"); text != "" && !yield(text) {
				return
			}
		}
	}
}
