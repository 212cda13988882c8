package fault

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// List is the faults of one simulator. Make it with New. It is safe for concurrent use.
type List struct {
	said func(text string) any
	done <-chan struct{}

	mu     sync.Mutex
	chance *rand.Rand
	faults []*State
}

// State is a Fault and how far it has got.
type State struct {
	Fault
	// Seen counts the requests that matched, Hits those that went wrong.
	Seen int `json:"seen"`
	Hits int `json:"hits"`
}

// New gives an empty list. said makes the body of a status that a fault gives without one; what waits goes on when done is
// closed.
func New(seed uint64, said func(text string) any, done <-chan struct{}) *List {
	return &List{
		said: said, done: done,
		chance: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // chances must repeat, not surprise
	}
}

// Set replaces the list; an empty one ends the faults.
func (l *List) Set(list ...Fault) error {
	fresh := make([]*State, 0, len(list))
	for i, f := range list {
		if err := f.check(); err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
		fresh = append(fresh, &State{Fault: f})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = fresh
	return nil
}

// States says how far each fault has got.
func (l *List) States() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]State, len(l.faults))
	for i, f := range l.faults {
		list[i] = *f
	}
	return list
}

// Request is what faults are matched with.
type Request struct {
	Method string
	// Path is without the query, URI with it.
	Path, URI string
	Body      []byte
	// Gone is closed when nobody waits for the answer any more.
	Gone <-chan struct{}
}

// Of gives a request whose body was read.
func Of(r *http.Request, body []byte) Request {
	return Request{Method: r.Method, Path: r.URL.Path, URI: r.URL.RequestURI(), Body: body, Gone: r.Context().Done()}
}

// Strike gives what happens to a request, from the first fault that hits it.
func (l *List) Strike(at Request) (Effect, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		if f.strikes(at, l.chance.Float64) {
			return f.Do, true
		}
	}
	return Effect{}, false
}

func (f *State) strikes(at Request, chance func() float64) bool {
	method := f.Match.Method
	if (method != "" || at.Method == Hook) && !strings.EqualFold(method, at.Method) || !bytes.Contains(at.Body, []byte(f.Match.Body)) {
		return false
	}
	if p := f.Match.Path; p != "" && !Glob(p, at.Path) && !Glob(p, at.URI) {
		return false
	}
	f.Seen++
	most := f.Do.Repeat
	if most == 0 {
		most = 1
		if f.Match.Probability > 0 {
			most = -1
		}
	}
	if f.Seen < max(1, f.Match.Nth) || most >= 0 && f.Hits >= most {
		return false
	}
	if p := f.Match.Probability; p > 0 && chance() >= p {
		return false
	}
	f.Hits++
	return true
}

// Serve serves a request as its fault allows, and reports whether the connection is to be cut.
func (l *List) Serve(out *Held, at Request, serve func()) (cut bool) {
	do, hit := l.Strike(at)
	if !hit {
		serve()
		return false
	}
	late := do.After || do.Drop == "after"
	if !late {
		l.Pause(do, at.Gone)
	}
	if late || do.Status == 0 && do.Drop == "" {
		serve()
	}
	if late {
		l.Pause(do, at.Gone)
	}
	if do.Status != 0 {
		out.become(do, l.said)
	}
	return do.Drop != ""
}

// Pause waits as long as the effect says, unless nobody waits for it any more.
func (l *List) Pause(do Effect, gone <-chan struct{}) {
	if do.DelayMS == 0 {
		return
	}
	select {
	case <-time.After(time.Duration(do.DelayMS) * time.Millisecond):
	case <-gone:
	case <-l.done:
	}
}
