package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/runner"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

const pushSecret = "the-webhook-secret"

// house is the whole of FlyCD in one process: a forge with real repositories whose webhooks reach a dispatcher over
// HTTP, a redis-server, and runners that do what the dispatcher launches, in the order in which it does.
type house struct {
	*deploytest.World
	t      *testing.T
	forge  *forgesim.Server
	base   string
	hooks  *forge.Client
	image  string
	queue  *queue.Queue
	server *dispatcher.Server
	public http.Handler
	door   string
	sent   *counted

	mu       sync.Mutex
	ahead    time.Duration
	launched []launch.Runner
	runs     int
	log      strings.Builder

	// place is the order of what was read of the queue's events, up to read.
	place map[job.ID]int
	read  string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{World: deploytest.New(t, flysim.Options{}), t: t, place: map[job.ID]int{}}
	sim, err := forgesim.New(forgesim.Options{Tokens: map[string]forgesim.Token{"token": {Login: "acme"}}, Public: true, Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	h.forge = sim
	if h.base, err = sim.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	h.image = h.Image("nginx:1")
	h.hooks = &forge.Client{BaseURL: h.base, Token: "token"}
	redis := queuetest.Redis(t)
	h.queue = h.open(redis)
	h.sent = counting(t, redis)
	// until the dispatcher is started, nobody reads what the hooks send
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.public != nil {
			h.public.ServeHTTP(w, r)
		}
	}))
	h.door = door.URL
	t.Cleanup(func() {
		if h.server != nil {
			h.server.Stop()
		}
		door.Close()
		if h.server != nil {
			h.server.Wait()
		}
		if t.Failed() {
			t.Log(h.log.String())
		}
	})
	return h
}

// start starts the dispatcher with root trees REPO[#PATH].
func (h *house) start(roots ...string) {
	h.t.Helper()
	h.server = &dispatcher.Server{
		Queue: h.open(h.sent.url), Runners: h, Secrets: []string{pushSecret}, MaxRunners: 10_000, Now: h.now, Log: slog.New(slog.DiscardHandler),
	}
	for _, root := range roots {
		repo, folder, _ := strings.Cut(root, "#")
		h.server.Roots = append(h.server.Roots, job.Config{Repo: h.url(repo), Path: folder})
	}
	h.public = h.server.Public()
}

// now is the clock of the forge and the dispatcher. It is behind Redis's, and moves on by hand beside: a push of another
// second is another push.
func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead - time.Hour)
}

func (h *house) open(redis string) *queue.Queue {
	q, err := queue.Open(redis, "")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = q.Close() })
	return q
}

func (h *house) url(repo string) string { return h.base + "/acme/" + repo + ".git" }

// Launch, List and End make the house the dispatcher's Runners: settle runs what is launched.
func (h *house) Launch(_ context.Context, r launch.Runner) (launch.Machine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.launched = append(h.launched, r)
	return launch.Machine{ID: string(r.Job.ID), Name: launch.Name(r.Job.ID, r.Attempt), State: "started", Job: r.Job.ID, Attempt: r.Attempt}, nil
}

func (h *house) List(context.Context) ([]launch.Machine, error) { return nil, nil }

func (h *house) End(context.Context, launch.Machine) error { return nil }

func (h *house) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

// next gives the launches since it was asked last, in the order in which the queue handed them out.
func (h *house) next() []launch.Runner {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.launched
	h.launched = nil
	return list
}

