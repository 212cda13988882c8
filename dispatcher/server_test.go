package dispatcher_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

const (
	secret    = "webhook-secret-value"
	nextToken = "next-token-value"
	flyToken  = "fly-token-value"
	regToken  = "registry-token-of-thirty-two-characters"
	hello     = "https://github.com/Codertocat/Hello-World.git"
	listOf    = "/v1/apps/runners/machines"
)

// house is a dispatcher with a real queue and a simulated Fly, and its public door.
type house struct {
	t     *testing.T
	d     *dispatcher.Server
	q     *queue.Queue
	redis string
	cloud *flysim.Server
	maker *launch.Launcher
	fly   *httptest.Server
	door  *httptest.Server
	logs  *bytes.Buffer
	calls atomic.Int64 // to Fly
}

// settings change a house before it opens.
type settings func(*house)

func roots(tb testing.TB, urls ...string) settings {
	tb.Helper()
	return func(h *house) {
		for _, u := range urls {
			c, err := job.ParseConfig(u)
			if err != nil {
				tb.Fatal(err)
			}
			h.d.Roots = append(h.d.Roots, c)
		}
	}
}

func at(redis string) settings { return func(h *house) { h.redis = redis } }

func open(t *testing.T, change ...settings) *house {
	t.Helper()
	h := &house{t: t, logs: &bytes.Buffer{}}
	sim := flysim.New(flysim.Options{Tokens: []string{flyToken}})
	h.fly = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/_sim") {
			h.calls.Add(1)
		}
		sim.ServeHTTP(w, r)
	}))
	h.cloud = sim
	l := &launch.Launcher{App: "runners", Image: "runner:1", Region: "arn", BaseURL: h.fly.URL, Token: flyToken}
	h.maker = l
	h.d = &dispatcher.Server{
		Runners: l, Fly: l, Secrets: []string{secret}, NextToken: nextToken, RegistryTokens: []string{"another-" + regToken, regToken},
		Log: slog.New(slog.NewJSONHandler(&locked{w: h.logs}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(h)
	}
	if h.redis == "" {
		h.redis = queuetest.Embedded(t)
	}
	var err error
	if h.q, err = queue.Open(h.redis, ""); err != nil {
		t.Fatal(err)
	}
	h.d.Queue = h.q
	h.door = httptest.NewServer(h.d.Public())
	t.Cleanup(func() {
		h.d.Stop()
		h.door.Close()
		h.d.Wait()
		h.fly.CloseClientConnections()
		h.fly.Close()
		_ = sim.Close()
		_ = h.q.Close()
		for _, s := range []string{secret, nextToken, flyToken, regToken} {
			if strings.Contains(h.logs.String(), s) {
				t.Errorf("the log holds the secret %s", s)
			}
		}
	})
	h.sim(http.MethodPost, "/v1/apps", `{"app_name":"runners","name":"runners","org_slug":"personal"}`)
	h.calls.Store(0)
	return h
}

// sim speaks to the simulated Fly.
func (h *house) sim(method, path, body string) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.fly.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+flyToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		h.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, b, err)
	}
	return b
}

// faults makes requests for the list and the creation of machines go wrong.
func (h *house) faults(method, do string) {
	h.t.Helper()
	h.sim(http.MethodPut, "/_sim/faults", fmt.Sprintf(`[{"match":{"method":%q,"path":%q},"do":%s}]`, method, listOf, do))
}

// machines names what Fly holds.
func (h *house) machines() (names []string) {
	h.t.Helper()
	var all []struct{ Name, State string }
	if err := json.Unmarshal(h.sim(http.MethodGet, listOf, ""), &all); err != nil {
		h.t.Fatal(err)
	}
	for _, m := range all {
		if m.State != "destroyed" && m.State != "destroying" {
			names = append(names, m.Name)
		}
	}
	return names
}

// reply is an answer of the dispatcher.
type reply struct {
	status int
	text   string
	queue.Answer
	took time.Duration
}

func (h *house) send(req *http.Request) reply {
	h.t.Helper()
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, text: string(b), took: time.Since(began)}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		h.t.Errorf("answered as %q: %s", got, b)
	}
	if err := json.Unmarshal(b, &r.Answer); err != nil && req.Method != http.MethodHead {
		h.t.Errorf("answered no JSON: %s", b)
	}
	return r
}

// signed is a webhook request as GitHub makes it.
func (h *house) signed(event, guid string, body []byte) *http.Request {
	h.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.door.URL+"/webhook", bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", event)
	req.Header.Set("X-GitHub-Delivery", guid)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return req
}

func (h *house) push(guid string, body []byte) reply {
	h.t.Helper()
	return h.send(h.signed("push", guid, body))
}

func (h *house) next() reply {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.door.URL+"/next", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+nextToken)
	return h.send(req)
}

// apps puts apps that follow the repository hello into the catalog.
func (h *house) apps(names ...string) {
	h.t.Helper()
	sources := map[string]string{}
	for _, name := range names {
		sources[name] = hello
	}
	h.catalog(sources)
}

// catalog puts apps with their source repositories into the catalog.
func (h *house) catalog(sources map[string]string) {
	h.t.Helper()
	var entries []catalog.Entry
	for name, repo := range sources {
		entries = append(entries, catalog.Entry{App: name, Dir: name, Auto: true, Source: catalog.Source{Repo: repo}})
	}
	h.entries(entries...)
}

// entries puts apps into the catalog.
func (h *house) entries(entries ...catalog.Entry) {
	h.t.Helper()
	c := job.Config{Repo: "https://github.com/me/config"}
	ctx := h.t.Context()
	gen, err := h.q.BeginGeneration(ctx, c)
	if err != nil {
		h.t.Fatal(err)
	}
	if conflicts, err := h.q.WriteEntries(ctx, c, gen, entries); err != nil || len(conflicts) > 0 {
		h.t.Fatal(conflicts, err)
	}
	if ok, err := h.q.SwitchGeneration(ctx, queue.Switch{Config: c, Generation: gen, Commit: strings.Repeat("c", 40), Order: job.Order{Time: 1}}); err != nil || !ok {
		h.t.Fatal(ok, err)
	}
}

func (h *house) job(id job.ID) queue.Record {
	h.t.Helper()
	r, err := h.q.Job(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// payload reads a recorded delivery.
func payload(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "github", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// branchPush is a push of master to its nth commit.
func branchPush(tb testing.TB, n int) []byte {
	tb.Helper()
	hash := strconv.FormatInt(int64(n), 16)
	body := bytes.ReplaceAll(payload(tb, "push.branch.json"), []byte("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"),
		[]byte(strings.Repeat("0", 40-len(hash))+hash))
	return bytes.ReplaceAll(body, []byte("1557933657"), []byte(strconv.Itoa(1557933657+n)))
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// locked is a writer for many at once.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
