package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	chaosHold   = 6 * time.Second
	chaosSecret = "the-webhook-secret-of-the-chaos"
	chaosNext   = "the-next-token-of-the-chaos"
)

// chaos is the whole of FlyCD, with runners that are processes, and what is done to it.
type chaos struct {
	*deploytest.World
	t         *testing.T
	size      chaosSize
	url, home string
	web       string
	front     *front
	// eye looks into Redis; rdb even where the queue does not.
	eye   *queue.Queue
	rdb   *redis.Client
	trees []*chaosRepo
	repos []*chaosRepo
	apps  []*chaosApp
	log   *slog.Logger

	mu          sync.Mutex
	said        bytes.Buffer
	answers     map[string]queue.Answer
	killsOf     map[job.ID]int
	killed      int
	dispatchers int
	// calm is true once every delivery was taken.
	calm bool
}

func newChaos(t *testing.T, url string, size chaosSize) *chaos {
	t.Helper()
	home := t.TempDir()
	flycd := filepath.Join(home, "flycd")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// TestMain makes this very binary flycd when it is called so
	if err := os.Symlink(self, flycd); err != nil {
		t.Fatal(err)
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := &chaos{
		t: t, size: size, url: url, home: home, rdb: redis.NewClient(o),
		answers: map[string]queue.Answer{}, killsOf: map[job.ID]int{},
		World: deploytest.New(t, flysim.Options{
			Path: os.Getenv("PATH"), Grace: 5 * time.Second,
			Exec: map[string][]string{localRegistry + "/" + localRunnerApp: {flycd, "runner", "--simulated", "--hold", chaosHold.String()}},
		}),
	}
	c.log = slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c.eye = c.open()
	t.Cleanup(func() {
		_ = c.rdb.Close()
		if t.Failed() {
			t.Log(c.said.String())
		}
	})
	c.makeRepos()
	return c
}

// Write keeps what the dispatchers say, for a test that fails.
func (c *chaos) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.Write(p)
}

func (c *chaos) open() *queue.Queue {
	q, err := queue.Open(c.url, "")
	if err != nil {
		c.t.Error(err)
		return nil
	}
	q.Times.Start, q.Times.Hold, q.Times.Margin = 20*time.Second, chaosHold, chaosHold/12
	q.Times.Backoff, q.Times.Unlaunch = 200*time.Millisecond, 100*time.Millisecond
	c.t.Cleanup(func() { _ = q.Close() })
	return q
}

func (c *chaos) dispatcher(q *queue.Queue) *dispatcher.Server {
	roots := make([]job.Config, len(c.trees))
	for i, r := range c.trees {
		roots[i] = r.config()
	}
	return &dispatcher.Server{
		Queue: q, Secrets: []string{chaosSecret}, NextToken: chaosNext, Roots: roots, Log: c.log, MaxRunners: 8, OrphanAge: 2 * time.Second,
		Runners: &launch.Launcher{
			App: localRunnerApp, Image: localRegistry + "/" + localRunnerApp + ":chaos", Region: "ams", Size: "shared-cpu-1x:512MB",
			BaseURL: c.FlyURL, Token: deploytest.Token, Log: c.log,
		},
	}
}

