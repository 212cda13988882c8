package flysim_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// TestMain is also the program that machines run: ROLE in the machine's environment says which.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE") {
	case "":
		os.Exit(m.Run())
	case "serve":
		serve()
	case "exit":
		fmt.Println("going")
		code, _ := strconv.Atoi(os.Getenv("CODE"))
		os.Exit(code)
	case "stubborn":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour) // not select, which ends a process that waits for nothing
	case "parent": // leaves a child behind that hears no polite signal
		child := exec.Command("sh", "-c", "trap '' INT; echo deaf; while :; do sleep 1; done")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Println("child", child.Process.Pid)
		time.Sleep(time.Hour) // not select, which ends a process that waits for nothing
	}
}

func serve() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, os.Getenv("GREETING")) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("/seen", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
		for k, v := range r.Header {
			fmt.Fprintf(w, "%s: %s\n", k, strings.Join(v, ", "))
		}
	})
	met := make(chan struct{})
	mux.HandleFunc("/meet", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("waiting")
		<-met
		_, _ = io.WriteString(w, os.Getenv("FLY_MACHINE_ID"))
	})
	mux.HandleFunc("/met", func(http.ResponseWriter, *http.Request) { close(met) })
	mux.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	ln, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		panic(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	go func() { _ = (&http.Server{Handler: mux, ReadHeaderTimeout: time.Second}).Serve(ln) }()
	fmt.Println("serving", os.Getenv("GREETING"))
	fmt.Println("ended by", <-ended)
}

// running starts a simulator whose image "me" is this program.
func running(t *testing.T) (*flysim.Server, string) {
	t.Helper()
	return runs(t, flysim.Options{})
}

// runs is running with other options.
func runs(t *testing.T, opts flysim.Options) (*flysim.Server, string) {
	t.Helper()
	me, err := os.Executable()
	need(t, err)
	opts.Exec = map[string][]string{"registry.fly.io/me": {me}}
	return start(t, opts)
}

func program(role string, env ...string) *flygo.MachineConfig {
	cfg := config("registry.fly.io/me:1")
	cfg.Env = map[string]string{"ROLE": role}
	for i := 0; i+1 < len(env); i += 2 {
		cfg.Env[env[i]] = env[i+1]
	}
	return cfg
}

func served(greeting string) *flygo.MachineConfig {
	cfg := program("serve", "GREETING", greeting)
	cfg.Services = []flygo.MachineService{{Protocol: "tcp", InternalPort: 8080, Checks: []flygo.MachineServiceCheck{{Type: ptr("http"), HTTPPath: ptr("/")}}}}
	return cfg
}

// eventually looks until something is so; the process on the other side has no clock to move.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 1000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// Machines have networks of their own on Fly, and one here.
func TestPortOfMetricsIsAMachinesOwn(t *testing.T) {
	s, url := running(t)
	c := newApp(t, url, "hello")
	ports := map[string]bool{}
	for _, name := range []string{"one", "two"} {
		cfg := served(name)
		cfg.Env["METRICS_PORT"], cfg.Env["ANSWER"] = "9091", "9091"
		cfg.Metrics = &flygo.MachineMetrics{Port: 9091, Path: "/metrics"}
		m := launch(t, c, "hello", flygo.LaunchMachineInput{Name: name, Config: cfg})
		waitFor(t, c, "hello", m.ID, "started")
		eventually(t, "checks pass", func() bool { return get(t, c, "hello", m.ID).AllHealthChecks().AllPassing() })
		_, env := raw(t, http.MethodGet, "http://"+machineIn(t, s, m.ID).Address+"/env", "")
		for v := range strings.Lines(env) {
			if strings.HasPrefix(v, "METRICS_PORT=") {
				ports[v] = true
			}
		}
		if !strings.Contains(env, "ANSWER=9091") {
			t.Errorf("what is no port is another number: %s", env)
		}
	}
	if len(ports) != 2 || ports["METRICS_PORT=9091\n"] {
		t.Errorf("two machines have the ports %v", ports)
	}
}

