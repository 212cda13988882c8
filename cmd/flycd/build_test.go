package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestBuildScripts runs the scripts in testdata/build, which build with a real BuildKit.
func TestBuildScripts(t *testing.T) {
	t.Parallel()
	addr := buildkitd(t)
	commands := scriptCommands()
	commands["unwritten"] = registryUnwritten
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "build"),
		RequireExplicitExec: true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			if err := surround(t, env); err != nil {
				return err
			}
			env.Vars = append(env.Vars, "FLYCD_BUILDER=", "BUILDKIT_HOST="+addr, "REDIS_URL=")
			return staticStep(t, env.WorkDir)
		},
	})
}

// staticStep compiles the program that the steps run, for images that have nothing else.
func staticStep(t *testing.T, work string) error {
	t.Helper()
	program := filepath.Join(work, "secret", "step")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join(work, "step")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return os.Link(program, filepath.Join(work, "fails", "step"))
}

// registryUnwritten wants nothing to have been written to the registry.
func registryUnwritten(ts *testscript.TestScript, _ bool, _ []string) {
	if wrote := worldOf(ts).RegistryRequests.Matching(func(method, _ string) bool { return method != "GET" && method != "HEAD" }); len(wrote) > 0 {
		ts.Fatalf("the registry was written to: %v", wrote)
	}
}

// buildkitd starts one for the test and gives its address.
func buildkitd(t *testing.T) string {
	t.Helper()
	miss := t.Skip
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
		miss = t.Fatal
	}
	for _, program := range []string{"buildkitd", "buildctl", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			miss(program + " is not installed")
		}
	}
	if os.Geteuid() != 0 {
		miss("buildkitd needs root")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "bk.sock")
	cmd := exec.CommandContext(t.Context(), "buildkitd", "--root", filepath.Join(dir, "root"), "--addr", "unix://"+socket, "--containerd-worker=false")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			_ = conn.Close()
			return "unix://" + socket
		}
	}
	t.Fatal("buildkitd does not come up")
	return ""
}
