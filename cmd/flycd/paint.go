package main

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
)

// refused reports whether err is about rights: a token, somebody else's name, a lease.
func refused(err error) bool { return errors.Is(err, fly.ErrRefused) || errors.Is(err, fly.ErrLeased) }

// paint colours a plan's lines where a person watches.
type paint struct{ on bool }

func newPaint(w io.Writer, noColor string) paint { return paint{isTerminal(w) && noColor == ""} }

// change colours a line by what it does: green creates, yellow changes, red destroys.
func (p paint) change(line string) string {
	if !p.on {
		return line
	}
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "create", "allocate":
		return "\x1b[32m" + line + "\x1b[0m"
	case "destroy", "release":
		return "\x1b[31m" + line + "\x1b[0m"
	default:
		return "\x1b[33m" + line + "\x1b[0m"
	}
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
			if text := strings.TrimSpace(string(line)); text != "" && !yield(text) {
				return
			}
		}
	}
}
