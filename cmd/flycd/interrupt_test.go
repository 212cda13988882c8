//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// patience is how long a loaded machine may need for one line.
const patience = time.Minute

// process is flycd as a process of its own, whose output is read line by line.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	temp  string
}

// start runs flycd with a folder for temporary files that nothing else uses.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "flycd", args...), lines: make(chan string, 1000), temp: t.TempDir()}
	p.cmd.Env = append(os.Environ(), append(env, "TMPDIR="+p.temp)...)
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// wait reads up to the next line that holds all of the words.
func (p *process) wait(words ...string) {
	p.t.Helper()
	var said []string
	for deadline := time.After(patience); ; {
		select {
		case line := <-p.lines:
			said = append(said, line)
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		case <-deadline:
			p.t.Fatalf("no line with %q came, but:\n%s", words, strings.Join(said, "\n"))
		}
	}
}

// after reads up to the next line that begins with the words, and gives its rest.
func (p *process) after(words string) string {
	p.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case line := <-p.lines:
			if rest, ok := strings.CutPrefix(line, words); ok {
				return rest
			}
		case <-deadline:
			p.t.Fatalf("no line that begins with %q came", words)
		}
	}
}

// interrupt is Ctrl-C. It holds that the process ends well and leaves neither files nor processes behind.
func (p *process) interrupt() {
	p.t.Helper()
	children := descendants(p.t, p.cmd.Process.Pid)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("interrupted, it ended with %v", err)
	}
	left, err := os.ReadDir(p.temp)
	// golang.org/x/tools, linked by way of fly-go, makes this folder in test binaries only.
	left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return e.Name() == "goimports" })
	if err != nil || len(left) != 0 {
		p.t.Errorf("it left %v behind, %v", left, err)
	}
	for _, pid := range children {
		if syscall.Kill(pid, 0) == nil {
			p.t.Errorf("process %d still runs", pid)
		}
	}
}

// descendants are the processes that a process started, as /proc has them.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		words := strings.Fields(rest)
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if len(words) > 1 && words[0] != "Z" && words[1] == strconv.Itoa(pid) {
			all = append(append(all, child), descendants(t, child)...)
		}
	}
	return all
}

func TestInterruptedLocalLeavesNothing(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "local")
	p.wait("created", "hello", "http://127.0.0.1:")
	if _, err := os.Stat("/proc/self/stat"); err == nil && len(descendants(t, p.cmd.Process.Pid)) == 0 {
		t.Error("hello is no process of its own")
	}
	p.interrupt()
}

func TestInterruptedSimAndMonitorLeaveNothing(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "sim", "--listen", "127.0.0.1:0")
	p.wait("a simulated Fly answers at")
	p.interrupt()
	p = start(t, []string{"REDIS_URL=" + queuetest.Embedded(t), "FLYCD_WEBHOOK_SECRET=s", "FLY_API_TOKEN=the-token-of-the-test", "PORT=0"}, "monitor")
	p.wait("monitoring: POST /webhook on")
	p.interrupt()
}

func TestRegistriesMayTellMonitorAndLocal(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("0123456789abcdef", 2)
	p := start(t, []string{"REDIS_URL=" + queuetest.Embedded(t), "FLYCD_WEBHOOK_SECRET=s", "FLYCD_REGISTRY_TOKENS=" + token, "FLY_API_TOKEN=the-token-of-the-test", "PORT=0"}, "monitor")
	monitor := "http://127.0.0.1:" + p.after("monitoring: POST /webhook on [::]:")
	body := `{"image": "ghcr.io/acme/web", "tag": "1.2"}`
	for path, want := range map[string]string{"/webhook/registry/" + token: "no app follows ghcr.io/acme/web", "/webhook/registry/" + token + "0": "not a registry token"} {
		if got := told(t, monitor+path, body); !strings.Contains(got, want) {
			t.Errorf("monitor answers %s, want %q", got, want)
		}
	}
	p.interrupt()

	w := deploytest.New(t, flysim.Options{})
	img := w.Image("web:latest")
	dir := t.TempDir()
	text := "app: img\nprimary_region: arn\nsource: {type: image, image: \"" + img + "\", policy: {digest: true}}\nmachines: {count: 1}\n"
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, nil, "local", dir)
	hook := p.after("registry   ")
	p.wait("created", "img")
	w.Image("web:latest")
	if got := told(t, hook, `{"image": "`+img+`"}`); !strings.Contains(got, `"app":"img"`) {
		t.Errorf("local answers %s, want a job of img", got)
	}
	p.interrupt()
}

// told posts JSON and gives the answer.
func told(t *testing.T, url, body string) string {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestLocalDeploysWhatIsSaved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manifest := func(color string) string {
		return fmt.Sprintf("app: paint\nprimary_region: arn\nsource: {type: inline-docker-file, inline: FROM scratch}\nmachines: {count: 1}\nenv: {COLOR: %s}\n", color)
	}
	save(manifest("red"))
	p := start(t, nil, "local", dir)
	p.wait("created", "paint")
	save(manifest("blue"))
	p.wait("updated", "paint", "env.COLOR: red → blue")
	save(manifest("[blue"))
	p.wait("rejected", "app.yaml:", "is not valid YAML")
	save(manifest("green"))
	p.wait("updated", "paint", "env.COLOR: blue → green")
	p.interrupt()
}

func TestInterruptedDeployIsRecordedAndFreesTheApp(t *testing.T) {
	t.Parallel()
	w := deploytest.New(t, flysim.Options{Boot: time.Hour})
	redis, dir := queuetest.Embedded(t), t.TempDir()
	text := fmt.Sprintf("app: web\nprimary_region: arn\nsource: {type: image, image: %q}\nmachines: {count: 1}\n", w.Image("web:1"))
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"REDIS_URL=" + redis, "FLY_API_TOKEN=" + deploytest.Token, "FLY_FLAPS_BASE_URL=" + w.FlyURL}, "deploy", dir)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if apps := w.Sim.State().Apps; len(apps) == 1 && len(apps[0].Machines) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no machine was made")
		}
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.wait("interrupted between two steps")
	if err := p.cmd.Wait(); p.cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("it ended with %v", err)
	}
	q, err := queue.Open(redis, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	app, _, err := q.AppState(t.Context(), "web")
	if err != nil || app.LastOutcome != job.Cancelled || app.Active != "" {
		t.Errorf("the app is %q, active %q, %v", app.LastOutcome, app.Active, err)
	}
}
