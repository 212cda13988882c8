package buildkit_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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
)

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