func TestMappedImageAnswers(t *testing.T) {
	t.Setenv("LEAK", "nothing of the simulator's environment")
	s, url := running(t)
	c := newApp(t, url, "hello")
	_, err := c.UpdateAppSecrets(t.Context(), "hello", map[string]*string{"PASSWORD": ptr("hunter2")})
	need(t, err)
	m := launch(t, c, "hello", flygo.LaunchMachineInput{Name: "web", Config: served("hej")})
	waitFor(t, c, "hello", m.ID, "started")
	eventually(t, "checks pass", func() bool { return get(t, c, "hello", m.ID).AllHealthChecks().AllPassing() })

	at := "http://" + machineIn(t, s, m.ID).Address
	if _, got := raw(t, http.MethodGet, at, ""); got != "hej" {
		t.Errorf("got %q", got)
	}
	_, env := raw(t, http.MethodGet, at+"/env", "")
	vars := strings.Split(env, "\n")
	for _, want := range []string{"PASSWORD=hunter2", "FLY_APP_NAME=hello", "FLY_MACHINE_ID=" + m.ID, "FLY_REGION=ams", "FLY_PRIVATE_IP=" + m.PrivateIP, "GREETING=hej"} {
		if !slices.Contains(vars, want) {
			t.Errorf("the environment lacks %s: %v", want, vars)
		}
	}
	if strings.Contains(env, "LEAK=") {
		t.Error("the simulator's environment leaked")
	}
	if got := machineIn(t, s, m.ID); got.Pid == 0 || !slices.Contains(got.Output, "serving hej") {
		t.Errorf("state: pid %d, output %v", got.Pid, got.Output)
	}

	// an update stops the old process and starts a new one behind the same address
	_, err = c.Update(t.Context(), "hello", flygo.LaunchMachineInput{ID: m.ID, Config: served("hallo")}, "")
	need(t, err)
	waitFor(t, c, "hello", m.ID, "started")
	eventually(t, "the new text", func() bool { _, got := raw(t, http.MethodGet, at, ""); return got == "hallo" })
	if got := machineIn(t, s, m.ID).Output; !slices.Contains(got, "ended by interrupt") {
		t.Errorf("the old process was not asked to end: %v", got)
	}

	// ps and exec see the real thing
	ps, err := c.GetProcesses(t.Context(), "hello", m.ID)
	need(t, err)
	if len(ps) != 1 || int(ps[0].Pid) != machineIn(t, s, m.ID).Pid {
		t.Errorf("ps %+v", ps)
	}
	out, err := c.Exec(t.Context(), "hello", m.ID, &flygo.MachineExecRequest{Cmd: `sh -c 'echo $GREETING; exit 3'`})
	need(t, err)
	if out.StdOut != "hallo\n" || out.ExitCode != 3 {
		t.Errorf("exec %+v", out)
	}

	// a crash is restarted
	raw(t, http.MethodGet, at+"/die", "")
	eventually(t, "a restart", func() bool {
		got := get(t, c, "hello", m.ID)
		exit := got.GetLatestEventOfType("exit")
		return got.State == "started" && exit != nil && exit.Request.ExitEvent.ExitCode == 7
	})
	exit := get(t, c, "hello", m.ID).GetLatestEventOfType("exit").Request
	if !exit.ExitEvent.Restarting || exit.ExitEvent.RequestedStop {
		t.Errorf("exit %+v", exit.ExitEvent)
	}
}

func TestJobMachineDestroysItself(t *testing.T) {
	s, url := running(t)
	c := newApp(t, url, "jobs")
	for code := range 2 {
		cfg := program("exit", "CODE", strconv.Itoa(code))
		cfg.AutoDestroy, cfg.Restart = true, &flygo.MachineRestart{Policy: "no"}
		m := launch(t, c, "jobs", flygo.LaunchMachineInput{Config: cfg})
		waitFor(t, c, "jobs", m.ID, "destroyed")
		exit := get(t, c, "jobs", m.ID).GetLatestEventOfType("exit")
		if got, err := exit.Request.GetExitCode(); err != nil || got != code {
			t.Errorf("exit code %d %v, want %d", got, err, code)
		}
		if got := machineIn(t, s, m.ID).Output; !slices.Equal(got, []string{"going"}) {
			t.Errorf("output %v", got)
		}
	}
}

