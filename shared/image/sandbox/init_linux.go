package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is how a process knows that it is a sandbox's init.
const initName = "flycd-sandbox-init"

// called is whether Main was: a program without it, started again as an init, would do all its work once more.
//
//nolint:gochecknoglobals // what main has done is a fact of the whole process
var called atomic.Bool

// Main must be called first by main, and by the TestMain of tests that start sandboxes: where this process was
// started as the init of a sandbox, it never returns. Everywhere else it does nothing; without it Start fails.
func Main() {
	if len(os.Args) == 0 || os.Args[0] != initName {
		called.Store(true)
		return
	}
	os.Exit(initMain()) //nolint:forbidigo // this is the main of another process
}

// initMain is the first process of a sandbox: it makes the sandbox's view of the machine, starts the program, buries
// the dead and ends with the program. The kernel kills everything inside when it ends.
func initMain() int {
	// namespaces and capabilities belong to a thread: the program is started by the one that has them
	runtime.LockOSThread()
	control, status := os.NewFile(3, "control"), os.NewFile(4, "status")
	if err := keepFiles(); err != nil {
		return 1
	}
	var o order
	if err := json.NewDecoder(control).Decode(&o); err != nil {
		return 1
	}
	go func() {
		// nobody writes more: this ends when the runner does, however that happens
		_, _ = io.Copy(io.Discard, control)
		os.Exit(1) //nolint:forbidigo // with this process everything inside ends
	}()
	pid, err := o.start()
	r := report{Unavailable: errors.Is(err, ErrUnavailable)}
	if err != nil {
		r.Error = err.Error()
	}
	if json.NewEncoder(status).Encode(r) != nil || err != nil {
		return 1
	}
	_ = status.Close()
	return reap(pid)
}

// keepFiles lets the program inherit nothing but what it is given: this process may have got files from the runner
// that the runner itself was started with.
func keepFiles() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	for _, f := range open {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// start makes the sandbox's view of the machine and the program in it.
func (o order) start() (pid int, err error) {
	for _, step := range []func() error{o.settle, o.enterRoot, o.limit, o.quiet, dropCapabilities} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return 0, fmt.Errorf("open standard input: %w", err)
	}
	//nolint:gosec // the program that the sandbox is for
	pid, err = syscall.ForkExec(o.Path, append([]string{o.Path}, o.Args...), &syscall.ProcAttr{
		Dir: o.Dir, Env: o.Env, Files: []uintptr{null.Fd(), 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", o.Path, err)
	}
	return pid, nil
}

// settle leaves the machine's cgroups, name and favour.
func (o order) settle() error {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("%w: unshare cgroups: %w", ErrUnavailable, err)
	}
	if err := unix.Sethostname([]byte("build")); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	// where the whole machine runs out of memory, the build goes before the runner
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0o600); err != nil {
		return fmt.Errorf("set oom_score_adj: %w", err)
	}
	unix.Umask(0o022)
	return nil
}

// quiet switches off IPv6 in the sandbox's network, where the kernel has it.
func (o order) quiet() error {
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0o600)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("switch off IPv6: %w", err)
		}
	}
	// from here on the machine's own switches can only be read
	return lockProc()
}

// reap waits for the program and for all orphans, and gives the exit code of the program.
func reap(program int) int {
	for {
		var s unix.WaitStatus
		pid, err := unix.Wait4(-1, &s, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 1
		case pid == program && s.Signaled():
			return 128 + int(s.Signal())
		case pid == program && s.Exited():
			return s.ExitStatus()
		}
	}
}

// dropCapabilities takes from this thread, for what it starts, what neither buildkitd nor runc needs and what would
// open the machine to somebody who took one of them over.
func dropCapabilities() error {
	for _, c := range []uintptr{
		unix.CAP_DAC_READ_SEARCH, // opens files by number, past all mounts
		unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_BOOT, unix.CAP_SYS_TIME, unix.CAP_SYS_PACCT,
		unix.CAP_SYS_PTRACE, unix.CAP_SYSLOG, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE, unix.CAP_AUDIT_CONTROL,
		unix.CAP_AUDIT_READ, unix.CAP_WAKE_ALARM, unix.CAP_BLOCK_SUSPEND, unix.CAP_LINUX_IMMUTABLE,
		unix.CAP_SYS_TTY_CONFIG, unix.CAP_IPC_OWNER, unix.CAP_PERFMON, unix.CAP_CHECKPOINT_RESTORE,
	} {
		// an older kernel does not know the newest ones
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}
