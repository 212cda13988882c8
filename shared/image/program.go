package image

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
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
	// masked are values that are not shown, whatever prints them.
	masked []string
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
	kept := &lastLines{to: p.log, masks: p.masked}
	cmd := exec.CommandContext(ctx, p.path, p.args...) //nolint:gosec // the arguments are made by this package
	cmd.Env = append(slices.DeleteFunc(cmd.Environ(), p.hidden), p.env...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = kept, kept
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	err := cmd.Run()
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
	mu    sync.Mutex
	to    io.Writer
	masks []string
	part  string
	lines []string
}

const (
	longestLine = 2000
	// longestPart is how long a line may become before it is handed on in parts.
	longestPart = 64 << 10
)

// Write implements io.Writer. Lines are handed on when they are whole, so that no value which is not to be shown gets by in two parts. A
// log that fails does not fail the build.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part += string(b)
	if last := strings.LastIndexByte(l.part, '\n'); last >= 0 {
		l.hand(l.part[:last+1])
		l.part = l.part[last+1:]
	}
	if len(l.part) > longestPart {
		// what stays may be the beginning of a value
		text := l.mask(l.part)
		stay := len(text) - l.longestMask()
		l.hand(text[:stay] + "\n")
		l.part = text[stay:]
	}
	return len(b), nil
}

// end hands on what no line end followed.
func (l *lastLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.part != "" {
		l.hand(l.part + "\n")
		l.part = ""
	}
}

func (l *lastLines) mask(text string) string {
	for _, m := range l.masks {
		text = strings.ReplaceAll(text, m, "***")
	}
	return text
}

// longestMask relies on masks being sorted.
func (l *lastLines) longestMask() int {
	if len(l.masks) == 0 {
		return 0
	}
	return len(l.masks[0])
}

func (l *lastLines) hand(text string) {
	text = l.mask(text)
	if l.to != nil {
		_, _ = io.WriteString(l.to, text)
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			l.lines = append(l.lines, line[:min(len(line), longestLine)])
		}
	}
	l.lines = l.lines[max(0, len(l.lines)-keptLines):]
}

// String gives the last lines.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// shortestMask is the length from which a value is hidden: hiding shorter ones would make a log unreadable, and tell them too.
const shortestMask = 6

// masks are the lines of secret values, the longest first, so that none hides a part of another only.
func masks(secrets map[string]manifest.Secret) []string {
	var out []string
	for _, s := range secrets {
		for line := range strings.Lines(s.Reveal()) {
			if line = strings.TrimSpace(line); len(line) >= shortestMask {
				out = append(out, line)
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return out
}
