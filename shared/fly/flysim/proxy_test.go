package flysim_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// public is a service on port 443 that stops by itself.
func public(cfg *flygo.MachineConfig, least int) *flygo.MachineConfig {
	stop := flygo.MachineAutostopStop
	cfg.Services = []flygo.MachineService{{
		Protocol: "tcp", InternalPort: 8080, Autostop: &stop, Autostart: ptr(true), MinMachinesRunning: &least,
		Ports: []flygo.MachinePort{{Port: ptr(443), Handlers: []string{"tls", "http"}}},
	}}
	return cfg
}

// site is the app hello with a public address, a client for it and the proxy's URL.
func site(t *testing.T, s *flysim.Server, url string) (*flaps.Client, string) {
	t.Helper()
	c := newApp(t, url, "hello")
	status, said := raw(t, http.MethodPost, url+"/v1/apps/hello/ip_assignments", `{"type":"shared_v4"}`)
	if status > 299 {
		t.Fatalf("address: %d %s", status, said)
	}
	at, err := s.ListenProxy("127.0.0.1:0", "")
	need(t, err)
	return c, at
}

// visit sends a request to a host through the proxy.
func visit(t *testing.T, proxy, host, path string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy+path, nil)
	need(t, err)
	req.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	need(t, err)
	text, err := io.ReadAll(answer.Body)
	need(t, err)
	need(t, answer.Body.Close())
	return answer.StatusCode, string(text)
}

func traffic(t *testing.T, s *flysim.Server) flysim.ProxyState {
	t.Helper()
	for _, a := range s.State().Apps {
		if a.Name == "hello" {
			return a.Proxy
		}
	}
	t.Fatal("no app hello")
	return flysim.ProxyState{}
}

func TestIdleMachineStopsAndTheNextRequestWakesIt(t *testing.T) {
	s, url := runs(t, flysim.Options{Idle: time.Hour})
	c, proxy := site(t, s, url)
	cfg := public(program("serve", "GREETING", "hej"), 0)
	cfg.StopConfig = &flygo.StopConfig{Signal: ptr("SIGTERM")}
	m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "hello", m.ID, "started")
	// the port may not answer yet: the request waits for it
	if status, got := visit(t, proxy, "hello.fly.dev", "/"); status != 200 || got != "hej" {
		t.Fatalf("%d %q", status, got)
	}
	s.Advance(40 * time.Minute)
	visit(t, proxy, "hello.fly.dev", "/")
	s.Advance(40 * time.Minute)
	if got := get(t, c, "hello", m.ID).State; got != "started" {
		t.Errorf("40 minutes after a request it is %s", got)
	}
	s.Advance(20 * time.Minute)
	waitFor(t, c, "hello", m.ID, "stopped")
	if got := machineIn(t, s, m.ID); !slices.Contains(got.Output, "ended by terminated") {
		t.Errorf("it was not asked by its kill signal: %v", got.Output)
	}
	if status, got := visit(t, proxy, "hello.localhost:4281", "/"); status != 200 || got != "hej" {
		t.Errorf("asleep: %d %q", status, got)
	}
	if got, want := traffic(t, s), (flysim.ProxyState{Requests: 3, Starts: 1, Stops: 1}); got != want {
		t.Errorf("proxy %+v, want %+v", got, want)
	}
	exit := get(t, c, "hello", m.ID).GetLatestEventOfType("exit").Request.ExitEvent
	if !exit.RequestedStop || exit.Restarting {
		t.Errorf("exit %+v", exit)
	}
}

func TestSuspendedMachineResumesTheSameProcess(t *testing.T) {
	s, url := runs(t, flysim.Options{Idle: time.Hour})
	c, proxy := site(t, s, url)
	cfg := public(program("serve", "GREETING", "hej"), 0)
	suspend := flygo.MachineAutostopSuspend
	cfg.Services[0].Autostop = &suspend
	m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "hello", m.ID, "started")
	visit(t, proxy, "hello.fly.dev", "/")
	pid := machineIn(t, s, m.ID).Pid
	s.Advance(time.Hour)
	waitFor(t, c, "hello", m.ID, "suspended")
	if status, got := visit(t, proxy, "hello.fly.dev", "/"); status != 200 || got != "hej" || machineIn(t, s, m.ID).Pid != pid {
		t.Errorf("%d %q, process %d, want %d", status, got, machineIn(t, s, m.ID).Pid, pid)
	}
}

