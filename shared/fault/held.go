package fault

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
)

// Held is an answer until it is known whether it may leave.
type Held struct {
	Status int
	Body   bytes.Buffer

	header http.Header
}

// Hold gives an empty answer, whose status is 200.
func Hold() *Held { return &Held{header: http.Header{}, Status: http.StatusOK} }

// Header is for http.ResponseWriter.
func (b *Held) Header() http.Header { return b.header }

// WriteHeader is for http.ResponseWriter.
func (b *Held) WriteHeader(status int) { b.Status = status }

// Write is for http.ResponseWriter.
func (b *Held) Write(p []byte) (int, error) { return b.Body.Write(p) }

// Leave lets the answer go.
func (b *Held) Leave(w http.ResponseWriter) {
	for k, v := range b.header {
		w.Header()[k] = v
	}
	if b.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(b.Body.Len()))
	}
	w.WriteHeader(b.Status)
	_, _ = w.Write(b.Body.Bytes()) // a client that is gone cannot be told
}

// become replaces the answer.
func (b *Held) become(do Effect, said func(text string) any) {
	b.header, b.Status = http.Header{"Content-Type": {"application/json; charset=utf-8"}}, do.Status
	if do.Status == http.StatusTooManyRequests {
		b.header.Set("Retry-After", "1")
	}
	for k, v := range do.Header {
		b.header.Set(k, v)
	}
	b.Body.Reset()
	var text string
	switch {
	case len(do.Body) == 0:
		raw, _ := json.Marshal(said(cmp.Or(http.StatusText(do.Status), "fault"))) // strings always marshal
		b.Body.Write(raw)
	case do.Body[0] == '"' && json.Unmarshal(do.Body, &text) == nil:
		b.Body.WriteString(text)
	default:
		b.Body.Write(do.Body)
	}
}