// settle does what is launched until nothing is, and says what became of each job. Fillers are not deployed: that
// they are is noted.
func (h *house) settle() string {
	h.t.Helper()
	var said []string
	for {
		if _, err := h.server.Due(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		h.server.Wait()
		list := h.next()
		if len(list) == 0 {
			return strings.Join(said, ", ")
		}
		order := h.order()
		slices.SortStableFunc(list, func(a, b launch.Runner) int { return order[a.Job.ID] - order[b.Job.ID] })
		for _, r := range list {
			if strings.HasPrefix(r.Job.App, "filler-") {
				h.note(r)
				continue
			}
			h.run(r)
			rec, err := h.queue.Job(h.t.Context(), r.Job.ID)
			if err != nil {
				h.t.Fatal(err)
			}
			said = append(said, wanted(rec.Job)+": "+string(rec.Result.Outcome))
		}
	}
}

// order is the order in which jobs were queued. What Redis keeps of that is bounded: it is read as it comes.
func (h *house) order() map[job.ID]int {
	for {
		events, err := h.queue.Events(h.t.Context(), h.read, 1000)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(events) == 0 {
			return h.place
		}
		for _, e := range events {
			if _, known := h.place[e.Job]; !known {
				h.place[e.Job] = len(h.place)
			}
			h.read = e.ID
		}
	}
}

// wanted words a job.
func wanted(j job.Job) string {
	switch {
	case j.App != "":
		return string(j.Kind) + " " + j.App
	case j.Config.Repo == "":
		return "fan-out " + path.Base(job.RepoKey(j.Half.Repo))
	}
	return string(j.Kind) + " " + path.Base(job.RepoKey(j.Config.Repo))
}

func (h *house) run(l launch.Runner) {
	h.t.Helper()
	h.runs++
	git, q := h.Source(), h.queue
	r := &runner.Runner{
		Queue: q, Job: l.Job.ID, Attempt: l.Attempt, Machine: fmt.Sprint("machine-", h.runs), Out: h,
		Deployer: deploy.Deployer{
			Fly: h.Fly(), Source: git, Images: h.Images(), Builder: image.Fact{}, Index: q, Tombs: q,
			Sync: &deploy.Syncer{Source: git, Catalog: q, Links: q, Sights: q, Graves: q, Sweeper: q, Index: q, Jobs: q},
		},
	}
	if err := r.Run(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) note(l launch.Runner) {
	h.t.Helper()
	c, err := h.queue.Claim(h.t.Context(), l.Job.ID, l.Attempt, "m")
	if err == nil {
		err = h.queue.Finish(h.t.Context(), c, job.Result{Outcome: job.Created, ConfigDigest: c.Wish.Config.Digest})
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// hook sets a webhook up, as an installation does.
func (h *house) hook(repo string) {
	h.t.Helper()
	if _, err := h.hooks.EnsureHook(h.t.Context(), h.url(repo), forge.Hook{URL: h.door + "/webhook", Secret: pushSecret, Events: []string{"push"}}); err != nil {
		h.t.Fatal(err)
	}
	h.forge.Wait()
}

// commit makes a commit on a branch, main where none is named, and tells nobody.
func (h *house) commit(repo string, files map[string]string) {
	h.commitAt(repo, "", "change", files)
}

func (h *house) commitAt(repo, branch, message string, files map[string]string) {
	h.t.Helper()
	in := forgesim.Commit{Repo: "acme/" + repo, Branch: branch, Message: message, Files: files}
	if _, _, err := h.forge.Commit(h.t.Context(), in); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) setRef(repo, ref, commit string) {
	h.t.Helper()
	if err := h.forge.SetRef("acme/"+repo, ref, commit); err != nil {
		h.t.Fatal(err)
	}
}

// push sends what moved, and gives what the dispatcher said that it makes of it.
func (h *house) push(repo string) string {
	h.t.Helper()
	h.mu.Lock()
	h.ahead += 2 * time.Second
	h.mu.Unlock()
	list, err := h.forge.Push(h.t.Context(), forgesim.Pushed{Repo: "acme/" + repo})
	if err != nil {
		h.t.Fatal(err)
	}
	var said []string
	for _, d := range list {
		var a struct {
			Jobs []struct {
				ID job.ID `json:"id"`
			}
			Ignored string
		}
		if err := json.Unmarshal([]byte(d.Answer), &a); err != nil || d.Code/100 != 2 {
			h.t.Fatalf("answered %d %s (%v)", d.Code, d.Answer, err)
		}
		for _, one := range a.Jobs {
			rec, err := h.queue.Job(h.t.Context(), one.ID)
			if err != nil {
				h.t.Fatal(err)
			}
			said = append(said, wanted(rec.Job))
		}
		if len(a.Jobs) == 0 {
			said = append(said, "ignored")
		}
	}
	return strings.Join(said, ", ")
}

// counted counts what a client sends to a Redis, command by command, in front of which it stands.
type counted struct {
	url string

	mu    sync.Mutex
	names []string
}

func counting(t *testing.T, redis string) *counted {
	t.Helper()
	to, err := url.Parse(redis)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	c, server := &counted{}, to.Host
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go c.carry(in, server)
		}
	}()
	to.Host = ln.Addr().String()
	c.url = to.String()
	return c
}

func (c *counted) carry(in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	var d net.Dialer
	out, err := d.DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	r := bufio.NewReader(in)
	for {
		words, raw, err := command(r)
		if err != nil {
			return
		}
		c.add(words) // before it is answered
		if _, err := out.Write(raw); err != nil {
			return
		}
	}
}

// command takes one off the wire: *n, then n texts of which each says its length.
func command(r *bufio.Reader) (words []string, raw []byte, err error) {
	number := func() int {
		line, fault := r.ReadBytes('\n')
		n, bad := strconv.Atoi(strings.TrimSpace(strings.TrimLeft(string(line), "*$")))
		raw, err = append(raw, line...), errors.Join(err, fault, bad)
		return n
	}
	n := number()
	for i := 0; i < n && err == nil; i++ {
		size := number()
		if err != nil {
			break
		}
		text := make([]byte, size+len("\r\n"))
		_, err = io.ReadFull(r, text)
		words, raw = append(words, strings.ToLower(string(text[:size]))), append(raw, text...)
	}
	return words, raw, err
}

// add notes a command by its name, and the script where it is one. Those that begin a connection are left out: how many
// there are is the pool's business.
func (c *counted) add(words []string) {
	name := words[0]
	if name == "hello" || name == "client" || name == "ping" {
		return
	}
	if name == "evalsha" && len(words) > 1 {
		name += " " + words[1]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
}

// reset gives what was counted, and starts again.
func (c *counted) reset() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.names
	c.names = nil
	return names
}

// repo makes a repository.
func (h *house) repo(name string) {
	h.t.Helper()
	if _, err := h.forge.SetRepo(forgesim.Repo{Repo: "acme/" + name}); err != nil {
		h.t.Fatal(err)
	}
}

// head is the commit of main, ref that of another branch.
func (h *house) head(repo string) string { return h.ref(repo, "main") }

func (h *house) ref(repo, branch string) string {
	h.t.Helper()
	at, err := h.Source().Resolve(h.t.Context(), h.url(repo), manifest.Ref{Branch: branch})
	if err != nil {
		h.t.Fatal(err)
	}
	return at.Hash
}
