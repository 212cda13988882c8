package buildkit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/bcrypt"

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

// registry is a docker-registry on loopback.
type registry struct {
	host, dir string
	cmd       *exec.Cmd
}

// addr is where builds find it.
func (r registry) addr() netip.AddrPort { return netip.MustParseAddrPort(r.host) }

// openRegistry gives the registry that all tests share.
var openRegistry = sync.OnceValues(func() (registry, error) {
	r, err := serveRegistry("")
	if err == nil {
		ends = append(ends, r.end)
	}
	return r, err
})

func startRegistry(tb testing.TB, password string) registry {
	tb.Helper()
	r, err := serveRegistry(password)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.end)
	return r
}

// serveRegistry starts docker-registry; with a password it opens for the user u alone.
func serveRegistry(password string) (registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return registry{}, err
	}
	r := registry{host: l.Addr().String()}
	_ = l.Close()
	if r.dir, err = os.MkdirTemp(scratch, "registry"); err != nil {
		return registry{}, err
	}
	conf := fmt.Sprintf("version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", r.dir, r.host)
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return registry{}, err
		}
		file := filepath.Join(r.dir, "htpasswd")
		if err := os.WriteFile(file, append([]byte("u:"), hash...), 0o600); err != nil {
			return registry{}, err
		}
		conf += fmt.Sprintf("auth:\n  htpasswd:\n    realm: test\n    path: %s\n", file)
	}
	file := filepath.Join(r.dir, "config.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return registry{}, err
	}
	r.cmd = exec.Command("docker-registry", "serve", file)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go keepThread(r.cmd, started)
	if err := <-started; err != nil {
		return registry{}, err
	}
	for range 500 {
		if res, err := http.Get("http://" + r.host + "/v2/"); err == nil {
			_ = res.Body.Close()
			return r, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.end()
	return registry{}, fmt.Errorf("docker-registry does not answer at %s", r.host)
}

func (r registry) end() { _ = r.cmd.Process.Kill() }

// base pushes the image that holds /step alone, and gives its name.
func base(tb testing.TB, r registry) string {
	tb.Helper()
	return pushProgram(tb, r, "step", stepImage)
}

var (
	stepImage     = sync.OnceValues(func() (v1.Image, error) { return compile("step") })
	frontendImage = sync.OnceValues(func() (v1.Image, error) { return compile("frontend") })
)

func pushProgram(tb testing.TB, r registry, program string, made func() (v1.Image, error)) string {
	tb.Helper()
	img, err := made()
	if err != nil {
		tb.Fatal(err)
	}
	ref := r.host + "/base/" + program + ":1"
	tag, err := name.ParseReference(ref)
	if err != nil {
		tb.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		tb.Fatal(err)
	}
	return ref
}

// compile makes an image of a program of testdata.
func compile(program string) (v1.Image, error) {
	file := filepath.Join(scratch, program)
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, "./testdata/"+program)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return programImage(file, "/"+program)
}

// programImage makes an image of one program.
func programImage(program, as string) (v1.Image, error) {
	tarred, err := tarOf(program, as)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(tarred)
	if err != nil {
		return nil, err
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Entrypoint: []string{as}}})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, layer)
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
