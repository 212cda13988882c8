package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Start runs the program of s in a new sandbox and returns when it runs. ctx bounds the start only; the sandbox is
// there until Close. ErrUnavailable says that this machine cannot hold a sandbox and why; nothing of a sandbox that
// did not start is left. What an earlier process left behind that was killed is removed first.
func Start(ctx context.Context, s Spec) (*Sandbox, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	limits, err := s.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	s.Limits = limits
	name := newName(os.Getpid())
	group, err := findCgroup(name, limits)
	if err != nil {
		return nil, err
	}
	box := &Sandbox{spec: s, group: group, network: network{name: name, allow: s.Allow}, ended: make(chan struct{}), done: make(chan struct{})}
	if box.disk, err = watchDisk(s.Dir, s.Limits.Disk); err != nil {
		return nil, err
	}
	if err := box.start(ctx); err != nil {
		return nil, errors.Join(err, box.Close()) //nolint:contextcheck // what was made is given back, also where ctx has ended
	}
	return box, nil
}

func check(s Spec) error {
	if !called.Load() {
		return errors.New("start a sandbox: main must call sandbox.Main first, and so must TestMain")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root; run as root, or leave building to another builder", ErrUnavailable)
	}
	if !filepath.IsAbs(s.Dir) || !filepath.IsAbs(s.Path) {
		return fmt.Errorf("sandbox of %q in %q: give absolute paths", s.Path, s.Dir)
	}
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("sandbox in %s: make the folder first", s.Dir)
	}
	if info, err := os.Stat(s.Path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("start %s in a sandbox: there is no such program", s.Path)
	}
	for _, a := range s.Allow {
		if !a.Addr().Is4() {
			return fmt.Errorf("allow %s in a sandbox: there is only IPv4 inside; name an IPv4 address", a)
		}
	}
	return nil
}

// start does all that can fail halfway; Close undoes what was done.
func (s *Sandbox) start(ctx context.Context) error {
	report, err := s.fork()
	if err != nil {
		return err
	}
	defer report.Close() //nolint:errcheck // read only
	if err := s.furnish(ctx); err != nil {
		return err
	}
	if s.loops, err = listenLoops(s.pid(), s.spec.Allow); err != nil { //nolint:contextcheck // they last until Close
		return err
	}
	if err := s.instruct(ctx, report); err != nil {
		return err
	}
	if s.oom, err = watchMemory(s.group); err != nil {
		return err
	}
	s.watching.Add(1)
	go s.watch()
	return nil
}

// fork starts the init, which waits for its order, and gives the end of the pipe that its report comes by.
func (s *Sandbox) fork() (*os.File, error) {
	in, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer in.Close() //nolint:errcheck // the init has its own
	report, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make pipe: %w", err), control.Close())
	}
	defer out.Close() //nolint:errcheck // the init has its own
	s.control = control
	s.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{initName}, Env: []string{}, Dir: "/",
		Stdout: s.spec.Log, Stderr: s.spec.Log, ExtraFiles: []*os.File{in, out},
		SysProcAttr: &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL, Setsid: true,
			Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		},
	}
	started := make(chan error)
	go s.run(started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("%w: start a process in namespaces of its own (it needs all of root's capabilities): %w",
			ErrUnavailable, err), report.Close())
	}
	return report, nil
}

// run starts the init and waits for it.
func (s *Sandbox) run(started chan<- error) {
	// Pdeathsig comes when the thread ends that started the child, so this one is kept until then
	runtime.LockOSThread()
	defer close(s.ended)
	err := s.cmd.Start()
	started <- err
	if err == nil {
		s.exit = s.cmd.Wait()
	}
}

func (s *Sandbox) pid() int { return s.cmd.Process.Pid }

// furnish gives the waiting init its cgroups and its network.
func (s *Sandbox) furnish(ctx context.Context) error {
	book, err := openLedger(ctx)
	if err != nil {
		return err
	}
	defer book.close()
	// what cannot be removed is in nobody's way: names and addresses are chosen anew
	_ = sweep(s.group.trees)
	if err := s.group.up(s.pid()); err != nil {
		return err
	}
	if s.relay, err = s.network.address(s.spec, os.Getpid()); err != nil { //nolint:contextcheck // the relay lasts until Close
		return err
	}
	links, err := outward(s.spec.Allow)
	if err != nil {
		return err
	}
	if err := (filter{network: s.network, guarded: book.guarded(links)}).up(); err != nil {
		return err
	}
	if err := s.network.up(s.pid()); err != nil {
		return err
	}
	return book.forward(links)
}

// instruct tells the init what to do and hears whether it did.
func (s *Sandbox) instruct(ctx context.Context, from *os.File) error {
	deadline := time.Now().Add(30 * time.Second)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := from.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("bound the start: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = from.SetReadDeadline(time.Now()) })
	defer stop()
	o := order{
		Dir: s.spec.Dir, Path: s.spec.Path, Args: s.spec.Args, Env: s.spec.Env,
		Limits: s.spec.Limits, Trees: s.group.trees, Resolver: s.network.host,
	}
	if err := json.NewEncoder(s.control).Encode(o); err != nil {
		return fmt.Errorf("instruct init: %w", err)
	}
	var r report
	switch err := json.NewDecoder(from).Decode(&r); {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("start sandbox: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("hear from init: %w", err)
	case r.Unavailable:
		return fmt.Errorf("%w: %s", ErrUnavailable, r.Error)
	case r.Error != "":
		return fmt.Errorf("start sandbox: %s", r.Error)
	}
	return nil
}
