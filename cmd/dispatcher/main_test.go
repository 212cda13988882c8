package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

func run1(args []string, vars ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, environment{vars: vars, out: &out, err: &errs})
	return code, out.String(), errs.String()
}

func whole(redis string) []string {
	return []string{
		"FLYCD_WEBHOOK_SECRET=old, new", "REDIS_URL=" + redis, "FLY_API_TOKEN=fly-token", "FLYCD_RUNNER_APP=runners", "FLYCD_RUNNER_IMAGE=runner:1",
		"FLYCD_CONFIG_REPOS=https://github.com/Codertocat/Hello-World#apps, https://github.com/me/other@main", "PORT=0", "FLYCD_PRIVATE_PORT=0",
		"FLYCD_LOG=json,debug", "FLYCD_NEXT_TOKEN=next-token", "FLYCD_NEXT_URL=https://d.fly.dev/next",
	}
}

func TestHelpNamesEverySetting(t *testing.T) {
	code, out, _ := run1([]string{"--help"})
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, name := range []string{
		"FLYCD_WEBHOOK_SECRET", "FLYCD_WEBHOOK_SECRET_FILE", "REDIS_URL", "REDIS_URL_FILE", "FLYCD_REDIS_PREFIX", "FLYCD_CONFIG_REPOS", "FLY_API_TOKEN", "FLY_API_TOKEN_FILE",
		"FLY_FLAPS_BASE_URL", "FLYCD_RUNNER_APP", "FLYCD_RUNNER_IMAGE", "FLYCD_RUNNER_REGION", "FLYCD_RUNNER_SIZE", "FLYCD_MAX_RUNNERS", "FLYCD_NEXT_URL", "FLYCD_NEXT_TOKEN",
		"FLYCD_NEXT_TOKEN_FILE", "PORT", "FLYCD_PRIVATE_PORT", "FLYCD_LOG",
	} {
		if !strings.Contains(out, " "+name+" ") {
			t.Errorf("--help does not name %s", name)
		}
	}
}

// TestBadSettingsAreSaidInOneGo holds that it does not start half set up, and says what to do.
func TestBadSettingsAreSaidInOneGo(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		vars []string
		want []string
	}{
		"nothing is set":  {want: []string{"FLYCD_WEBHOOK_SECRET is not set", "REDIS_URL is not set", "FLY_API_TOKEN is not set", "FLYCD_RUNNER_APP is not set", "FLYCD_RUNNER_IMAGE is not set"}},
		"an empty secret": {vars: []string{"FLYCD_WEBHOOK_SECRET=, ,"}, want: []string{"FLYCD_WEBHOOK_SECRET is not set"}},
		"a size":          {vars: []string{"FLYCD_RUNNER_SIZE=huge"}, want: []string{"FLYCD_RUNNER_SIZE", "shared-cpu-1x"}},
		"a number":        {vars: []string{"FLYCD_MAX_RUNNERS=many"}, want: []string{"many"}},
		"no runner":       {vars: []string{"FLYCD_MAX_RUNNERS=0"}, want: []string{"FLYCD_MAX_RUNNERS=0"}},
		"a level":         {vars: []string{"FLYCD_LOG=loud"}, want: []string{"FLYCD_LOG", "debug, info"}},
		"a Redis":         {vars: []string{"REDIS_URL=http://user:hunter2@x"}, want: []string{"REDIS_URL"}},
		"a missing file":  {vars: []string{"FLYCD_WEBHOOK_SECRET_FILE=/none"}, want: []string{"/none"}},
		"a config repo":   {vars: []string{"FLYCD_CONFIG_REPOS=#x"}, want: []string{"FLYCD_CONFIG_REPOS", "URL[@ref][#path]"}},
		"an argument":     {args: []string{"serve"}, want: []string{"serve", "--help"}},
		"a port in use":   {vars: []string{"PORT=99999"}, want: []string{"port"}},
	} {
		vars := c.vars
		if name != "nothing is set" {
			vars = append(whole("redis://127.0.0.1:1"), c.vars...)
		}
		code, _, errs := run1(c.args, vars...)
		if code == 0 || code == 2 && strings.Contains(errs, "goroutine") {
			t.Errorf("%s: exit %d %s", name, code, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: no word about %s in %s", name, want, errs)
			}
		}
		if strings.Contains(errs, "hunter2") {
			t.Errorf("%s: the password is told: %s", name, errs)
		}
	}
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	dir, vars := t.TempDir(), []string{"FLYCD_RUNNER_APP=a", "FLYCD_RUNNER_IMAGE=i"}
	for _, name := range []string{"FLYCD_WEBHOOK_SECRET", "REDIS_URL", "FLY_API_TOKEN", "FLYCD_NEXT_TOKEN"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("of "+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		vars = append(vars, name+"_FILE="+file)
	}
	c, err := readConfig(vars)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Secrets, []string{"of FLYCD_WEBHOOK_SECRET"}) || c.RedisURL != "of REDIS_URL" || c.APIToken != "of FLY_API_TOKEN" || c.NextToken != "of FLYCD_NEXT_TOKEN" {
		t.Errorf("got %+v", c)
	}
}

