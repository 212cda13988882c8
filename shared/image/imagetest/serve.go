package imagetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// User is whom a registry with a password opens for.
const User = "u"

// patience is how long a server may take to come up, and a little of it to end.
const patience = 30 * time.Second

// Registry starts a docker-registry that ends with the test, and gives its host. With a password it opens for User
// alone.
func Registry(tb testing.TB, password string) string {
	tb.Helper()
	return RegistryIn(tb, tb.TempDir(), password)
}

// RegistryIn is Registry with a folder that shows what the registry holds.
func RegistryIn(tb testing.TB, dir, password string) string {
	tb.Helper()
	Need(tb, "docker-registry")
	s, err := startRegistry(dir, password)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.End)
	return s.Addr
}

// Buildkitd starts a buildkitd outside any sandbox, as a person may run one, that ends with the test unless it is ended
// before.
func Buildkitd(tb testing.TB) *Server {
	tb.Helper()
	Need(tb, "buildkitd", "runc")
	dir, err := os.MkdirTemp("", "bk") //nolint:usetesting // a socket wants a short path
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := startBuildkitd(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.End)
	return s
}

// Server is a program that serves.
type Server struct {
	// Addr is a registry's host, or a buildkitd's address (unix://…).
	Addr string

	cmd  *exec.Cmd
	gone chan struct{}
}

// End ends the program and waits for that. It is safe to repeat.
func (s *Server) End() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(patience / 3):
		_ = s.cmd.Process.Kill()
		<-s.gone
	}
}

func startRegistry(dir, password string) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, host)
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return nil, err
		}
		users := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(users, []byte(User+":"+string(hash)), 0o600); err != nil {
			return nil, err
		}
		conf += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", users)
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	up := func() bool {
		res, err := http.Get("http://" + host + "/v2/") //nolint:noctx // a server of the test's own on loopback
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}
	return start(host, up, "docker-registry", "serve", file)
}

func startBuildkitd(dir string) (*Server, error) {
	socket := filepath.Join(dir, "s")
	up := func() bool {
		conn, err := net.Dial("unix", socket) //nolint:noctx // as above
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	return start("unix://"+socket, up, "buildkitd", "--config", os.DevNull, "--root", filepath.Join(dir, "root"), "--addr", "unix://"+socket, "--containerd-worker=false")
}

// start starts a program and waits until it is up.
func start(addr string, up func() bool, program string, args ...string) (*Server, error) {
	var said bytes.Buffer
	s := &Server{Addr: addr, gone: make(chan struct{})}
	s.cmd = exec.Command(program, args...) //nolint:gosec,noctx // a server of the test's own; it ends with the test
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	s.cmd.SysProcAttr = withParent()
	started := make(chan error)
	go func() {
		// the signal of a parent's death is that of the thread which started the child
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.gone)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	for late := time.After(patience); !up(); {
		select {
		case <-s.gone:
			return nil, fmt.Errorf("%s ended: %s", program, said.String())
		case <-late:
			s.End()
			return nil, fmt.Errorf("%s does not come up within %s", program, patience)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return s, nil
}
