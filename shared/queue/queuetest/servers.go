package queuetest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// RequireAll is the value of FLYCD_TEST_REQUIRE that turns "not installed" into a failure.
const RequireAll = "all"

// Redis starts a private redis-server that ends with the test, and returns its URL. Nothing is
// evicted and nothing is written to disk. Where redis-server is not installed the test is skipped,
// unless FLYCD_TEST_REQUIRE=all.
func Redis(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == RequireAll { //nolint:forbidigo // a switch of the test run, not a setting of the program
			tb.Fatal("redis-server is not installed, and FLYCD_TEST_REQUIRE=all")
		}
		tb.Skip("redis-server is not installed")
	}
	for range 5 {
		if url, ok := start(tb, program); ok {
			return url
		}
	}
	tb.Fatal("redis-server does not start: see the log above")
	return ""
}

// start starts a server at a port that was free a moment ago, and reports whether it is the one
// that answers there: another program may have taken the port meanwhile.
func start(tb testing.TB, program string) (url string, ok bool) {
	tb.Helper()
	// The directory of the test may be gone before the server is.
	dir, err := os.MkdirTemp("", "flycd-redis-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	port, logs := freePort(tb), filepath.Join(dir, "log")
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), program, "--port", port, "--bind", "127.0.0.1", "--dir", dir, //nolint:gosec // the program that the test asks for
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--logfile", logs)
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start redis-server: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = os.RemoveAll(dir)
	})
	url = "redis://127.0.0.1:" + port
	if ours(tb, url, dir, ended) {
		return url, true
	}
	said, _ := os.ReadFile(logs) //nolint:gosec // the log of the server that was just started
	tb.Logf("redis-server at port %s:\n%s", port, said)
	return "", false
}

// ours waits until the server answers, and reports whether it is the one that works in dir.
func ours(tb testing.TB, url, dir string, ended <-chan struct{}) bool {
	tb.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if answer, err := rdb.ConfigGet(tb.Context(), "dir").Result(); err == nil {
			return answer["dir"] == dir
		}
		select {
		case <-ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

func freePort(tb testing.TB) string {
	tb.Helper()
	var config net.ListenConfig
	l, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()[strings.LastIndex(l.Addr().String(), ":")+1:]
}

// Embedded starts an embedded Redis that ends with the test, and returns its URL.
func Embedded(tb testing.TB) string {
	tb.Helper()
	return "redis://" + miniredis.RunT(tb).Addr()
}