// TestNoSecretIsHandedToRunners holds a machine's environment, which can be read back, free of them.
func TestNoSecretIsHandedToRunners(t *testing.T) {
	vars := whole("redis://user:hunter2@x")
	c, err := readConfig(vars)
	if err != nil {
		t.Fatal(err)
	}
	env := c.runnerEnv(vars)
	if env["FLYCD_NEXT_URL"] != "https://d.fly.dev/next" || env["FLYCD_LOG"] != "json,debug" {
		t.Errorf("handed on %v", env)
	}
	for k, v := range env {
		for _, secret := range []string{"hunter2", "fly-token", "next-token", "new"} {
			if strings.Contains(v, secret) {
				t.Errorf("%s=%s holds a secret", k, v)
			}
		}
	}
}

// TestBinaryIsSmallAndLinksLittle holds what wakes from a slow disk to what it needs.
func TestBinaryIsSmallAndLinksLittle(t *testing.T) {
	bin := build(t)
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 10<<20 {
		t.Errorf("%d bytes, want at most 10 MB", info.Size())
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, bad := range []string{
			"github.com/superfly/fly-go", "github.com/go-git/", "github.com/moby/", "github.com/google/go-containerregistry", "github.com/gigurra/flycd/shared/manifest",
			"github.com/gigurra/flycd/shared/deploy", "github.com/gigurra/flycd/shared/source", "github.com/gigurra/flycd/shared/fly", "github.com/gigurra/flycd/runner",
			"text/template", "html/template", "net/http/pprof", "testing", "github.com/alicebob/",
		} {
			if strings.HasPrefix(dep, bad) {
				t.Errorf("it links %s", dep)
			}
		}
	}
}

// build makes the binary as Dockerfile.dispatcher does.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "dispatcher")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// TestSignalsEndTheBinaryCleanly runs the real thing: a push that Fly is slow to serve is answered
// although the signal comes meanwhile, and the process then ends with 0.
func TestSignalsEndTheBinaryCleanly(t *testing.T) {
	bin := build(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			sim := flysim.New(flysim.Options{Tokens: []string{"fly-token"}})
			defer func() { _ = sim.Close() }()
			asked := make(chan struct{}, 100)
			fly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/machines") {
					asked <- struct{}{}
				}
				sim.ServeHTTP(w, r)
			}))
			defer fly.Close()
			send(t, fly.URL, http.MethodPost, "/v1/apps", `{"app_name":"runners","name":"runners","org_slug":"personal"}`)
			send(t, fly.URL, http.MethodPut, "/_sim/faults", `[{"match":{"method":"POST","path":"/v1/apps/runners/machines"},"do":{"delay_ms":700}}]`)
			p := start(t, bin, append(whole(queuetest.Embedded(t)), "FLY_FLAPS_BASE_URL="+fly.URL))
			answered := make(chan string, 1)
			go func() { answered <- pushTo(p.public) }()
			<-asked
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if got := <-answered; !strings.HasPrefix(got, "202 ") {
				t.Errorf("answered %s", got)
			}
			if err := p.wait(t); err != nil {
				t.Errorf("ended with %v\n%s", err, p.log())
			}
			if got := send(t, fly.URL, http.MethodGet, "/v1/apps/runners/machines", ""); strings.Count(got, `"flycd_job"`) != 1 {
				t.Errorf("machines: %s", got)
			}
			for _, secret := range []string{"fly-token", "next-token", "old", "new"} {
				if strings.Contains(p.log(), `"`+secret) {
					t.Errorf("the log holds %s:\n%s", secret, p.log())
				}
			}
		})
	}
}

// process is the running binary.
type process struct {
	cmd             *exec.Cmd
	public, private string
	lines           chan string
	text            bytes.Buffer
	read            chan struct{}
}

func start(t *testing.T, bin string, vars []string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), bin), lines: make(chan string, 100), read: make(chan struct{})}
	p.cmd.Env = vars
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.read)
		defer close(p.lines)
		for s := bufio.NewScanner(pipe); s.Scan(); {
			p.text.WriteString(s.Text() + "\n")
			select {
			case p.lines <- s.Text():
			default:
			}
		}
	}()
	for p.public == "" || p.private == "" {
		line, ok := <-p.lines
		if !ok {
			t.Fatalf("it ended: %v", p.cmd.Wait())
		}
		var said struct{ Msg, Port, Addr string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" {
			addr := "http://127.0.0.1" + said.Addr[strings.LastIndex(said.Addr, ":"):]
			if said.Port == "public" {
				p.public = addr
			} else {
				p.private = addr
			}
		}
	}
	return p
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { <-p.read; done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		return fmt.Errorf("it does not end: %w", p.cmd.Process.Kill())
	}
}

// log is what it said. Call it when it has ended.
func (p *process) log() string { return p.text.String() }

func pushTo(base string) string {
	body, err := os.ReadFile("../../dispatcher/testdata/github/push.branch.json")
	if err != nil {
		return err.Error()
	}
	mac := hmac.New(sha256.New, []byte("new"))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, base+"/webhook", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", "guid")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s %v", resp.StatusCode, b, err)
}

func send(t *testing.T, base, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer fly-token")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, b, err)
	}
	return string(b)
}
