// Package imagetest is what the tests of builds need beside BuildKit: Debian's docker-registry on loopback, and base
// images that a test makes itself, since no public registry can be counted on. What is not installed skips
// a test by name, or fails it under FLYCD_TEST_REQUIRE=all.
package imagetest

import (
	"bytes"
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

// Need skips a test that lacks a program. A buildkitd wants root beside it.
func Need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			miss(tb, "the program "+p+" is not installed")
		}
		if p == "buildkitd" && os.Geteuid() != 0 {
			miss(tb, "buildkitd needs root")
		}
	}
}

func miss(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" { //nolint:forbidigo // a test's own switch
		tb.Fatal(what)
	}
	tb.Skip(what)
}

// Registry starts a docker-registry that ends with the test, and gives its host. With a password it opens for User
// alone.
func Registry(tb testing.TB, password string) string {
	tb.Helper()
	Need(tb, "docker-registry")
	host, dir := freeHost(tb), tb.TempDir()
	conf := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, host)
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			tb.Fatal(err)
		}
		users := filepath.Join(dir, "htpasswd")
		write(tb, users, User+":"+string(hash))
		conf += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", users)
	}
	file := filepath.Join(dir, "config.yml")
	write(tb, file, conf)
	Serve(tb, func() bool { return answers("http://" + host + "/v2/") }, "docker-registry", "serve", file)
	return host
}

// Buildkitd starts a buildkitd outside any sandbox, as a person may run one, and gives its address.
func Buildkitd(tb testing.TB) string {
	tb.Helper()
	Need(tb, "buildkitd", "runc")
	dir, err := os.MkdirTemp("", "bk") //nolint:usetesting // a socket wants a short path
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	up := func() bool {
		conn, err := new(net.Dialer).DialContext(tb.Context(), "unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	Serve(tb, up, "buildkitd", "--root", filepath.Join(dir, "root"), "--addr", "unix://"+socket, "--containerd-worker=false")
	return "unix://" + socket
}

// Serve starts a program that serves until the test ends, and waits until it is up.
func Serve(tb testing.TB, up func() bool, program string, args ...string) {
	tb.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // a server of the test's own; it ends with the test
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = withParent()
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// the signal of a parent's death is that of the thread which started the child
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(gone)
	}()
	if err := <-started; err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { end(cmd, gone) })
	const patience = 30 * time.Second
	for late := time.After(patience); !up(); {
		select {
		case <-gone:
			tb.Fatalf("%s ended: %s", program, said.String())
		case <-late:
			tb.Fatalf("%s does not come up within %s", program, patience)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func end(cmd *exec.Cmd, gone <-chan struct{}) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		<-gone
	}
}

func freeHost(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func answers(url string) bool {
	res, err := http.Get(url) //nolint:gosec,noctx // a server of the test's own on loopback
	if err == nil {
		_ = res.Body.Close()
	}
	return err == nil
}

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
