package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is far above what anything here takes.
const patience = 90 * time.Second

// door is a server that steps may reach. What they do there tells the test how far they are, and holds them until it
// goes on:
//
//	/say/NAME   keeps what is posted
//	/hold/NAME  answers when the test opens NAME
//	other paths are answered by answer
type door struct {
	t      *testing.T
	addr   string
	answer http.HandlerFunc

	mu    sync.Mutex
	gates map[string]*gate
}

// gate is what is known of a name.
type gate struct {
	came, opened, left chan struct{}
	once, opening      sync.Once
	said               string
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, gates: map[string]*gate{}, answer: http.NotFound}
	s := httptest.NewServer(d)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	d.addr = strings.TrimPrefix(s.URL, "http://")
	return d
}

func (d *door) gate(name string) *gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gates[name] == nil {
		d.gates[name] = &gate{came: make(chan struct{}), opened: make(chan struct{}), left: make(chan struct{})}
	}
	return d.gates[name]
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch verb {
	case "say":
		text, _ := io.ReadAll(r.Body)
		g := d.gate(name)
		g.said = string(text)
		g.once.Do(func() { close(g.came) })
	case "hold":
		g := d.gate(name)
		first := false
		g.once.Do(func() { first = true; close(g.came) })
		select {
		case <-g.opened:
		case <-r.Context().Done():
		}
		if first {
			close(g.left)
		}
	default:
		d.answer(w, r)
	}
}

// await waits until a step has come to name, and gives what it said.
func (d *door) await(name string) string {
	d.t.Helper()
	g := d.gate(name)
	d.pass(g.came, "nobody came to "+name)
	return g.said
}

// open lets those go on that wait at name.
func (d *door) open(name string) {
	g := d.gate(name)
	g.opening.Do(func() { close(g.opened) })
}

// gone waits until the one that waited at name is there no more.
func (d *door) gone(name string) {
	d.t.Helper()
	d.pass(d.gate(name).left, "who waited at "+name+" is still there")
}

func (d *door) pass(done <-chan struct{}, otherwise string) {
	d.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		d.t.Fatal(otherwise)
	}
}

// hold is a step that waits at name.
func (d *door) hold(name string) string {
	return "wget -q -O /dev/null http://" + d.addr + "/hold/" + name
}
