package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

func TestManySandboxesAtOnce(t *testing.T) {
	w := newWorld(t)
	to := netip.AddrPortFrom(w.far, w.serve()).String()
	type result struct {
		at   netip.Addr
		said string
		err  error
	}
	results := make([]result, 8)
	var all sync.WaitGroup
	for i := range results {
		dir := t.TempDir()
		all.Go(func() {
			out := newOutput()
			box, err := sandbox.Start(t.Context(), sandbox.Spec{Dir: dir, Path: self(), Args: []string{"probe", "get", "http://" + to}, Log: out})
			if err != nil {
				results[i].err = err
				return
			}
			<-box.Done()
			results[i] = result{box.Resolver(), out.String(), box.Close()}
		})
	}
	all.Wait()
	for i, r := range results {
		if r.err != nil || !strings.HasPrefix(r.said, w.here.String()) {
			t.Errorf("sandbox %d said %q: %v", i, r.said, r.err)
		}
	}
	if left := traces(t, fmt.Sprintf("fcd%dx", os.Getpid())); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	imagetest.NeedRoot(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was cancelled")
	cancel(why)
	_, err := sandbox.Start(ctx, sandbox.Spec{Dir: t.TempDir(), Path: self(), Args: []string{"probe", "wait"}})
	if !errors.Is(err, why) {
		t.Errorf("err is %v", err)
	}
	if left := traces(t, fmt.Sprintf("fcd%dx", os.Getpid())); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestBadSpecIsTold(t *testing.T) {
	imagetest.NeedRoot(t)
	dir := t.TempDir()
	for want, s := range map[string]sandbox.Spec{
		"absolute":           {Dir: "x", Path: "/bin/true"},
		"make the folder":    {Dir: filepath.Join(dir, "absent"), Path: "/bin/true"},
		"no such program":    {Dir: dir, Path: "/absent"},
		"FLYCD_BUILD_MEMORY": {Dir: dir, Path: "/bin/true", Limits: sandbox.Limits{Memory: 1 << 20}},
		"negative":           {Dir: dir, Path: "/bin/true", Limits: sandbox.Limits{Pids: -1}},
	} {
		if _, err := sandbox.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err is %v, want %q", err, want)
		}
	}
}

// TestRuncRunsContainersInside is the one thing that a sandbox is for.
func TestRuncRunsContainersInside(t *testing.T) {
	imagetest.NeedRoot(t)
	runc, busybox := program(t, "runc"), program(t, "busybox")
	dir := t.TempDir()
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	box, out := start(t, sandbox.Spec{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}, Limits: sandbox.Limits{Pids: 60}}, "inbuild", "container", dir, runc)
	var n int
	if _, err := fmt.Sscanf(out.await(t, "container forked "), "%d", &n); err != nil || n < 5 || n > 60 {
		t.Errorf("forked %d of at most 60: %v\n%s", n, err, out)
	}
	if got := out.await(t, "foreign code ended:"); got != "<nil>" {
		t.Errorf("runc ended with %s:\n%s", got, out)
	}
	if err := box.Err(); err != nil {
		t.Error(err)
	}
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is required", name)
	}
	t.Skipf("needs %s", name)
	return ""
}

func BenchmarkStartAndClose(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		box, err := sandbox.Start(b.Context(), sandbox.Spec{Dir: dir, Path: self(), Args: []string{"probe", "wait"}})
		if err != nil {
			b.Fatal(err)
		}
		if err := box.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestProgramWithoutMainIsNotStartedAgain(t *testing.T) {
	defer sandbox.ForgetMain()()
	_, err := sandbox.Start(t.Context(), sandbox.Spec{Dir: t.TempDir(), Path: self()})
	if err == nil || !strings.Contains(err.Error(), "sandbox.Main") {
		t.Errorf("err is %v", err)
	}
}
