package dispatcher

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	// replyWithin is how long after its body a webhook is answered at the latest; GitHub gives up
	// after ten seconds, and DESIGN promises five.
	replyWithin = 4500 * time.Millisecond
	// pushWithin is how much of it the queue may take.
	pushWithin = 2500 * time.Millisecond
	// defaultMaxRunners and defaultParallel stand in for fields that are zero.
	defaultMaxRunners = 20
	defaultParallel   = 8
)

// Runners makes, lists and ends the machines that runners live in. *launch.Launcher makes Fly
// Machines; flycd monitor starts child processes.
type Runners interface {
	// Launch makes the runner, or finds the one that an earlier call made; an error that wraps
	// launch.ErrNothingMade says that there is none.
	Launch(ctx context.Context, r launch.Runner) (launch.Machine, error)
	// List gives all runners, or an error: never a part of them.
	List(ctx context.Context) ([]launch.Machine, error)
	// End destroys one. One that is gone is no error.
	End(ctx context.Context, m launch.Machine) error
}

// Checker says whether what it stands for answers.
type Checker interface {
	Check(ctx context.Context) error
}

// Server is the dispatcher. Fill the fields, serve Public and perhaps Private, and when it is to end
// call Stop, shut the HTTP servers down, then Wait. The fields are not changed once it serves.
type Server struct {
	// Queue holds the jobs and the catalog.
	Queue *queue.Queue
	// Runners makes a machine for each job.
	Runners Runners
	// Fly answers for GET /healthz?deep; nil leaves Fly out of it.
	Fly Checker
	// Secrets are the webhook secrets, any of which verifies. Without one every delivery is refused.
	Secrets []string
	// RegistryTokens let registries in that sign nothing, any of them: whoever knows one may tell of pushes.
	// Without one every such delivery is refused.
	RegistryTokens []string
	// NextToken is the bearer token of POST /next; empty refuses every request.
	NextToken string
	// Callers may POST /dispatch; the zero value refuses everybody.
	Callers Callers
	// Grants gives runners what their jobs need; nil makes no grants.
	Grants *Grants
	// Forge is asked about pull requests; nil leaves comments unread.
	Forge Forge
	// Feedback is delivered while the dispatcher is awake; nil is none.
	Feedback Feedback
	// Roots are the config trees whose pushes are known even when Redis is empty.
	Roots []job.Config
	// MaxRunners is how many runners may be active at once, Parallel how many launches may be under
	// way at once; zero means 20 and 8.
	MaxRunners, Parallel int
	// BodyWithin is how long a sender may take for a body; zero means 15 seconds.
	BodyWithin time.Duration
	// OrphanAge is how long an orphan must have been one before Sweep ends it; zero means two minutes.
	OrphanAge time.Duration
	// Log is told what was done. Never nil.
	Log *slog.Logger
	// Now may be nil: the clock.
	Now func() time.Time

	bodies  bodies
	due     passes
	reports reports
	counts  counts
	health  health
	watcher atomic.Pointer[chan struct{}]
	stop    sync.Once
	stopped chan struct{}
	ready   sync.Once
}

// Public serves what the internet may reach: POST /webhook and what is below it, POST /dispatch, POST /grant, POST
// /next, GET /healthz.
func (s *Server) Public() http.Handler {
	s.prepare()
	mux := http.NewServeMux()
	mux.Handle("/webhook", s.only(http.MethodPost, s.webhook))
	// GitHub sends all events of a hook to one place: either takes them all.
	mux.Handle(registryPath, s.only(http.MethodPost, s.webhook))
	mux.Handle(registryPath+"/{token}", s.only(http.MethodPost, s.registry))
	mux.Handle("/dispatch", s.only(http.MethodPost, s.call))
	mux.Handle("/grant", s.only(http.MethodPost, s.grant))
	mux.Handle("/next", s.only(http.MethodPost, s.next))
	mux.Handle("/healthz", s.only(http.MethodGet, s.healthz))
	mux.HandleFunc("/", s.unknown)
	return s.guard(mux)
}

// Private serves what only the private network may reach: GET /metrics, and GET /healthz.
func (s *Server) Private() http.Handler {
	s.prepare()
	mux := http.NewServeMux()
	mux.Handle("/metrics", s.only(http.MethodGet, s.metrics))
	mux.Handle("/healthz", s.only(http.MethodGet, s.healthz))
	mux.HandleFunc("/", s.unknown)
	return s.guard(mux)
}

// Stop makes requests that wait for something (POST /next) answer at once. It may be called twice.
func (s *Server) Stop() {
	s.prepare()
	s.stop.Do(func() { close(s.stopped) })
}

// Wait comes back when the last due pass is done. Call it after the HTTP servers were shut down.
func (s *Server) Wait() { s.due.work.Wait() }

func (s *Server) prepare() {
	s.ready.Do(func() {
		s.stopped = make(chan struct{})
		s.due.slots = make(chan struct{}, positive(s.Parallel, defaultParallel))
	})
}

// only lets one method pass (and HEAD for GET).
func (s *Server) only(method string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			answer(w, http.StatusMethodNotAllowed, refused{shown(r.URL.Path) + " takes " + method})
			return
		}
		h(w, r)
	})
}

func (s *Server) unknown(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusNotFound, refused{"nothing is here: webhooks go to POST /webhook"})
}

// guard turns a panic into a 500. There should be none, but a forge's odd bytes never take the
// dispatcher down.
func (s *Server) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.caught(w, r)
		h.ServeHTTP(w, r)
	})
}

func (s *Server) caught(w http.ResponseWriter, r *http.Request) {
	if p := recover(); p != nil {
		s.Log.ErrorContext(r.Context(), "panicked", "path", shown(r.URL.Path), "panic", p, "stack", string(debug.Stack()))
		answer(w, http.StatusInternalServerError, refused{"the dispatcher has a fault; its log says more"})
	}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// refused is the body of every answer that is an error.
type refused struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A sender that has gone away is told nothing.
	_ = json.NewEncoder(w).Encode(body)
}

// positive is n, or what stands in for a field that is zero.
func positive[T int | time.Duration](n, otherwise T) T {
	if n > 0 {
		return n
	}
	return otherwise
}
