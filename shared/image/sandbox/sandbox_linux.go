package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Sandbox is a running program and everything that it started. Its methods may be called from several goroutines.
type Sandbox struct {
	spec    Spec
	group   cgroup
	network network
	cmd     *exec.Cmd
	control *os.File
	relay   *relay
	loops   *loops
	oom     oom
	disk    *disk

	// ended is closed when init is gone, and exit then tells how; done when that was judged.
	ended, done chan struct{}
	exit        error
	watching    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	// met is what it ran into, the first of it.
	met error

	closing  sync.Once
	closeErr error
}

// CgroupParent names the cgroup, as seen inside, under which foreign code must run: its limits hold there. The program
// itself is in another, so that it survives what foreign code uses up.
func (s *Sandbox) CgroupParent() string { return "/" + buildGroup }

// Resolver is the DNS server that programs inside use; /etc/resolv.conf inside names it.
func (s *Sandbox) Resolver() netip.Addr { return s.network.host }

// Done is closed when the program has ended, and with it everything inside.
func (s *Sandbox) Done() <-chan struct{} { return s.done }

// Err tells what the sandbox ran into, or why it ended, each with a sentence for people: ErrMemory (it may run on: the
// kernel kills what took too much), ErrDisk or ErrDied (it has ended, or does at once), or nil. It looks at the moment
// that it is called. After Close it tells what was known before.
func (s *Sandbox) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.look()
	}
	return s.met
}

// look notes the first thing that the sandbox has run into. s.mu is held.
func (s *Sandbox) look() {
	if s.met != nil {
		return
	}
	if s.oom.happened() {
		s.met = fmt.Errorf("%w: the build needed more than its limit of %s; build with less, "+
			"give the runner more memory (FLYCD_RUNNER_SIZE), or raise FLYCD_BUILD_MEMORY", ErrMemory, human(s.spec.Limits.Memory))
		return
	}
	if s.met = s.disk.full(); s.met != nil {
		// what goes on writing would fill the disk
		_ = s.cmd.Process.Kill()
	}
}

// watch looks until the sandbox ends.
func (s *Sandbox) watch() {
	defer s.watching.Done()
	defer close(s.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			s.judge()
			return
		case <-tick.C:
			s.mu.Lock()
			s.look()
			s.mu.Unlock()
		}
	}
}

// judge notes why the program ended.
func (s *Sandbox) judge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.look()
	if s.met == nil {
		s.met = fmt.Errorf("%w: %s", ErrDied, ending(s.exit))
	}
}

// ending says how the program ended; its init ends as it did.
func ending(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "it ended by itself"
	case !errors.As(err, &exit):
		return err.Error()
	case exit.ExitCode() > 128:
		return "it was killed: " + syscall.Signal(exit.ExitCode()-128).String()
	}
	return exit.String()
}

// Close ends everything inside at once and gives back what the sandbox had of the machine: processes, links, rules,
// cgroups. Dir is the caller's to remove. It is safe to repeat.
func (s *Sandbox) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Sandbox) close() error {
	s.mu.Lock()
	s.look()
	s.closed = true
	s.mu.Unlock()
	if s.cmd != nil && s.cmd.Process != nil {
		// fails only where it is gone
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.watching.Wait()
	var errs []error
	if s.control != nil {
		errs = append(errs, s.control.Close())
	}
	errs = append(errs, s.relay.close(), s.loops.close(), s.oom.close(), s.giveBack())
	return errors.Join(errs...)
}

// giveBack removes what the machine held for the sandbox.
func (s *Sandbox) giveBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	book, err := openLedger(ctx)
	if err != nil {
		return err
	}
	defer book.close()
	errs := []error{s.network.down(), s.group.down()}
	still, err := others(s.network.name)
	if errs = append(errs, err); err == nil && !still {
		errs = append(errs, book.restore())
	}
	return errors.Join(errs...)
}
