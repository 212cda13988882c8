package fly

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/plan"
)

const (
	testToken = "fo1_a-token-that-nobody-may-see"
	testApp   = "shop"
	imageOne  = "registry.fly.io/shop@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	imageTwo  = "registry.fly.io/shop@sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// fault is what becomes of some requests. Without a status the connection is cut.
type fault struct {
	method, path string
	// nth is which of the matching requests; 0 is every one.
	nth    int
	status int
	body   string
	header http.Header
	// says narrows it to requests whose body has these words.
	says string
	// after lets the request take effect first.
	after bool
	// slow delays the answer, or the cut, by so much.
	slow time.Duration

	seen int
}

// road is the way to the simulator: it can be broken, and remembers what went over it.
type road struct {
	to http.Handler
	// held is called when the simulator refused a lease: a test may let time pass.
	held func()

	mu     sync.Mutex
	faults []*fault
	writes []string
	reads  []string
	// bodies are those of the requests that took effect, all the lines of all requests.
	bodies []string
	all    []string
}

var operation = regexp.MustCompile(`^(query|mutation)[^{]*\{\s*(\w+)`)

// operationOf gives what a GraphQL request is, query or mutation, and what it asks for.
func operationOf(body []byte) string {
	var in struct{ Query string }
	_ = json.Unmarshal(body, &in)
	if m := operation.FindStringSubmatch(in.Query); m != nil {
		return m[1] + " " + m[2]
	}
	return in.Query
}

func (r *road) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	f := r.note(req, body)
	if f == nil || f.after {
		r.deliver(body)
	}
	if f == nil {
		answer := &status{ResponseWriter: w}
		r.to.ServeHTTP(answer, req)
		if answer.code == http.StatusConflict && strings.HasSuffix(req.URL.Path, "/lease") && r.held != nil {
			r.held()
		}
		return
	}
	if f.after {
		r.to.ServeHTTP(httptest.NewRecorder(), req)
	}
	if f.slow > 0 {
		time.Sleep(f.slow)
	}
	if f.status == 0 {
		panic(http.ErrAbortHandler)
	}
	for k, v := range f.header {
		w.Header()[k] = v
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body)
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (r *road) note(req *http.Request, body []byte) *fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := req.Method + " " + req.URL.Path
	if req.URL.Path == "/graphql" {
		line = "GRAPH " + operationOf(body)
	}
	r.all = append(r.all, line)
	switch {
	case req.Method == http.MethodGet, strings.HasPrefix(line, "GRAPH query"):
		r.reads = append(r.reads, line)
	case !regexp.MustCompile(`/lease$`).MatchString(req.URL.Path):
		r.writes = append(r.writes, line)
	}
	for _, f := range r.faults {
		if f.method != req.Method || !regexp.MustCompile(f.path).MatchString(req.URL.Path) || !strings.Contains(string(body), f.says) {
			continue
		}
		f.seen++
		if f.nth == 0 || f.nth == f.seen {
			return f
		}
	}
	return nil
}

func (r *road) deliver(body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, string(body))
}

func (r *road) breaks(faults ...*fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = faults
}

// written gives the writes since the last call, leases left out.
func (r *road) written() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.writes
	r.writes, r.bodies = nil, nil
	return out
}

type world struct {
	sim  *flysim.Server
	road *road
	url  string
}

func newWorld(t *testing.T, o flysim.Options) *world {
	t.Helper()
	o.Tokens = []string{testToken}
	sim := flysim.New(o)
	w := &world{sim: sim, road: &road{to: sim}}
	srv := httptest.NewUnstartedServer(w.road)
	srv.Config.ErrorLog = nil
	srv.Start()
	w.url = srv.URL
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// client is a deployer in a hurry.
func (w *world) client(t *testing.T, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{
		Token: testToken, BaseURL: w.url, LeaseTTL: 30 * time.Second, LeaseWait: 20 * time.Second,
		Smoke: 30 * time.Millisecond, Lag: 150 * time.Millisecond, Poll: 20 * time.Millisecond,
		Transport: &http.Transport{},
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func begin(t *testing.T, c *Client, scope ...plan.Scope) *Change {
	t.Helper()
	ch, err := c.Begin(t.Context(), testApp, append(scope, plan.Scope{})[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.Close() })
	return ch
}

func apply(t *testing.T, ch *Change, steps ...plan.Step) {
	t.Helper()
	for _, s := range steps {
		if err := ch.Apply(t.Context(), s); err != nil {
			t.Fatalf("%T: %v", s, err)
		}
	}
}

func config(image string) *flygo.MachineConfig {
	port, kind, path := 8080, "http", "/"
	return &flygo.MachineConfig{
		Image: image,
		Env:   map[string]string{"GREETING": "hello"},
		Guest: &flygo.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256},
		Metadata: map[string]string{
			"fly_process_group": "app", "fly_platform_version": "v2", "flycd_digest": image,
		},
		Services: []flygo.MachineService{{
			Protocol: "tcp", InternalPort: 8080,
			Ports:  []flygo.MachinePort{{Port: &port, Handlers: []string{"http"}}},
			Checks: []flygo.MachineServiceCheck{{Type: &kind, HTTPPath: &path}},
		}},
	}
}

func create(name, image string) plan.CreateMachine {
	return plan.CreateMachine{App: testApp, Name: name, Group: "app", Region: "ams", Config: config(image)}
}

func proof(name, image string) plan.Proof {
	return plan.Proof{App: testApp, WaitTimeout: 5 * time.Second, Machines: []plan.ProofMachine{{
		Name: name, Group: "app", Digest: image[len("registry.fly.io/shop@"):], Config: config(image),
	}}}
}

// impatient lets the time of a lease pass as soon as somebody is refused it.
func (w *world) impatient() {
	w.road.held = func() { w.sim.Advance(31 * time.Second) }
}

// deployed is a world with one machine that runs image one, and nobody at work.
func deployed(t *testing.T, o flysim.Options) *world {
	t.Helper()
	w := newWorld(t, o)
	ch := begin(t, w.client(t))
	apply(t, ch, plan.CreateApp{App: testApp, Org: "personal"}, create("shop-app-ams-0", imageOne))
	if len(o.Images) == 0 {
		if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageOne)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	w.road.written()
	return w
}

// machines are the simulator's, whatever the road is like.
func (w *world) machines(t *testing.T) []plan.Machine {
	t.Helper()
	return w.observed(t).Machines
}

func (w *world) observed(t *testing.T) plan.Observed {
	t.Helper()
	srv := httptest.NewServer(w.sim)
	defer srv.Close()
	c, err := New(t.Context(), Options{Token: testToken, BaseURL: srv.URL, Transport: &http.Transport{DisableKeepAlives: true}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Observe(t.Context(), testApp, plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func update(m plan.Machine, image string) plan.UpdateMachine {
	return plan.UpdateMachine{App: testApp, Machine: m, Config: config(image)}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
