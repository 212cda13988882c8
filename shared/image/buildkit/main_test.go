package buildkit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/job"
)

// The tests of this room build with a real buildkitd and runc in a real sandbox, and push to docker-registry. Base images
// are scratch, or hold the one program of testdata/step: nothing is asked of the world.

func TestMain(m *testing.M) {
	sandbox.Main()
	dir, err := os.MkdirTemp("", "bk")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	for _, end := range ends {
		end()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var (
	scratch string
	ends    []func()
)

// need skips a test that lacks a program, by name.
func need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			miss(tb, "the program "+p+" is not installed")
		}
	}
	if os.Geteuid() != 0 {
		miss(tb, "sandboxes need root")
	}
}

func miss(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
		tb.Fatal(what)
	}
	tb.Skip(what)
}

// builder gives a Builder with a folder of its own that pushes to r.
func builder(tb testing.TB, r registry) *buildkit.Builder {
	tb.Helper()
	need(tb, "buildkitd", "runc", "docker-registry")
	dir, err := os.MkdirTemp(scratch, "b") //nolint:usetesting // a short path, for the socket in it
	if err != nil {
		tb.Fatal(err)
	}
	b := &buildkit.Builder{Dir: dir, Registry: r.host, Allow: []netip.AddrPort{r.addr()}}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return b
}

// sharedBuilder gives a builder that the tests share which need none of their own, with the shared registry.
func sharedBuilder(tb testing.TB) (*buildkit.Builder, registry) {
	tb.Helper()
	need(tb, "buildkitd", "runc", "docker-registry")
	r, err := openRegistry()
	if err != nil {
		tb.Fatal(err)
	}
	return theBuilder(r.host), r
}

var theBuilder = onceFor(func(host string) *buildkit.Builder {
	b := &buildkit.Builder{Dir: filepath.Join(scratch, "shared"), Registry: host, Allow: []netip.AddrPort{netip.MustParseAddrPort(host)}}
	ends = append(ends, func() { _ = b.Close() })
	return b
})

func onceFor[V any](f func(string) V) func(string) V {
	var once sync.Once
	var v V
	return func(s string) V {
		once.Do(func() { v = f(s) })
		return v
	}
}

// folder writes a build's folder.
func folder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for file, text := range files {
		file = filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

var tags atomic.Int64

// asked gives a request under a tag and an app of its own, without cache in the registry.
func asked(tb testing.TB, files map[string]string) image.Request {
	tb.Helper()
	tag := tags.Add(1)
	return image.Request{
		Dir: folder(tb, files), App: fmt.Sprintf("app-%d", tag), Tag: fmt.Sprintf("t-%d", tag), Cache: "off", Log: tb.Output(),
	}
}

func mustBuild(tb testing.TB, b *buildkit.Builder, req image.Request) image.Reference {
	tb.Helper()
	ref, err := b.Build(context.Background(), req)
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

func wantSays(tb testing.TB, what, text string, says ...string) {
	tb.Helper()
	for _, s := range says {
		if !strings.Contains(text, s) {
			tb.Errorf("%s = %q, want one that says %q", what, text, s)
		}
	}
}

func wantRejected(tb testing.TB, err error, says ...string) {
	tb.Helper()
	if err == nil || !errors.Is(err, job.ErrRejected) {
		tb.Errorf("error = %v, want a rejection that says %q", err, says)
		return
	}
	wantSays(tb, "error", err.Error(), says...)
}

func wantRetry(tb testing.TB, err error, says ...string) {
	tb.Helper()
	if err == nil || errors.Is(err, job.ErrRejected) {
		tb.Errorf("error = %v, want one that may be tried again and says %q", err, says)
		return
	}
	wantSays(tb, "error", err.Error(), says...)
}

// processesOf gives the processes whose command line names a folder.
func processesOf(tb testing.TB, dir string) []int {
	tb.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		tb.Fatal(err)
	}
	var pids []int
	for _, file := range all {
		text, err := os.ReadFile(file)
		if pid, e := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && e == nil && strings.Contains(string(text), dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func readAll(tb testing.TB, open func() (io.ReadCloser, error)) string {
	tb.Helper()
	r, err := open()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
