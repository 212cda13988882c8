package flysim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"

	"github.com/gigurra/flycd/shared/fault"
)

const maxBody = 8 << 20

// call is one request on its way to an answer.
type call struct {
	r    *http.Request
	body []byte
	who  identity
	app  *app
	m    *machine
}

// answer is what goes back. A nil body is an empty one.
type answer struct {
	status int
	body   any
	header http.Header
}

// problem is the body of every refusal.
type problem struct {
	Error  string `json:"error"`
	Status string `json:"status,omitempty"`
}

func ok(body any) answer                 { return answer{status: http.StatusOK, body: body} }
func created(body any) answer            { return answer{status: http.StatusCreated, body: body} }
func empty(status int) answer            { return answer{status: status} }
func fail(status int, why string) answer { return answer{status: status, body: problem{Error: why}} }

func failf(status int, format string, args ...any) answer {
	return fail(status, fmt.Sprintf(format, args...))
}

// done is the body of successes that have nothing to say.
type done struct {
	OK bool `json:"ok"`
}

// scope is what a route's path names, looked up before the route runs.
type scope int

const (
	toNothing scope = iota
	toApp
	toMachine
)

// route is an endpoint: the mux pattern, what it does to what, and how.
type route struct {
	pattern string
	action  resset.Action
	scope   scope
	// leased routes need the nonce of a leased machine.
	leased bool
	// free routes take the lock themselves, because they wait.
	free bool
	run  func(*call) answer
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, group := range [][]route{
		s.appRoutes(), s.machineRoutes(), s.leaseRoutes(), s.secretRoutes(), s.keyRoutes(),
		s.volumeRoutes(), s.certificateRoutes(), s.platformRoutes(), s.webRoutes(), s.postgresRoutes(),
	} {
		for _, rt := range group {
			mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
		}
	}
	s.openRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, failf(http.StatusNotImplemented, "flysim does not simulate %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// ServeHTTP answers the Machines API below /v1, the part of Fly's other APIs that flyctl's deploy
// needs, and the simulator's own endpoints below /_sim. A dropped connection is a panic with
// http.ErrAbortHandler, which net/http servers know.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.issuer.learn(r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			status = http.StatusRequestEntityTooLarge
		}
		write(w, failf(status, "read body: %v", err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.ctl.ServeHTTP(w, r)
		return
	}
	out := fault.Hold()
	dropped := s.faults.Serve(out, fault.Of(r, body), func() { s.mux.ServeHTTP(out, r) })
	s.rec.note(r, body, out, dropped)
	if dropped {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Fly-Request-Id", s.requestID())
	out.Leave(w)
}

func (s *Server) requestID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ulid(s.clock.now()) + "-sim"
}

// serve is the way of every request: token, limits, what the path names, lease, then the route.
func (s *Server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		write(w, failf(http.StatusBadRequest, "read body: %v", err))
		return
	}
	c := &call{r: r, body: body}
	s.mu.Lock()
	s.settle()
	a, refused := s.admit(rt, c)
	if !refused && !rt.free {
		a = rt.run(c)
	}
	if refused || !rt.free {
		write(w, a) // under the lock: bodies share the state's slices and maps
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	write(w, rt.run(c))
}

func (s *Server) admit(rt route, c *call) (answer, bool) {
	var refused bool
	var a answer
	if c.who, a, refused = s.identify(c.r); refused {
		return a, true
	}
	if a, refused = s.limited(rt, c.r); refused {
		return a, true
	}
	if rt.scope == toNothing {
		return answer{}, false
	}
	name := c.r.PathValue("app")
	if s.foreign[name] {
		return fail(http.StatusForbidden, "unauthorized"), true
	}
	if c.app = s.apps[name]; c.app == nil {
		return fail(http.StatusNotFound, "app not found"), true
	}
	if a, refused = s.authorizeRoute(rt, c); refused {
		return a, true
	}
	if rt.scope == toApp {
		return answer{}, false
	}
	if c.m = s.find(c.app, c.r.PathValue("id")); c.m == nil {
		return fail(http.StatusNotFound, "machine not found"), true
	}
	if rt.leased {
		return s.leaseRefuses(c)
	}
	return answer{}, false
}

// find looks a machine up as a client may see it: not yet just after its creation, no longer some
// time after its end.
func (s *Server) find(a *app, id string) *machine {
	now := s.now()
	for _, m := range a.machines {
		if m.id != id {
			continue
		}
		if now.Before(m.created.Add(s.lag.Create)) || !m.alive() && now.After(m.gone.Add(s.opts.Remember)) {
			return nil
		}
		return m
	}
	return nil
}

// decode reads a JSON body; an empty one is the zero value.
func (c *call) decode(into any) (answer, bool) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return answer{}, true
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return failf(http.StatusBadRequest, "invalid_argument: invalid request body: %v", err), false
	}
	return answer{}, true
}

func write(w http.ResponseWriter, a answer) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	text, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // a client that is gone cannot be told
}

// seconds reads a whole number of seconds, with or without the unit.
func seconds(text string) (time.Duration, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "s"))
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of seconds", text)
	}
	return time.Duration(n) * time.Second, nil
}

// listed is a copy of a list that is never null in JSON.
func listed[T any](list []T) []T { return append([]T{}, list...) }
