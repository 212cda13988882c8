package main

import (
	"bufio"
	"bytes"
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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// TestBinaryIsSmallAndLinksLittle holds what wakes from a slow disk to what it needs.
func TestBinaryIsSmallAndLinksLittle(t *testing.T) {
	bin := build(t)
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 23<<19 {
		t.Errorf("%d bytes, want at most 11.5 MB", info.Size())
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

// TestRegistryTokenStaysSecret lets the real thing be told of a push, rightly and wrongly, and reads its log.
func TestRegistryTokenStaysSecret(t *testing.T) {
	p := start(t, build(t), whole(queuetest.Embedded(t)))
	for token, want := range map[string]string{registryToken: "200 OK", registryToken + "x": "401 Unauthorized", strings.ToUpper(registryToken): "401 Unauthorized"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.public+"/webhook/registry/"+token, strings.NewReader(`{"image":"nginx"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.Status != want || err != nil || strings.Contains(strings.ToLower(string(b)), registryToken) {
			t.Errorf("answered %s %s %v, want %s", resp.Status, b, err, want)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("ended with %v", err)
	}
	if log := p.log(); strings.Contains(strings.ToLower(log), registryToken) || !strings.Contains(log, "docker.io/library/nginx") {
		t.Errorf("the log:\n%s", log)
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