func TestAsManyMachinesAsWantedKeepRunning(t *testing.T) {
	s, url := start(t, flysim.Options{Idle: time.Minute})
	c, _ := site(t, s, url)
	stays := map[string]bool{}
	for region, primary := range map[string]bool{"ams": true, "fra": false} {
		for range 2 {
			cfg := public(config("nginx"), 1)
			cfg.Env = map[string]string{"PRIMARY_REGION": "ams"}
			m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: cfg, Region: region})
			waitFor(t, c, "hello", m.ID, "started")
			stays[m.ID] = primary
		}
	}
	still := launch(t, c, "hello", flygo.LaunchMachineInput{Config: config("worker")})
	waitFor(t, c, "hello", still.ID, "started")
	s.Advance(time.Hour)
	running := 0
	for id, primary := range stays {
		got := get(t, c, "hello", id)
		if got.State == "started" {
			running++
			if !primary {
				t.Errorf("one outside the primary region runs")
			}
		}
	}
	if running != 1 {
		t.Errorf("%d run, want 1", running)
	}
	if got := get(t, c, "hello", still.ID).State; got != "started" {
		t.Errorf("one without a service is %s", got)
	}
}

func TestLeasedAndCordonedMachinesAreNotWoken(t *testing.T) {
	s, url := runs(t, flysim.Options{})
	c, proxy := site(t, s, url)
	m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: public(program("serve", "GREETING", "hej"), 0)})
	waitFor(t, c, "hello", m.ID, "started")
	need(t, c.Stop(t.Context(), "hello", flygo.StopMachineInput{ID: m.ID}, ""))
	waitFor(t, c, "hello", m.ID, "stopped")
	_, err := c.AcquireLease(t.Context(), "hello", m.ID, ptr(3600))
	need(t, err)
	answered := make(chan string)
	go func() {
		_, got := visit(t, proxy, "hello.fly.dev", "/")
		answered <- got
	}()
	eventually(t, "the request came", func() bool { return traffic(t, s).Requests == 1 })
	if got := traffic(t, s).Starts; got != 0 || get(t, c, "hello", m.ID).State != "stopped" {
		t.Errorf("a leased machine was woken")
	}
	s.Advance(2 * time.Hour)
	if got := <-answered; got != "hej" {
		t.Errorf("after the lease: %q", got)
	}
	need(t, c.Cordon(t.Context(), "hello", m.ID, ""))
	ctx := quick(t)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, proxy+"/", nil)
	need(t, err)
	req.Host = "hello.fly.dev"
	if answer, err := http.DefaultClient.Do(req); err == nil {
		_ = answer.Body.Close()
		t.Errorf("a cordoned machine answers: %s", answer.Status)
	}
}

func TestMachineSeesTheRequestAsFlySendsIt(t *testing.T) {
	s, url := runs(t, flysim.Options{})
	c, proxy := site(t, s, url)
	m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: public(program("serve"), 0)})
	waitFor(t, c, "hello", m.ID, "started")
	_, got := visit(t, proxy, "hello.fly.dev", "/seen?a=b", "X-Forwarded-For", "203.0.113.9")
	lines := strings.Split(got, "\n")
	for _, want := range []string{
		"GET /seen?a=b", "Host: hello.fly.dev", "X-Forwarded-For: 203.0.113.9, 127.0.0.1", "Fly-Client-Ip: 127.0.0.1", "X-Forwarded-Proto: https", "Fly-Region: ams",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the request lacks %q: %v", want, lines)
		}
	}
	if !strings.Contains(got, "Fly-Request-Id: ") {
		t.Errorf("it has no id: %v", lines)
	}
	// the same by the app's own address, and by the header
	own, err := s.AppURL("hello")
	need(t, err)
	for _, at := range []string{own, proxy} {
		if status, got := visit(t, at, "127.0.0.1", "/seen", flysim.AppHeader, "hello"); status != 200 || strings.Contains(got, flysim.AppHeader) {
			t.Errorf("%s: %d %s", at, status, got)
		}
	}
}