func TestStubbornProcessIsKilled(t *testing.T) {
	s, url := running(t)
	c := newApp(t, url, "stubborn")
	cfg := program("stubborn")
	cfg.StopConfig = &flygo.StopConfig{Timeout: &flygo.Duration{Duration: 50 * time.Millisecond}, Signal: ptr("SIGTERM")}
	m := launch(t, c, "stubborn", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "stubborn", m.ID, "started")
	eventually(t, "it ignores signals", func() bool { return len(machineIn(t, s, m.ID).Output) > 0 })
	need(t, c.Stop(t.Context(), "stubborn", flygo.StopMachineInput{ID: m.ID}, ""))
	waitFor(t, c, "stubborn", m.ID, "stopped")
	exit := get(t, c, "stubborn", m.ID).GetLatestEventOfType("exit").Request.ExitEvent
	if exit.Signal != int(syscall.SIGKILL) || !exit.RequestedStop || exit.Restarting {
		t.Errorf("exit %+v", exit)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	s, url := running(t)
	c := newApp(t, url, "orphans")
	m := launch(t, c, "orphans", flygo.LaunchMachineInput{Config: program("parent")})
	waitFor(t, c, "orphans", m.ID, "started")
	eventually(t, "a child", func() bool { return len(machineIn(t, s, m.ID).Output) == 2 })
	state := machineIn(t, s, m.ID)
	slices.Sort(state.Output) // "child …", "deaf"
	child, err := strconv.Atoi(strings.TrimPrefix(state.Output[0], "child "))
	need(t, err)
	need(t, s.Close())
	for _, pid := range []int{state.Pid, child} {
		eventually(t, "process "+strconv.Itoa(pid)+" is gone", func() bool { return !breathes(pid) })
	}
	need(t, s.Close()) // safe to repeat
}

// breathes tells whether a process runs; one that only waits to be collected does not.
func breathes(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	return !strings.Contains(string(text), ") Z ")
}

func TestUnknownCommandFails(t *testing.T) {
	s, url := start(t, flysim.Options{Exec: map[string][]string{"broken": {"/no/such/program"}}})
	c := newApp(t, url, "broken")
	cfg := config("broken:1")
	cfg.Restart = &flygo.MachineRestart{Policy: "no"}
	m := launch(t, c, "broken", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "broken", m.ID, "stopped")
	if got := machineIn(t, s, m.ID).Output; len(got) != 1 || !strings.Contains(got[0], "no such file") {
		t.Errorf("output %v", got)
	}
}

func TestKilledProcessIsSilent(t *testing.T) {
	s, url := running(t)
	c := newApp(t, url, "killed")
	cfg := served("hej")
	cfg.Restart = &flygo.MachineRestart{Policy: "no"}
	m := launch(t, c, "killed", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "killed", m.ID, "started")
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/wedge", "")
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/kill", "")
	waitFor(t, c, "killed", m.ID, "stopped")
	if got := machineIn(t, s, m.ID); got.Pid != 0 || slices.Contains(got.Output, "ended by interrupt") {
		t.Errorf("pid %d, output %v", got.Pid, got.Output)
	}
}

func TestSecretsNeedTheirVersion(t *testing.T) {
	s, url := running(t)
	c := newApp(t, url, "secrets")
	first, err := c.SetAppSecret(t.Context(), "secrets", "KEY", "one")
	need(t, err)
	m := launch(t, c, "secrets", flygo.LaunchMachineInput{Config: served("hej")})
	second, err := c.UpdateAppSecrets(t.Context(), "secrets", map[string]*string{"KEY": ptr("two")})
	need(t, err)
	if second.Version <= first.Version {
		t.Errorf("versions %d, %d", first.Version, second.Version)
	}
	key := func() string {
		waitFor(t, c, "secrets", m.ID, "started")
		found := ""
		eventually(t, "an answer", func() bool {
			_, env := raw(t, http.MethodGet, "http://"+machineIn(t, s, m.ID).Address+"/env", "")
			for line := range strings.SplitSeq(env, "\n") {
				if v, is := strings.CutPrefix(line, "KEY="); is {
					found = v
				}
			}
			return found != ""
		})
		return found
	}
	if got := key(); got != "one" {
		t.Errorf("at first %s", got)
	}
	update := flygo.LaunchMachineInput{ID: m.ID, Config: served("hej")}
	_, err = c.Update(t.Context(), "secrets", update, "")
	need(t, err)
	if got := key(); got != "one" {
		t.Errorf("an update without min_secrets_version got %s", got)
	}
	update.MinSecretsVersion = ptr(second.Version + 1)
	_, err = c.Update(t.Context(), "secrets", update, "")
	wantStatus(t, err, 412, "min_secrets_version 3 is not yet available on this app")
	update.MinSecretsVersion = &second.Version
	_, err = c.Update(t.Context(), "secrets", update, "")
	need(t, err)
	if got := key(); got != "two" {
		t.Errorf("an update with min_secrets_version got %s", got)
	}
}
