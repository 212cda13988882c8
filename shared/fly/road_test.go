package fly

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"
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