func TestWhatNobodyServesSaysSo(t *testing.T) {
	s, url := runs(t, flysim.Options{})
	c, proxy := site(t, s, url)
	newApp(t, url, "private")
	for host, want := range map[string]string{"other.fly.dev": "404 no app", "private.fly.dev": "404 no app", "hello.example.com": "404 no app"} {
		if status, said := visit(t, proxy, host, "/"); !strings.HasPrefix(fmt.Sprint(status, " ", said), want) {
			t.Errorf("%s: %d %s, want %s", host, status, said, want)
		}
	}
	fake := launch(t, c, "hello", flygo.LaunchMachineInput{Config: public(config("nginx"), 0)})
	waitFor(t, c, "hello", fake.ID, "started")
	if status, said := visit(t, proxy, "hello.fly.dev", "/"); status != http.StatusNotImplemented || !strings.Contains(said, "runs no program") {
		t.Errorf("a simulated machine: %d %s", status, said)
	}
	need(t, c.Destroy(t.Context(), "hello", flygo.RemoveMachineInput{ID: fake.ID, Kill: true}, ""))
	cfg := public(program("exit", "CODE", "0"), 0)
	cfg.Restart = &flygo.MachineRestart{Policy: "always"}
	ends := launch(t, c, "hello", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "hello", ends.ID, "started")
	if status, said := visit(t, proxy, "hello.fly.dev", "/"); status != http.StatusBadGateway || !strings.Contains(said, "ended before it answered") {
		t.Errorf("a program that ends: %d %s", status, said)
	}
}

// Requests that are under way count: a second machine is started when the first has its soft limit of them.
func TestLoadSpreadsOverMachines(t *testing.T) {
	s, url := runs(t, flysim.Options{})
	c, proxy := site(t, s, url)
	for range 2 {
		cfg := public(program("serve"), 0)
		cfg.Services[0].Concurrency = &flygo.MachineServiceConcurrency{Type: "requests", SoftLimit: 1, HardLimit: 1}
		m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: cfg})
		waitFor(t, c, "hello", m.ID, "started")
		need(t, c.Stop(t.Context(), "hello", flygo.StopMachineInput{ID: m.ID}, ""))
		waitFor(t, c, "hello", m.ID, "stopped")
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	by := map[string]int{}
	for range 2 {
		all.Go(func() {
			_, id := visit(t, proxy, "hello.fly.dev", "/meet") // answers when two are there
			mu.Lock()
			defer mu.Unlock()
			by[id]++
		})
	}
	for _, m := range s.State().Apps[0].Machines {
		eventually(t, "each has one", func() bool { return slices.Contains(machineIn(t, s, m.ID).Output, "waiting") })
	}
	for _, m := range s.State().Apps[0].Machines {
		raw(t, http.MethodGet, "http://"+m.Address+"/met", "")
	}
	all.Wait()
	if len(by) != 2 {
		t.Errorf("answered by %v, want one by each", by)
	}
}

func TestRunningProgramsFindTheSimulatedAddresses(t *testing.T) {
	s, url := runs(t, flysim.Options{})
	c, proxy := site(t, s, url)
	cfg := public(program("serve", "FLY_FLAPS_BASE_URL", "http://_api.internal:4280", "NEXT", "https://hello.fly.dev/next", "OTHER", "https://nobody.fly.dev"), 0)
	m := launch(t, c, "hello", flygo.LaunchMachineInput{Config: cfg})
	waitFor(t, c, "hello", m.ID, "started")
	_, env := visit(t, proxy, "hello.fly.dev", "/env")
	own := traffic(t, s).URL
	vars := strings.Split(env, "\n")
	for _, want := range []string{"FLY_FLAPS_BASE_URL=" + url, "FLY_API_BASE_URL=" + url, "NEXT=" + own + "/next", "OTHER=https://nobody.fly.dev"} {
		if !slices.Contains(vars, want) || own == "" {
			t.Errorf("the environment lacks %s: %v", want, vars)
		}
	}
	if status, _ := visit(t, own, "whatever", "/"); status != 200 {
		t.Errorf("%s answers %d", own, status)
	}
}
