package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

func TestProgramSeesOnlyItsOwn(t *testing.T) {
	dir := t.TempDir()
	var got struct {
		Env       []string
		Host, Dir string
		Procs     int
	}
	text := finish(t, sandbox.Spec{Dir: dir, Env: []string{"PATH=/usr/bin", "A=b"}}, "env")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err, text)
	}
	if want := []string{"PATH=/usr/bin", "A=b"}; !slices.Equal(got.Env, want) {
		t.Errorf("environment is %q, want %q", got.Env, want)
	}
	// init and itself
	if got.Procs != 2 || got.Host != "build" || got.Dir != dir {
		t.Errorf("got %+v", got)
	}
}

// runner runs a runner process with a secret and the probe in its sandbox, and gives its output.
func runner(t *testing.T, dir string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	imagetest.NeedRoot(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self(), append([]string{"probe", "runner", dir}, args...)...)
	cmd.Env = []string{"FLY_API_TOKEN=canary-of-the-runner"}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = out.Close() })
	return cmd, out
}

func TestRunnersSecretsAreNotSeen(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "own")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(home, "secret"), []byte("canary-on-disk"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd, out := runner(t, dir, "read", "/proc/*/environ", "/proc/*/cmdline", "/proc/*/task/*/environ", "/proc/*/root/root/*", filepath.Join(home, "s*"),
		"/etc/shadow", "/etc/ssl/private/*", "/root/*", "/home/*", "/.fly/*", "/var/run/*.sock", "/run/*", "/proc/1/cwd/etc/shadow", "/proc/*/fd/*/secret")
	text, err := io.ReadAll(out)
	if err != nil || cmd.Wait() != nil {
		t.Fatal(err, string(text))
	}
	if !strings.Contains(string(text), `read /proc/1/cmdline "flycd-sandbox-init`) {
		t.Errorf("the probe did not look:\n%s", text)
	}
	for _, secret := range []string{"canary", "root:", "read /root", "read /etc/shadow", "read /run", "read " + home + "/s"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q can be seen inside:\n%s", secret, text)
		}
	}
}

func TestRunnersOpenFilesAreNotInherited(t *testing.T) {
	imagetest.NeedRoot(t)
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for range 8 {
		f, err := os.Open(secret)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		files = append(files, f)
	}
	cmd := exec.Command(self(), "probe", "runner", dir, "read", "/proc/self/fd/0", "/proc/self/fd/[3-9]", "/proc/self/fd/[1-9][0-9]")
	cmd.ExtraFiles = files
	text, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(text), "canary") || !strings.Contains(string(text), "read /proc/self/fd/0") {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestMachinesFilesCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	text := finish(t, sandbox.Spec{Dir: dir}, "write", "/", "/usr", "/usr/bin", "/etc", "/bin", "/lib", filepath.Dir(self()), "/sys", "/proc/sys", "/sys/fs/cgroup", dir, "/tmp", "/run", "/dev/shm")
	for _, where := range []string{"/ ", "/usr ", "/usr/bin ", "/etc ", "/bin ", "/lib "} {
		if !strings.Contains(text, "write "+where+"open") || strings.Contains(text, "write "+where+"<nil>") {
			t.Errorf("%s can be written:\n%s", where, text)
		}
	}
	for _, where := range []string{dir, "/tmp", "/run", "/dev/shm"} {
		if !strings.Contains(text, "write "+where+" <nil>") {
			t.Errorf("%s cannot be written:\n%s", where, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "written")); err != nil {
		t.Error(err)
	}
	for _, outside := range []string{"/tmp/written", "/run/written", "/dev/shm/written"} {
		if _, err := os.Stat(outside); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was written outside: %v", outside, err)
		}
	}
}

func TestDangerousCapabilitiesAreDropped(t *testing.T) {
	text := finish(t, sandbox.Spec{}, "read", "/proc/self/status", "/proc/mounts")
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
		_, rest, _ := strings.Cut(text, set+`:\t`)
		var bits uint64
		if _, err := fmt.Sscanf(rest, "%x", &bits); err != nil || bits&(1<<unix.CAP_SYS_ADMIN) == 0 {
			t.Fatalf("%s is %x (%v):\n%s", set, bits, err, text)
		}
		for _, c := range []int{unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_BOOT, unix.CAP_SYS_TIME, unix.CAP_SYS_PTRACE} {
			if bits&(1<<c) != 0 {
				t.Errorf("capability %d is in %s", c, set)
			}
		}
	}
	if !strings.Contains(text, `proc /proc/sys proc ro,`) {
		t.Errorf("the kernel's switches can be written:\n%s", text)
	}
}

func TestMachinesDiskIsClosed(t *testing.T) {
	imagetest.NeedRoot(t)
	if _, err := os.Stat("/sys/fs/cgroup/devices"); err != nil {
		t.Skip("devices are closed by version 1 of cgroups only")
	}
	dir := t.TempDir()
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		t.Fatal(err)
	}
	text := finish(t, sandbox.Spec{Dir: dir}, "disk", dir, fmt.Sprint(unix.Major(s.Dev)), fmt.Sprint(unix.Minor(s.Dev)))
	if !strings.Contains(text, "open: open") || !strings.Contains(text, "operation not permitted") && !strings.Contains(text, "permission denied") {
		t.Errorf("the disk can be opened:\n%s", text)
	}
	if strings.Contains(text, "mount: <nil>") {
		t.Errorf("the disk can be mounted:\n%s", text)
	}
}

func TestDaemonEndsWithClose(t *testing.T) {
	tag := fmt.Sprintf("of-%d", os.Getpid())
	box, out := start(t, sandbox.Spec{}, "daemon", tag)
	out.await(t, "lurking")
	if len(holders(t, tag)) == 0 {
		t.Fatal("the daemon cannot be found, so this test shows nothing")
	}
	// the log's pipe is the daemon's too: Close waits for its last holder
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	ends(t, box)
	if left := holders(t, tag); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if err := box.Err(); err != nil {
		t.Errorf("a closed sandbox says %v", err)
	}
}

// holders lists the daemons that were started with a tag.
func holders(t *testing.T, tag string) []string {
	t.Helper()
	var found []string
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range lines {
		text, _ := os.ReadFile(p)
		if strings.HasPrefix(string(text), "x\x00probe\x00lurk\x00"+tag) {
			found = append(found, p)
		}
	}
	return found
}

func TestKilledRunnerTakesEverythingAlong(t *testing.T) {
	cmd, out := runner(t, t.TempDir(), "daemon", "of-killed")
	said := newOutput()
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(said, out)
		copied <- err
	}()
	said.await(t, "lurking")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// the pipe ends when its last holder is gone: runner, init, program and daemon
	if err := <-copied; err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("fcd%dx", cmd.Process.Pid)
	if left := traces(t, name); len(left) == 0 {
		t.Fatal("the killed runner left nothing, so this test shows nothing")
	}
	isWell(t)
	if left := traces(t, name); len(left) > 0 {
		t.Errorf("the next sandbox left what the killed runner had: %v", left)
	}
}

// isWell shows that the next sandbox is well.
func isWell(t *testing.T) {
	t.Helper()
	if got := finish(t, sandbox.Spec{}, "run", "well"); got != "well\n" {
		t.Errorf("the next sandbox said %q", got)
	}
}
