package flysim

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is the command that a machine runs on this host.
type process struct {
	cmd    *exec.Cmd
	how    stopOrder
	ended  chan struct{}
	cancel context.CancelFunc
	oom    bool
	// code overrides how the process ended, for an exit that was asked for.
	code *int
	// api is the machine's own, on a socket in its home.
	api *http.Server

	mu     sync.Mutex
	timer  *time.Timer
	killAt time.Time
}

// spawn starts the machine's command, if its image has one. It reports whether it has.
func (s *Server) spawn(m *machine) bool {
	argv := s.command(m.spec.Image)
	if len(argv) == 0 {
		return false
	}
	if own := m.commandLine(); m.hasEnd() && len(own) > 0 {
		argv = own
	}
	if s.closed {
		return true
	}
	home, err := s.homeOf(m)
	if err == nil {
		err = s.allotPorts(m)
	}
	if err == nil {
		err = s.run(m, argv, home)
	}
	if err != nil {
		s.say(m, "flysim: start "+argv[0]+": "+err.Error())
		s.exited(m, exitEvent{ExitCode: 127})
	}
	return true
}

func (s *Server) run(m *machine, argv []string, home string) error {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{how: m.stopOrder(), ended: make(chan struct{}), cancel: cancel}
	p.cmd = exec.Command(argv[0], argv[1:]...) //nolint:noctx,gosec // the command is the caller's, and signals end it
	p.cmd.Env, p.cmd.Dir = s.environment(m, home), home
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipes
	out := &lines{say: func(line string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.say(m, line)
	}}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	ownGroup(p.cmd)
	api, err := s.serveMachine(m, home)
	if err != nil {
		cancel()
		return err
	}
	if err := p.cmd.Start(); err != nil {
		cancel()
		_ = api.Close() // nobody was served
		return err
	}
	m.proc, p.api = p, api
	s.wg.Add(2)
	go s.reap(m, p, out)
	go s.probe(ctx, m, p)
	return nil
}

// reap waits for the end of the process and tells the machine.
func (s *Server) reap(m *machine, p *process, out *lines) {
	defer s.wg.Done()
	_ = p.cmd.Wait() // how it ended is in the ProcessState
	out.flush()
	signalGroup(p.cmd, syscall.SIGKILL) // what it left behind
	p.over()
	s.mu.Lock()
	defer s.mu.Unlock()
	m.proc = nil
	exit := exitEvent{ExitCode: p.cmd.ProcessState.ExitCode(), OOMKilled: p.oom}
	if sig := deathOf(p.cmd); sig != 0 {
		exit.ExitCode, exit.Signal, exit.GuestSignal = 128+sig, sig, sig
	}
	if p.code != nil {
		exit = exitEvent{ExitCode: *p.code}
	}
	if !s.closed && m.alive() {
		s.exited(m, exit)
	}
}

// signal sends a signal to the whole group. The group exists until the process has been reaped.
func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.ended:
	default:
		signalGroup(p.cmd, sig)
	}
}

func (p *process) kill() { p.signal(syscall.SIGKILL) }

// stop asks the process to end, and ends it after the timeout; the shortest timeout counts.
func (p *process) stop(how stopOrder) {
	p.signal(how.signal)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now().Add(how.timeout)
	if p.timer != nil && p.killAt.Before(at) {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.killAt, p.timer = at, time.AfterFunc(how.timeout, p.kill)
}

// over releases what stop set up.
func (p *process) over() {
	p.cancel()
	_ = p.api.Close() // its only caller is gone
	close(p.ended)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// end is stop, and waiting.
func (p *process) end(grace time.Duration) {
	p.signal(contSignal)
	p.stop(stopOrder{signal: p.how.signal, timeout: min(grace, p.how.timeout)})
	<-p.ended
}

// running lists the processes that are not ended. The caller holds the lock.
func (s *Server) running() []*process {
	var all []*process
	for _, a := range s.apps {
		for _, m := range a.machines {
			if m.proc != nil {
				all = append(all, m.proc)
			}
		}
	}
	return all
}

// environment is all that the command knows of the world.
func (s *Server) environment(m *machine, home string) []string {
	env := map[string]string{}
	if !m.skipSecrets {
		maps.Copy(env, m.app.secrets.history[m.secretsVersion])
	}
	maps.Copy(env, m.spec.Env)
	for k, v := range map[string]string{
		"FLY_APP_NAME": m.app.name, "FLY_MACHINE_ID": m.id, "FLY_ALLOC_ID": m.id, "FLY_REGION": m.region,
		"FLY_PRIVATE_IP": m.ip, "FLY_MACHINE_VERSION": m.instance, "FLY_IMAGE_REF": m.spec.Image,
		"FLY_PROCESS_GROUP": m.spec.ProcessGroup(), "FLY_VM_MEMORY_MB": strconv.Itoa(m.guestMemory()),
		"PATH": s.opts.Path, "HOME": home, "TMPDIR": filepath.Join(home, "tmp"),
		"FLYCD_FLY_SOCKET": filepath.Join(home, socketName),
	} {
		env[k] = v
	}
	m.translatePorts(env)
	for i, inside := range m.internalPorts() {
		port := strconv.Itoa(m.ports[inside])
		env["PORT_"+strconv.Itoa(inside)] = port
		if i == 0 {
			env["PORT"] = port
		}
	}
	s.translate(env)
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}

// internalPorts are the ports that something outside talks to: services first, then checks, then metrics.
func (m *machine) internalPorts() []int {
	var ports []int
	add := func(port *int) {
		if port != nil && !slices.Contains(ports, *port) {
			ports = append(ports, *port)
		}
	}
	for _, svc := range m.spec.Services {
		add(&svc.InternalPort)
	}
	for _, name := range slices.Sorted(maps.Keys(m.spec.Checks)) {
		add(m.spec.Checks[name].Port)
	}
	if m.spec.Metrics != nil && m.spec.Metrics.Port > 0 {
		add(&m.spec.Metrics.Port)
	}
	return ports
}

// allotPorts finds a free loopback port for each internal one. A port stays with its machine.
func (s *Server) allotPorts(m *machine) error {
	for _, inside := range m.internalPorts() {
		for m.ports[inside] == 0 {
			port, err := freePort()
			if err != nil {
				return fmt.Errorf("find a free port: %w", err)
			}
			if !s.allotted(port) {
				m.ports[inside] = port
			}
		}
	}
	return nil
}

// allotted tells whether a port is a machine's that may not have bound it yet.
func (s *Server) allotted(port int) bool {
	for _, a := range s.apps {
		for _, m := range a.machines {
			if m.alive() && slices.Contains(slices.Collect(maps.Values(m.ports)), port) {
				return true
			}
		}
	}
	return false
}

func freePort() (int, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, _ := ln.Addr().(*net.TCPAddr)
	return addr.Port, ln.Close()
}

func (s *Server) homeOf(m *machine) (string, error) {
	if m.home != "" {
		return m.home, nil
	}
	if s.homes == "" {
		dir, err := os.MkdirTemp("", "flysim-")
		if err != nil {
			return "", fmt.Errorf("make a home: %w", err)
		}
		s.homes = dir
	}
	home := filepath.Join(s.homes, m.id)
	if err := os.MkdirAll(filepath.Join(home, "tmp"), 0o700); err != nil {
		return "", fmt.Errorf("make a home: %w", err)
	}
	m.home = home
	return home, nil
}

func (s *Server) dropHome(m *machine) {
	if m.home != "" {
		_ = os.RemoveAll(m.home) // Close tries again
		m.home = ""
	}
}
