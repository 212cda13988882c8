package image_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The servers of this room's tests: a buildkitd that all of them share, because it takes a while to start, and Debian's
// docker-registry. They live below one temporary folder and end with the tests.

var (
	worldDir string
	worldEnd []func()
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		panic(err)
	}
	worldDir = dir
	code := m.Run()
	for _, end := range worldEnd {
		end()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// need skips a test that lacks a program, by name; with FLYCD_TEST_REQUIRE=all it fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	miss := t.Skip
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
		miss = t.Fatal
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			miss("the program " + p + " is not installed")
		}
		if p == "buildkitd" && os.Geteuid() != 0 {
			miss("buildkitd needs root")
		}
	}
}

// server is a program that serves until the tests end.
type server struct {
	host string
	cmd  *exec.Cmd
	out  *bytes.Buffer
	gone chan struct{}
}

// serve starts a program and waits until it is up.
func serve(up func() bool, program string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(program, args...), out: &bytes.Buffer{}, gone: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.gone)
	}()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if up() {
			return s, nil
		}
		select {
		case <-s.gone:
			return nil, fmt.Errorf("%s ended: %s", program, s.out)
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.end()
	return nil, errors.New(program + " does not come up")
}

func (s *server) end() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.gone
	}
}

// buildkitd gives the address of the one buildkitd.
var buildkitd = sync.OnceValues(func() (string, error) {
	addr, end, err := startBuildkitd(filepath.Join(worldDir, "buildkit"))
	if err == nil {
		worldEnd = append(worldEnd, end)
	}
	return addr, err
})

// startBuildkitd starts a buildkitd whose state is in a folder that is not there yet.
func startBuildkitd(root string) (addr string, end func(), err error) {
	socket := root + ".sock"
	up := func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	s, err := serve(up, "buildkitd", "--root", root, "--addr", "unix://"+socket, "--containerd-worker=false")
	if err != nil {
		return "", nil, err
	}
	return "unix://" + socket, s.end, nil
}

// openRegistry gives the docker-registry that asks for no login.
var openRegistry = sync.OnceValues(func() (*server, error) {
	s, err := serveRegistry("")
	if err == nil {
		worldEnd = append(worldEnd, s.end)
	}
	return s, err
})

// debianRegistry starts a docker-registry of a test's own, which opens for the user u alone.
func debianRegistry(t *testing.T, password string) string {
	t.Helper()
	need(t, "docker-registry")
	s, err := serveRegistry(password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s.host
}

func serveRegistry(password string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host := l.Addr().String()
	_ = l.Close()
	dir, err := os.MkdirTemp(worldDir, "registry")
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, host)
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return nil, err
		}
		users := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(users, append([]byte("u:"), hash...), 0o600); err != nil {
			return nil, err
		}
		conf += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", users)
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	up := func() bool {
		res, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}
	s, err := serve(up, "docker-registry", "serve", file)
	if err != nil {
		return nil, err
	}
	s.host = host
	return s, nil
}
