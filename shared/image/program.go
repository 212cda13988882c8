package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
)

const (
	keptLines = 20
	killAfter = 10 * time.Second
)

// program is a builder's program, about to run.
type program struct {
	path string
	args []string
	// env is added to the environment of this process, without the variables whose names begin with
	// one of hides.
	env   []string
	hides []string
	dir   string
	log   io.Writer
	// redact knows what is not shown, whatever prints it.
	redact manifest.Redactor
	// reads looks at what a program prints that is buildctl; nil is another.
	reads *plain
}

// failure is a program that ended with a code that is not zero.
type failure struct {
	err error
	// last is what it printed last.
	last string
	// sentence says what failed, where begins one about a line of the Dockerfile, and shown is what follows, where more is
	// known than the last lines.
	sentence, where, shown string
}

// told is a sentence and what is shown of the failure.
func (f *failure) told(sentence string) string {
	shown := f.last
	if f.sentence != "" {
		shown = f.shown
	}
	if shown == "" {
		return sentence
	}
	return sentence + ":\n" + shown
}

func (f *failure) Error() string { return f.err.Error() }

// run starts the program and waits. On cancellation it asks the program to stop before it ends it.
// What the program prints goes to the log, and its last lines into the failure.
func (p program) run(ctx context.Context) error {
	kept := &lastLines{to: p.log}
	var to io.Writer = kept
	if p.reads != nil {
		p.reads.to, to = kept, p.reads
	}
	said := p.redact.Writer(to)
	cmd := exec.CommandContext(ctx, p.path, p.args...) //nolint:gosec // the arguments are made by this package
	cmd.Env = append(slices.DeleteFunc(cmd.Environ(), p.hidden), p.env...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	err := cmd.Run()
	_ = said.Close() // lastLines takes everything
	if p.reads != nil {
		p.reads.end()
	}
	kept.end()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &failure{err: err, last: kept.String()}
	}
	return err
}

// hidden tells a variable that is not the program's business.
func (p program) hidden(variable string) bool {
	return slices.ContainsFunc(p.hides, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
}

// lastLines hands on what is printed and keeps the last lines of it.
type lastLines struct {
	to    io.Writer
	part  []byte
	lines []string
}

// longestLine is what is kept of a line.
const longestLine = 2000

// Write implements io.Writer. A log that fails does not fail the build.
func (l *lastLines) Write(b []byte) (int, error) {
	if l.to != nil {
		_, _ = l.to.Write(b)
	}
	for line := range bytes.Lines(b) {
		l.part = append(l.part, line...)
		if bytes.HasSuffix(line, []byte("\n")) {
			l.keep()
		}
	}
	l.part = l.part[:min(len(l.part), longestLine)]
	return len(b), nil
}

// end ends the last line where the program did not.
func (l *lastLines) end() {
	if len(l.part) > 0 {
		_, _ = l.Write([]byte("\n"))
	}
}

func (l *lastLines) keep() {
	if line := strings.TrimRight(string(l.part), " \t\r\n"); line != "" {
		l.lines = append(l.lines, line[:min(len(line), longestLine)])
	}
	l.lines = l.lines[max(0, len(l.lines)-keptLines):]
	l.part = l.part[:0]
}

// String gives the last lines.
func (l *lastLines) String() string { return strings.Join(l.lines, "\n") }
