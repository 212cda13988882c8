package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gigurra/flycd/shared/job"
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
}

// failure is a program that ended with a code that is not zero.
type failure struct {
	err  error
	last string
}

func (f *failure) Error() string { return f.err.Error() }

// run starts the program and waits. On cancellation it asks the program to stop before it ends it.
// What the program prints goes to the log, and its last lines into the failure.
func (p program) run(ctx context.Context) error {
	kept := &lastLines{to: p.log}
	cmd := exec.CommandContext(ctx, p.path, p.args...) //nolint:gosec // the arguments are made by this package
	cmd.Env = append(slices.DeleteFunc(cmd.Environ(), p.hidden), p.env...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = kept, kept
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	err := cmd.Run()
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
	mu    sync.Mutex
	to    io.Writer
	part  string
	lines []string
}

const longestLine = 2000

// Write implements io.Writer. A log that fails does not fail the build.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to != nil {
		_, _ = l.to.Write(b)
	}
	text := l.part + string(b)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		l.keep(line)
		text = rest
	}
	l.part = text[max(0, len(text)-longestLine):]
	return len(b), nil
}

func (l *lastLines) keep(line string) {
	if line = strings.TrimSpace(line); line == "" {
		return
	}
	l.lines = append(l.lines, line[:min(len(line), longestLine)])
	if len(l.lines) > keptLines {
		l.lines = l.lines[1:]
	}
}

// String gives the last lines.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(l.part)
	l.part = ""
	return strings.Join(l.lines, "\n")
}

// judge decides whether another attempt may help: a builder or a registry that cannot be reached may be
// better next time, the user's own Dockerfile will not.
func judge(what string, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return fmt.Errorf("%s: %w", what, err)
	}
	text := strings.ToLower(f.last)
	for _, sign := range passing() {
		if strings.Contains(text, sign) {
			return fmt.Errorf("%s: %w:\n%s", what, f.err, f.last)
		}
	}
	return job.Rejectf("%s: the build failed:\n%s", what, f.last)
}

// passing are the marks of failures that are not the Dockerfile's.
func passing() []string {
	return []string{
		"connection refused", "connection reset", "no such host", "i/o timeout", "tls handshake timeout",
		"context deadline exceeded", "code = unavailable", "error: listing workers", "failed to list workers",
		"temporary failure in name resolution", "unexpected eof", "broken pipe", "no space left on device",
		"too many requests", "toomanyrequests", "500 internal server error", "502 bad gateway", "503 service unavailable",
		"504 gateway timeout", "network is unreachable", "no route to host", "waiting for remote builder",
	}
}