// start brings everything up: the dispatcher that is restarted now and then, its due pass each half second,
// and a sweep in a loop.
func (c *chaos) start() {
	c.t.Helper()
	c.front = &front{}
	web := httptest.NewServer(c.front)
	c.web = web.URL
	var work sync.WaitGroup
	done := make(chan struct{})
	c.front.swap(c.dispatcher(c.open()))
	c.post("/v1/apps", map[string]any{"name": localRunnerApp, "app_name": localRunnerApp, "org_slug": "personal"})
	c.post("/v1/apps/"+localRunnerApp+"/secrets", map[string]any{"values": map[string]string{
		"REDIS_URL": c.url, "FLY_API_TOKEN": deploytest.Token, "FLY_FLAPS_BASE_URL": c.FlyURL, "FLYCD_BUILDER": "fact",
		"FLYCD_NEXT_URL": web.URL + "/next", "FLYCD_NEXT_TOKEN": chaosNext, "GORACE": quickEnd + " log_path=" + filepath.Join(c.home, "race"),
	}})
	loop := func(pause time.Duration, do func()) {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(pause/2 + rand.N(pause)):
					do()
				}
			}
		})
	}
	loop(500*time.Millisecond, func() { _, _ = c.front.server().Due(c.t.Context()) })
	sweeper := c.dispatcher(c.open())
	loop(time.Second, func() { _, _ = sweeper.Sweep(c.t.Context()) })
	loop(1500*time.Millisecond, c.restart)
	c.t.Cleanup(func() {
		close(done)
		work.Wait()
		c.front.close()
		web.Close()
		sweeper.Stop()
		sweeper.Wait()
	})
}

// restart ends the dispatcher, once it has done something, and starts another one. Every other time the old
// one crashes: its connections to Redis are cut whatever it is doing.
func (c *chaos) restart() {
	const each = 12
	c.mu.Lock()
	due := len(c.answers) >= c.dispatchers*each || c.calm
	c.mu.Unlock()
	if !due {
		return
	}
	c.dispatchers++
	if c.dispatchers%2 == 0 {
		_ = c.front.swap(c.dispatcher(c.open())).Queue.Close()
		return
	}
	c.front.replace(c.dispatcher(c.open()))
}

// front is the address of the dispatchers: requests wait while one is replaced.
type front struct {
	mu   sync.RWMutex
	now  *dispatcher.Server
	http http.Handler

	busy sync.RWMutex
	old  []*dispatcher.Server
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.busy.RLock()
	defer f.busy.RUnlock()
	f.mu.RLock()
	h := f.http
	f.mu.RUnlock()
	h.ServeHTTP(w, r)
}

func (f *front) server() *dispatcher.Server {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.now
}

// swap puts another dispatcher in place and gives the old one, which may be in the middle of anything.
func (f *front) swap(s *dispatcher.Server) *dispatcher.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.now
	f.now, f.http = s, s.Public()
	if old != nil {
		old.Stop()
		f.old = append(f.old, old)
	}
	return old
}

// replace lets the old dispatcher finish first.
func (f *front) replace(s *dispatcher.Server) {
	f.server().Stop()
	f.busy.Lock()
	defer f.busy.Unlock()
	f.swap(s)
}

func (f *front) close() {
	f.replace(f.server())
	for _, s := range f.old {
		s.Wait()
	}
}

func (c *chaos) post(path string, body any) {
	c.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.FlyURL+path, bytes.NewReader(b))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+deploytest.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode >= 300 && !strings.HasSuffix(path, "/signal") {
		c.t.Fatalf("%s: %s %s", path, res.Status, text)
	}
}

// kill sends SIGKILL to a runner that works, if one does. No job loses more than three attempts that way.
func (c *chaos) kill() {
	at := c.runners()
	ids := slices.Collect(maps.Keys(at))
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		m := at[id]
		parts := strings.Split(m.Name, "-")
		if j := job.ID(parts[1]); m.Pid > 0 && m.State == "started" && c.killsOf[j] < 3 {
			c.killsOf[j]++
			c.killed++
			c.post("/v1/apps/"+localRunnerApp+"/machines/"+id+"/signal", map[string]any{"signal": "SIGKILL"})
			return
		}
	}
}

// runners gives the runner machines that are not gone.
func (c *chaos) runners() map[string]flysim.MachineState {
	out := map[string]flysim.MachineState{}
	for _, a := range c.Sim.State().Apps {
		for _, m := range a.Machines {
			if a.Name == localRunnerApp && m.State != "destroyed" {
				out[m.ID] = m
			}
		}
	}
	return out
}

func (c *chaos) await(what string, within time.Duration, met func() bool) {
	c.t.Helper()
	for end := time.Now().Add(within); !met(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("waited %s in vain for %s", within, what)
		}
	}
}
