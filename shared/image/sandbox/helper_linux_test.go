package sandbox_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

// output is what a sandboxed program says, line by line.
type output struct {
	mu    sync.Mutex
	all   bytes.Buffer
	lines chan string
	pipe  *io.PipeWriter
}

func newOutput() *output {
	r, w := io.Pipe()
	o := &output{lines: make(chan string, 10000), pipe: w}
	go func() {
		for scan := bufio.NewScanner(r); scan.Scan(); {
			o.lines <- scan.Text()
		}
		close(o.lines)
	}()
	return o
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.all.Write(b)
	o.mu.Unlock()
	return o.pipe.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// await waits for a line that begins so, and gives the rest of it.
func (o *output) await(t *testing.T, begin string) string {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		select {
		case line, ok := <-o.lines:
			if !ok {
				t.Fatalf("nothing said %q; all that was said:\n%s", begin, o)
			}
			if rest, found := strings.CutPrefix(line, begin); found {
				return strings.TrimSpace(rest)
			}
		case <-late:
			t.Fatalf("nothing said %q in time; all that was said:\n%s", begin, o)
		}
	}
}

// start runs a probe in a sandbox that the test closes at its end.
func start(t *testing.T, s sandbox.Spec, args ...string) (*sandbox.Sandbox, *output) {
	t.Helper()
	imagetest.NeedRoot(t)
	out := newOutput()
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	s.Path, s.Args, s.Log = self(), append([]string{"probe"}, args...), out
	box, err := sandbox.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box, out
}

// finish runs a probe in a sandbox to its end and gives what it said.
func finish(t *testing.T, s sandbox.Spec, args ...string) string {
	t.Helper()
	box, out := start(t, s, args...)
	ends(t, box)
	if err := box.Err(); !errors.Is(err, sandbox.ErrDied) {
		t.Errorf("err after the end: %v", err)
	}
	return out.String()
}

// ends waits for the end of a sandbox.
func ends(t *testing.T, box *sandbox.Sandbox) {
	t.Helper()
	select {
	case <-box.Done():
	case <-time.After(60 * time.Second):
		t.Fatal("the sandbox does not end")
	}
}
