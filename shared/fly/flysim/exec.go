package flysim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/google/shlex"
)

// execInput is the body of exec: a command line, or a command as a list, as older clients send it.
type execInput struct {
	Cmd       string   `json:"cmd"`
	Command   []string `json:"command"`
	Stdin     string   `json:"stdin"`
	Timeout   int      `json:"timeout"`
	Container string   `json:"container"`
}

type execOutput struct {
	ExitCode   int    `json:"exit_code"`
	ExitSignal int    `json:"exit_signal"`
	StdOut     string `json:"stdout"`
	StdErr     string `json:"stderr"`
}

func (in execInput) argv() ([]string, error) {
	if len(in.Command) > 0 {
		return in.Command, nil
	}
	return shlex.Split(in.Cmd)
}

// execute runs a command beside a machine's own, in its environment. A machine that is only
// simulated knows echo, true, false and exit.
func (s *Server) execute(c *call) answer {
	var in execInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	argv, err := in.argv()
	if err != nil || len(argv) == 0 {
		return fail(http.StatusBadRequest, "invalid_argument: cmd is required")
	}
	s.mu.Lock()
	state, real := c.m.state, c.m.proc != nil
	var env []string
	if real {
		env = s.environment(c.m, c.m.home)
	}
	home := c.m.home
	s.mu.Unlock()
	if state != stateStarted {
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to exec on machine from current state: '%s'", state)
	}
	if !real {
		return ok(pretend(argv))
	}
	timeout := 30 * time.Second
	if in.Timeout > 0 {
		timeout = time.Duration(in.Timeout) * time.Second
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), timeout)
	defer cancel()
	return runBeside(ctx, argv, env, beside{home: home, stdin: in.Stdin})
}

type beside struct{ home, stdin string }

func runBeside(ctx context.Context, argv, env []string, where beside) answer {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // running what is asked for is what exec is
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, where.home, strings.NewReader(where.stdin), &stdout, &stderr
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	err := cmd.Run()
	if ctx.Err() != nil {
		return fail(http.StatusRequestTimeout, "deadline_exceeded: the command did not end in time")
	}
	out := execOutput{StdOut: stdout.String(), StdErr: stderr.String()}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		out.ExitCode, out.ExitSignal = exit.ExitCode(), deathOf(cmd)
	} else if err != nil {
		out.ExitCode, out.StdErr = 127, out.StdErr+err.Error()+"\n"
	}
	return ok(out)
}

func pretend(argv []string) execOutput {
	switch argv[0] {
	case "true":
		return execOutput{}
	case "false":
		return execOutput{ExitCode: 1}
	case "echo":
		return execOutput{StdOut: strings.Join(argv[1:], " ") + "\n"}
	}
	return execOutput{ExitCode: 127, StdErr: argv[0] + ": the machine is simulated and has no such program\n"}
}

// processStat is a line of ps.
type processStat struct {
	Pid           int            `json:"pid"`
	Stime         int            `json:"stime"`
	Rtime         int            `json:"rtime"`
	Command       string         `json:"command"`
	Directory     string         `json:"directory"`
	CPU           int            `json:"cpu"`
	RSS           int            `json:"rss"`
	ListenSockets []listenSocket `json:"listen_sockets"`
}

type listenSocket struct {
	Proto   string `json:"proto"`
	Address string `json:"address"`
}

func (s *Server) ps(c *call) answer {
	m := c.m
	if m.state != stateStarted {
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to list processes of machine from current state: '%s'", m.state)
	}
	st := processStat{Pid: 314, Rtime: int(s.now().Sub(m.updated).Seconds()), Command: strings.Join(m.spec.Init.Cmd, " "), Directory: "/", RSS: 32 << 20, ListenSockets: []listenSocket{}}
	if st.Command == "" {
		st.Command = "/" + parseImage(m.spec.Image).Repository
	}
	if m.proc != nil {
		st.Pid, st.Command, st.Directory = m.proc.cmd.Process.Pid, strings.Join(m.proc.cmd.Args, " "), m.home
	}
	for _, svc := range m.spec.Services {
		port, _ := json.Marshal(svc.InternalPort) // a number always marshals
		st.ListenSockets = append(st.ListenSockets, listenSocket{Proto: svc.Protocol, Address: "0.0.0.0:" + string(port)})
	}
	return ok([]processStat{st})
}
