package imagetest

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
)

// Step is the program for steps that testdata/step is, as World.Program takes it.
const Step = "github.com/gigurra/flycd/shared/image/imagetest/testdata/step"

// World is what the tests of one program share, because it takes a while to make. It is safe for concurrent use.
type World struct {
	// Dir is a folder with a short path, which Run makes and removes.
	Dir string

	mu     sync.Mutex
	made   map[string]string
	failed map[string]error
	ends   []func()
}

// Run runs the tests, ends what they share, and gives the code to exit with.
func (w *World) Run(m *testing.M) int {
	var err error
	if w.Dir, err = os.MkdirTemp("", "world"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, end := range w.ends {
		end()
	}
	if err := os.RemoveAll(w.Dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// AtEnd calls a function when all tests have ended.
func (w *World) AtEnd(end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, end)
}

// Registry gives the host of the registry that asks for no login.
func (w *World) Registry(tb testing.TB) string {
	tb.Helper()
	Need(tb, "docker-registry")
	return w.once(tb, "registry", func(dir string) (string, error) { return w.shared(startRegistry(dir, "")) })
}

// Buildkitd gives the address of the buildkitd.
func (w *World) Buildkitd(tb testing.TB) string {
	tb.Helper()
	Need(tb, "buildkitd", "runc")
	return w.once(tb, "buildkitd", func(dir string) (string, error) { return w.shared(startBuildkitd(dir)) })
}

// Program compiles a program that a step can run without anything beside it, and gives its file. It is named by its import path, or by
// ./ and its folder.
func (w *World) Program(tb testing.TB, source string) string {
	tb.Helper()
	return w.once(tb, path.Base(source), func(dir string) (string, error) {
		file := filepath.Join(dir, path.Base(source))
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, source) //nolint:gosec,noctx // a program of the test's own
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return file, nil
	})
}

// once makes what is not made yet, in a folder of its own.
func (w *World) once(tb testing.TB, what string, makes func(dir string) (string, error)) string {
	tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made == nil {
		w.made, w.failed = map[string]string{}, map[string]error{}
	}
	if w.made[what] == "" && w.failed[what] == nil {
		dir := filepath.Join(w.Dir, what)
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			w.made[what], err = makes(dir)
		}
		w.failed[what] = err
	}
	if err := w.failed[what]; err != nil {
		tb.Fatal(err)
	}
	return w.made[what]
}

// shared has a server end with the tests. It is called by what once makes.
func (w *World) shared(s *Server, err error) (string, error) {
	if err != nil {
		return "", err
	}
	w.ends = append(w.ends, s.End)
	return s.Addr, nil
}
