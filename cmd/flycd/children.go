package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gigurra/flycd/shared/launch"
)

// children are runners that are processes of this machine: what Fly Machines are to the dispatcher.
// It is safe for concurrent use.
type children struct {
	argv, env []string
	out       io.Writer

	mu      sync.Mutex
	running map[string]*child
	work    sync.WaitGroup
}

type child struct {
	machine launch.Machine
	cmd     *exec.Cmd
}

// Launch starts the runner, or finds the one that runs.
func (c *children) Launch(_ context.Context, r launch.Runner) (launch.Machine, error) {
	name := launch.Name(r.Job.ID, r.Attempt)
	c.mu.Lock()
	defer c.mu.Unlock()
	if there, ok := c.running[name]; ok {
		return there.machine, nil
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...) //nolint:gosec,noctx // this very program; it outlives the request that launched it
	cmd.Env = append(append([]string(nil), c.env...), "FLYCD_JOB="+string(r.Job.ID), "FLYCD_ATTEMPT="+strconv.Itoa(r.Attempt),
		"FLYCD_DEADLINE="+r.Deadline.UTC().Format(time.RFC3339), "FLY_MACHINE_ID="+name)
	cmd.Stdout, cmd.Stderr = c.out, c.out
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return launch.Machine{}, fmt.Errorf("start a runner: %w: %w", err, launch.ErrNothingMade)
	}
	m := launch.Machine{ID: name, Name: name, State: "started", Created: time.Now(), Job: r.Job.ID, Attempt: r.Attempt}
	if c.running == nil {
		c.running = map[string]*child{}
	}
	c.running[name] = &child{m, cmd}
	c.work.Go(func() { c.reap(name, cmd) })
	return m, nil
}

// reap takes the child's end. What became of the job is in Redis.
func (c *children) reap(name string, cmd *exec.Cmd) {
	_ = cmd.Wait()
	c.mu.Lock()
	delete(c.running, name)
	c.mu.Unlock()
}

// List gives the runners that run.
func (c *children) List(context.Context) ([]launch.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]launch.Machine, 0, len(c.running))
	for _, there := range c.running {
		list = append(list, there.machine)
	}
	return list, nil
}

// End kills a runner. One that is gone is no error.
func (c *children) End(_ context.Context, m launch.Machine) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there, ok := c.running[m.Name]; ok {
		return there.cmd.Process.Kill()
	}
	return nil
}

// wait tells all runners to finish the step at hand and give their jobs back, and waits for them.
func (c *children) wait() {
	c.mu.Lock()
	for _, there := range c.running {
		_ = there.cmd.Process.Signal(syscall.SIGTERM)
	}
	c.mu.Unlock()
	c.work.Wait()
}
