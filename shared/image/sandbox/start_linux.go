package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// Sandbox is a running program and everything that it started. Its methods may be called from several goroutines.
type Sandbox struct {
	control *os.File
	kill    func() error
	done    chan struct{}

	mu     sync.Mutex
	closed bool
	err    error
}

// Start runs the program of s in a new sandbox and returns when it runs; ctx bounds the start only.
func Start(_ context.Context, s Spec) (*Sandbox, error) {
	in, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer in.Close()
	status, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer status.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{initName}, Env: []string{}, Dir: "/",
		Stdout: s.Log, Stderr: s.Log, ExtraFiles: []*os.File{in, out},
		SysProcAttr: &syscall.SysProcAttr{
			Pdeathsig:  syscall.SIGKILL,
			Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		},
	}
	box := &Sandbox{control: control, done: make(chan struct{})}
	started := make(chan error)
	go box.run(cmd, started)
	err = <-started
	out.Close()
	if err != nil {
		return nil, fmt.Errorf("start init: %w", err)
	}
	box.kill = cmd.Process.Kill
	if err := json.NewEncoder(control).Encode(order{Dir: s.Dir, Path: s.Path, Args: s.Args, Env: s.Env}); err != nil {
		box.Close()
		return nil, fmt.Errorf("instruct init: %w", err)
	}
	var r report
	if err := json.NewDecoder(status).Decode(&r); err != nil || r.Error != "" {
		box.Close()
		return nil, fmt.Errorf("start %s: %s %w", s.Path, r.Error, err)
	}
	return box, nil
}

// run starts init and waits for it.
func (s *Sandbox) run(cmd *exec.Cmd, started chan<- error) {
	// Pdeathsig comes when the thread ends that started the child, so this one is kept until then
	runtime.LockOSThread()
	err := cmd.Start()
	started <- err
	if err != nil {
		return
	}
	err = cmd.Wait()
	s.mu.Lock()
	if !s.closed {
		s.err = fmt.Errorf("%w: %v", ErrDied, err)
	}
	s.mu.Unlock()
	close(s.done)
}

// CgroupParent names the cgroup, as seen inside, under which foreign code must run: the limits hold there.
func (s *Sandbox) CgroupParent() string { return "/build" }

// Resolver is the DNS server that programs inside use.
func (s *Sandbox) Resolver() netip.Addr { return netip.Addr{} }

// Done is closed when the program and everything inside has ended.
func (s *Sandbox) Done() <-chan struct{} { return s.done }

// Err tells why the sandbox ended, or what it ran into: ErrMemory, ErrDisk, ErrDied, each with a sentence for people, or nil.
func (s *Sandbox) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends everything inside and gives back what the sandbox had of the machine. It is safe to repeat.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.kill()
	<-s.done
	s.control.Close()
	return nil
}
