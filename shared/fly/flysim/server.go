package flysim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/fault"
)

// Server is a simulated Fly. Make it with New, close it with Close. It is safe for concurrent use.
type Server struct {
	opts Options
	mux  *http.ServeMux
	ctl  *http.ServeMux
	mint *mint
	// issuer signs what machines say of themselves.
	issuer issuer
	rec    *recorder

	mu       sync.Mutex
	clock    clock
	virtual  time.Time
	tasks    agenda
	seq      uint64
	ulids    uint64
	rng      *rand.Rand
	orgs     map[string]*org
	apps     map[string]*app
	addons   []*addon
	issued   []*issued
	clusters []*cluster
	foreign  map[string]bool
	faults   *fault.List
	buckets  map[string]*bucket
	images   map[string]Behavior
	lag      Lag
	serial   uint64
	builds   int
	homes    string
	changed  chan struct{}
	closed   bool

	wake    chan struct{}
	done    chan struct{}
	wg      sync.WaitGroup
	servers []*http.Server
	doors   doors
}

// New starts a simulated Fly. Close ends it.
func New(opts Options) *Server {
	opts = opts.withDefaults()
	base := opts.Now
	if base == nil {
		base = time.Now
	}
	s := &Server{
		opts: opts, clock: clock{base: base}, lag: opts.Lag,
		rng:  rand.New(rand.NewPCG(opts.Seed, opts.Seed)), //nolint:gosec // ids must repeat, not surprise
		orgs: map[string]*org{}, apps: map[string]*app{}, foreign: map[string]bool{},
		buckets: map[string]*bucket{}, images: map[string]Behavior{},
		doors:   doors{apps: map[string]string{}},
		changed: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
		mint: newMint(), rec: newRecorder(opts.Record),
	}
	s.faults = fault.New(opts.Seed, unsaid, s.done)
	for _, slug := range opts.Orgs {
		s.organization(slug)
	}
	for _, name := range opts.Foreign {
		s.foreign[name] = true
	}
	for ref, b := range opts.Images {
		s.images[ref] = b
	}
	s.mux, s.ctl = s.routes(), s.controls()
	s.wg.Add(1)
	go s.loop()
	return s
}

// Close ends listeners, waits, running commands and the clock, and returns when all are gone. It is
// safe to repeat.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	close(s.done)
	servers := s.servers
	running := s.running()
	s.mu.Unlock()

	s.rec.final(s.State)
	var errs []error
	for _, srv := range servers {
		if err := srv.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close listener: %w", err))
		}
	}
	for _, p := range running {
		p.end(s.opts.Grace)
	}
	s.wg.Wait()
	errs = append(errs, s.rec.failure())
	if s.homes != "" {
		if err := os.RemoveAll(s.homes); err != nil {
			errs = append(errs, fmt.Errorf("remove homes of machines: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Foreign makes a name belong to somebody else: reading it is forbidden, creating it a conflict.
func (s *Server) Foreign(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign[name] = true
}

// SetImage gives an image a fate from now on; the zero Behavior is an ordinary image.
func (s *Server) SetImage(ref string, b Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[ref] = b
}

// SetLag changes how far answers trail behind writes.
func (s *Server) SetLag(l Lag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.List > 0 && s.lag.List == 0 { // what is there now was there before
		for _, a := range s.apps {
			for _, m := range a.machines {
				m.past = nil
				s.remember(m)
				m.past[0].at = s.now().Add(-l.List)
			}
		}
	}
	s.lag = l
}

// announce tells everybody who waits that something changed.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) organization(slug string) *org {
	o, ok := s.orgs[slug]
	if !ok {
		o = &org{slug: slug, numeric: 1001 + uint64(len(s.orgs))}
		s.orgs[slug] = o
	}
	return o
}
