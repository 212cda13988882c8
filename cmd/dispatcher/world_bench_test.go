package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

const benchToken = "fly-token"

// world is what a dispatcher needs around it: a redis-server, a simulated Fly, a binary.
type world struct {
	b        *testing.B
	redis    string
	redisPID int
	q        *queue.Queue
	sim      *flysim.Server
	// fly is the simulated Fly's address, token what it lets in.
	fly, token string
	// launched counts the machines that were made.
	launched atomic.Int64
	// runners are the jobs that end.
	runners sync.WaitGroup
	binary  string
}

func newWorld(b *testing.B, binary string) *world {
	b.Helper()
	exit := 0
	w := &world{
		b: b, redis: queuetest.Redis(b), binary: binary, token: benchToken,
		// A runner machine is gone as soon as it has started: the list of them stays short.
		sim: flysim.New(flysim.Options{
			Tokens: []string{benchToken}, Images: map[string]flysim.Behavior{"runner": {Exit: &exit}},
			Exec: map[string][]string{"dispatcher": {binary}}, Boot: time.Nanosecond,
		}),
	}
	b.Cleanup(func() { _ = w.sim.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/apps/runners/machines" {
			w.sim.ServeHTTP(rw, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.sim.ServeHTTP(rw, r)
		w.launched.Add(1)
		ctx := context.WithoutCancel(r.Context())
		w.runners.Go(func() { w.finish(ctx, body) })
	}))
	b.Cleanup(server.Close)
	w.fly = server.URL
	w.connect()
	return w
}

// connect opens the queue and makes the app of the runners.
func (w *world) connect() {
	w.b.Helper()
	var err error
	if w.q, err = queue.Open(w.redis, ""); err != nil {
		w.b.Fatal(err)
	}
	w.b.Cleanup(func() { w.runners.Wait(); _ = w.q.Close() })
	w.redisPID = redisPID(w.b, w.redis)
	w.post("/v1/apps", `{"app_name":"runners","name":"runners","org_slug":"personal"}`)
}

// buildFor makes a binary as the Dockerfiles do.
func buildFor(b *testing.B, dir string) string {
	b.Helper()
	out := filepath.Join(b.TempDir(), "binary")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", dir, err, said)
	}
	return out
}

// post sends a body to the simulated Fly.
func (w *world) post(path, body string) {
	w.b.Helper()
	req, err := http.NewRequestWithContext(w.b.Context(), http.MethodPost, w.fly+path, strings.NewReader(body))
	if err != nil {
		w.b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode > 299 {
		w.b.Fatalf("POST %s: %s", path, resp.Status)
	}
}

// finish does what the runner of a machine does at least: it claims the job and says how it ended.
func (w *world) finish(ctx context.Context, created []byte) {
	var machine struct {
		Config struct{ Env map[string]string }
	}
	if err := json.Unmarshal(created, &machine); err != nil {
		w.b.Error(err)
		return
	}
	env := machine.Config.Env
	attempt, _ := strconv.Atoi(env["FLYCD_ATTEMPT"])
	claim, err := w.q.Claim(ctx, job.ID(env["FLYCD_JOB"]), attempt, "machine-"+env["FLYCD_JOB"])
	if err == nil {
		err = w.q.Finish(ctx, claim, job.Result{Outcome: job.Updated})
	}
	if err != nil {
		w.b.Errorf("job %s: %v", env["FLYCD_JOB"], err)
	}
}

// occupy makes one job launching for longer than any benchmark runs: at one runner at most, nothing more
// can be launched.
func (w *world) occupy() {
	w.b.Helper()
	busy := job.Job{ID: job.SaltedID(job.Deploy, "busy", "bench"), Kind: job.Deploy, App: "busy", Order: job.Order{Time: 1}}
	if _, _, err := w.q.Push(w.b.Context(), queue.Delivery{Jobs: []job.Job{busy}}); err != nil {
		w.b.Fatal(err)
	}
	times := w.q.Times
	w.q.Times.Start, w.q.Times.Run = 24*time.Hour, 24*time.Hour
	if _, ok, err := w.q.Take(w.b.Context(), 1); err != nil || !ok {
		w.b.Fatal(ok, err)
	}
	w.q.Times = times
}

// catalog writes one config tree of apps that have a repository each.
func (w *world) catalog(apps int) []catalog.Entry {
	w.b.Helper()
	ctx, tree := w.b.Context(), job.Config{Repo: "https://github.com/acme/config"}
	entries := make([]catalog.Entry, apps)
	for i := range entries {
		entries[i] = catalog.Entry{
			App: fmt.Sprintf("app-%d", i), Config: tree, Dir: fmt.Sprintf("apps/app-%d", i), Auto: true,
			Source: catalog.Source{Repo: fmt.Sprintf("https://github.com/acme/code-%d", i)},
		}
	}
	gen, err := w.q.BeginGeneration(ctx, tree)
	if err == nil {
		_, err = w.q.WriteEntries(ctx, tree, gen, entries)
	}
	if err == nil {
		_, err = w.q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Order: job.Order{Time: 1}})
	}
	if err != nil {
		w.b.Fatal(err)
	}
	return entries
}

