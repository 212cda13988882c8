package forgesim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/fault"
	"github.com/gigurra/flycd/shared/source"
)

// Server is a simulated forge. Make it with New, close it with Close. It is safe for concurrent use.
type Server struct {
	opts Options
	mux  *http.ServeMux
	ctl  *http.ServeMux
	git  *source.Server
	temp string

	mu       sync.Mutex
	ahead    time.Duration
	ids      int64
	base     string
	repos    map[string]*repo
	minted   map[string]*minted
	rates    map[string]*rate
	faults   *fault.List
	requests map[string]int
	closed   bool
	servers  []closer
	ssh      sshInfo

	// outgoing deliveries are sent by carry; idle tells of new ones and of those that have landed, until none is
	// flying.
	outgoing []flight
	flying   int
	idle     *sync.Cond
	cancel   context.CancelFunc
	pushes   sync.Mutex
	done     chan struct{}
	wg       sync.WaitGroup
}

type closer interface{ Close() error }

// New starts a simulated forge. Close ends it.
func New(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	s := &Server{
		opts: opts, done: make(chan struct{}),
		repos: map[string]*repo{}, minted: map[string]*minted{}, rates: map[string]*rate{}, requests: map[string]int{},
	}
	s.faults = fault.New(opts.Seed, unsaid, s.done)
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "forgesim-*")
		if err != nil {
			return nil, fmt.Errorf("make folder of repositories: %w", err)
		}
		s.temp, s.opts.Dir = dir, dir
	}
	for _, a := range opts.Apps {
		if _, err := a.key(); err != nil {
			return nil, err
		}
	}
	s.idle = sync.NewCond(&s.mu)
	s.git = &source.Server{Dir: s.opts.Dir, Write: true}
	s.mux, s.ctl = s.routes(), s.controls()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Add(1)
	go s.carry(ctx)
	return s, nil
}

// Listen serves on addr ("127.0.0.1:0" for a free port) until Close and returns the base URL, which is also
// what clone URLs begin with.
func (s *Server) Listen(addr string) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	base := "http://" + ln.Addr().String()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, srv)
	s.base = base
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		_ = srv.Serve(ln) // always ends with http.ErrServerClosed or because the listener is gone
	}()
	return base, nil
}

// SetURL says where the server is reached, for who serves it otherwise than with Listen.
func (s *Server) SetURL(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = base
}

// Close ends listeners and deliveries, and returns when all are gone. It is safe to repeat.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	servers := s.servers
	if !again {
		close(s.done)
		s.cancel()
		s.idle.Broadcast()
	}
	s.mu.Unlock()
	var errs []error
	if !again {
		for _, srv := range servers {
			if err := srv.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, fmt.Errorf("close listener: %w", err))
			}
		}
	}
	s.Wait()
	s.wg.Wait()
	if s.temp != "" {
		if err := os.RemoveAll(s.temp); err != nil {
			errs = append(errs, fmt.Errorf("remove repositories: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Wait returns when no delivery is under way.
func (s *Server) Wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.flying > 0 {
		s.idle.Wait()
	}
}

// Advance moves the clock.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// now is the time; the caller holds mu.
func (s *Server) now() time.Time { return s.opts.Now().Add(s.ahead).UTC().Truncate(time.Second) }

// id counts up; the caller holds mu.
func (s *Server) id() int64 {
	s.ids++
	return 1000 + s.ids
}
