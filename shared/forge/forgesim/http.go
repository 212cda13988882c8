package forgesim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gigurra/flycd/shared/fault"
)

const (
	maxBody = 8 << 20
	docs    = "https://docs.github.com/rest"
)

// obj is a JSON object.
type obj = map[string]any

// call is one request on its way to an answer.
type call struct {
	r    *http.Request
	body []byte
	who  identity
	repo *repo
}

// answer is what goes back. A nil body is an empty one.
type answer struct {
	status int
	body   any
	header http.Header
}

func ok(body any) answer      { return answer{status: http.StatusOK, body: body} }
func created(body any) answer { return answer{status: http.StatusCreated, body: body} }
func empty() answer           { return answer{status: http.StatusNoContent} }

func fail(status int, why string) answer {
	return answer{status: status, body: obj{"message": why, "documentation_url": docs}}
}

func notFound() answer { return fail(http.StatusNotFound, "Not Found") }

// invalid is GitHub's answer to what it understands and will not take.
func invalid(resource, field, why string) answer {
	problem := obj{"resource": resource, "code": "custom", "message": why}
	if field != "" {
		problem["field"] = field
	}
	return answer{status: http.StatusUnprocessableEntity, body: obj{
		"message": "Validation Failed", "errors": []obj{problem}, "documentation_url": docs,
	}}
}

// route is an endpoint: the mux pattern, what a token must be allowed to do, and how. A pattern with an owner and
// a repository is about that one.
type route struct {
	pattern string
	// needs is a permission and a level, such as statuses:write; empty: none but to see the repository.
	needs string
	// app routes want an App's JWT.
	app bool
	// free routes take the lock themselves.
	free bool
	run  func(*call) answer
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, group := range [][]route{
		s.repoRoutes(), s.hookRoutes(), s.deliveryRoutes(), s.statusRoutes(), s.deploymentRoutes(), s.commentRoutes(),
		s.pullRoutes(), s.appRoutes(), s.metaRoutes(),
	} {
		for _, rt := range group {
			mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, fail(http.StatusNotImplemented, fmt.Sprintf("forgesim does not simulate %s %s", r.Method, r.URL.Path)))
	})
	return mux
}

// ServeHTTP answers the API, git and the simulator's own endpoints. A dropped connection is a panic with
// http.ErrAbortHandler, which net/http servers know.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limit := int64(maxBody)
	if isGit(r) {
		limit = 256 << 20
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		status := http.StatusBadRequest
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			status = http.StatusRequestEntityTooLarge
		}
		write(w, fail(status, "read body: "+err.Error()))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.opts.Log.InfoContext(r.Context(), "asked", "method", r.Method, "path", r.URL.Path)
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.ctl.ServeHTTP(w, r)
		return
	}
	out := fault.Hold()
	dropped := s.faults.Serve(out, fault.Of(r, body), func() {
		if isGit(r) {
			s.serveGit(out, r)
			return
		}
		s.mux.ServeHTTP(out, unprefixed(r))
	})
	if dropped {
		panic(http.ErrAbortHandler)
	}
	out.Leave(w)
}

// unprefixed takes off what Enterprise servers have before the API's paths.
func unprefixed(r *http.Request) *http.Request {
	rest, found := strings.CutPrefix(r.URL.Path, "/api/v3/")
	if !found {
		return r
	}
	u := *r.URL
	u.Path, u.RawPath = "/"+rest, strings.TrimPrefix(u.RawPath, "/api/v3")
	short := *r
	short.URL = &u
	return &short
}

// serve is the way of every request: token, rate, repository, permission, then the route.
func (s *Server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		write(w, fail(http.StatusBadRequest, err.Error()))
		return
	}
	c := &call{r: r, body: body}
	s.mu.Lock()
	s.requests[rt.pattern]++
	a, refused := s.admit(rt, c, w.Header())
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

func (s *Server) admit(rt route, c *call, header http.Header) (answer, bool) {
	var a answer
	var refused bool
	if c.who, a, refused = s.identify(c.r); refused {
		return a, true
	}
	if a, refused = s.limited(c.who, header); refused {
		return a, true
	}
	if rt.app != (c.who.app != nil) {
		if rt.app {
			return fail(http.StatusUnauthorized, "A JSON web token could not be decoded"), true
		}
		return fail(http.StatusForbidden, "You must authenticate with an installation access token or a person's token to use this endpoint"), true
	}
	owner, name := c.r.PathValue("owner"), c.r.PathValue("repo")
	if name == "" || rt.app {
		return answer{}, false
	}
	c.repo = s.find(owner, name)
	if c.repo == nil || !s.sees(c.who, c.repo) {
		return notFound(), true
	}
	if c.who.login == "" && !c.who.may(rt.needs, !c.repo.private) {
		return fail(http.StatusUnauthorized, "Requires authentication"), true
	}
	reading := strings.HasSuffix(rt.needs, ":read") && !strings.HasPrefix(rt.needs, "repository_hooks") || rt.needs == ""
	if !c.who.reaches(c.repo) && !reading { // it is public, and somebody else's
		return notFound(), true
	}
	if !c.who.may(rt.needs, !c.repo.private) {
		a := fail(http.StatusForbidden, "Resource not accessible by "+c.who.kind())
		a.header = http.Header{"X-Accepted-Github-Permissions": {strings.ReplaceAll(rt.needs, ":", "=")}}
		return a, true
	}
	return answer{}, false
}

// decode reads a JSON body; an empty one is the zero value.
func (c *call) decode(into any) (answer, bool) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return answer{}, true
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON"), false
	}
	return answer{}, true
}

// number reads a number in the path; what is none is 0, which nothing has.
func (c *call) number(name string) int64 {
	n, err := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// page cuts a list into pages, with the links that clients follow.
func page[T any](s *Server, c *call, list []T) (part []T, header http.Header) {
	q := c.r.URL.Query()
	size, _ := strconv.Atoi(cmp.Or(q.Get("per_page"), "30")) // what is no number is 0
	size = min(max(1, size), 100)
	at, _ := strconv.Atoi(cmp.Or(q.Get("page"), "1")) // what is no number is 0
	at = max(1, at)
	from := min(len(list), (at-1)*size)
	to := min(len(list), from+size)
	last := max(1, (len(list)+size-1)/size)
	var links []string
	link := func(n int, rel string) {
		links = append(links, fmt.Sprintf("<%s>; rel=%q", s.linked(c.r, url.Values{"page": {strconv.Itoa(n)}}), rel))
	}
	if at > 1 {
		link(at-1, "prev")
		link(1, "first")
	}
	if at < last {
		link(at+1, "next")
		link(last, "last")
	}
	header = http.Header{}
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ", "))
	}
	return append([]T{}, list[from:to]...), header
}

// linked is the request's own URL with other parameters.
func (s *Server) linked(r *http.Request, change url.Values) string {
	q := r.URL.Query()
	for k, v := range change {
		q[k] = v
	}
	return s.base + r.URL.Path + "?" + q.Encode()
}

func paged[T any](s *Server, c *call, list []T) answer {
	part, header := page(s, c, list)
	return answer{http.StatusOK, part, header}
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