// wait makes a job of each app wait.
func (w *world) wait(entries []catalog.Entry) {
	w.b.Helper()
	var jobs []job.Job
	for i, e := range entries {
		p := catalog.Push{
			Repo: e.Source.Repo, Ref: "refs/heads/main", DefaultBranch: "main",
			Before: fmt.Sprintf("%040x", i), After: fmt.Sprintf("%040x", i+1), Time: int64(i + 1),
		}
		made, _ := catalog.Jobs(p, catalog.Found{Routes: []catalog.Route{catalog.RouteOf(e)}}, time.Now())
		jobs = append(jobs, made...)
	}
	if _, _, err := w.q.Push(w.b.Context(), queue.Delivery{Jobs: jobs}); err != nil {
		w.b.Fatal(err)
	}
}

// requests gives n pushes that go round the apps.
func (w *world) requests(n, apps int) [][]byte {
	w.b.Helper()
	form := newPushes(w.b)
	list := make([][]byte, n)
	for i := range list {
		list[i] = request(i, form.body(i, i%apps))
	}
	return list
}

// daemon is a dispatcher that runs.
type daemon struct {
	cmd  *exec.Cmd
	pid  int
	addr string
	log  string
}

// dispatcher starts the binary and waits until it listens.
func (w *world) dispatcher(maxRunners int, vars ...string) *daemon {
	w.b.Helper()
	d := w.exec(maxRunners, vars...)
	_ = d.dial(w.b).Close()
	return d
}

// exec starts the binary at a free port. Its log goes to a file.
func (w *world) exec(maxRunners int, vars ...string) *daemon {
	w.b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.b.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	d := &daemon{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), log: filepath.Join(w.b.TempDir(), "log")}
	log, err := os.Create(d.log)
	if err != nil {
		w.b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	d.cmd = exec.Command(w.binary)
	d.cmd.Stderr = log
	d.cmd.Env = append([]string{
		"FLYCD_WEBHOOK_SECRET=" + benchSecret, "REDIS_URL=" + w.redis, "FLY_API_TOKEN=" + w.token,
		"FLY_FLAPS_BASE_URL=" + w.fly, "FLYCD_RUNNER_APP=runners", "FLYCD_RUNNER_IMAGE=runner:1",
		"FLYCD_MAX_RUNNERS=" + strconv.Itoa(maxRunners), "PORT=" + strconv.Itoa(port),
	}, vars...)
	if err := d.cmd.Start(); err != nil {
		w.b.Fatal(err)
	}
	d.pid = d.cmd.Process.Pid
	w.b.Cleanup(func() { _ = d.cmd.Process.Kill(); _ = d.cmd.Wait() })
	return d
}

// dial connects as soon as somebody listens.
func (d *daemon) dial(b *testing.B) net.Conn {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		if conn, err := net.Dial("tcp", d.addr); err == nil {
			return conn
		}
	}
	b.Fatalf("it does not listen\n%s", d.tail())
	return nil
}

// stop ends it as Fly does.
func (d *daemon) stop(b *testing.B) {
	b.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		b.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		b.Fatalf("it ended with %v\n%s", err, d.tail())
	}
}

// tail is the end of its log.
func (d *daemon) tail() []byte {
	said, _ := os.ReadFile(d.log)
	return said[max(len(said)-4096, 0):]
}

// memory reads a line of /proc/PID/status in millions of bytes.
func memory(b *testing.B, pid int, field string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("no memory figures without /proc: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), field+":")
	words := strings.Fields(rest)
	if len(words) == 0 {
		b.Fatalf("no %s in\n%s", field, text)
	}
	kib, err := strconv.Atoi(words[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) * 1024 / 1e6
}

// cpuOf is the processor time that a process has used, to a hundredth of a second.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name, in parentheses, may hold spaces.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func redisPID(b *testing.B, url string) int {
	b.Helper()
	pid, err := strconv.Atoi(redisInfo(b, url, "server")["Server"]["process_id"])
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// commands counts the scripts that Redis was asked to run: a webhook sends nothing else.
func commands(b *testing.B, url string) int {
	b.Helper()
	all := 0
	for _, name := range []string{"cmdstat_evalsha", "cmdstat_eval"} {
		stat := redisInfo(b, url, "commandstats")["Commandstats"][name]
		calls, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
		n, err := strconv.Atoi(calls)
		if err != nil && stat != "" {
			b.Fatalf("%s is %q", name, stat)
		}
		all += n
	}
	return all
}

func redisInfo(b *testing.B, url, section string) map[string]map[string]string {
	b.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		b.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	info, err := rdb.InfoMap(b.Context(), section).Result()
	if err != nil {
		b.Fatal(err)
	}
	return info
}
