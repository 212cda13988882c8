package forgesim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
)

// buffer holds an answer until it is known whether it may leave.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newBuffer() *buffer { return &buffer{header: http.Header{}, status: http.StatusOK} }

// Header is for http.ResponseWriter.
func (b *buffer) Header() http.Header { return b.header }

// WriteHeader is for http.ResponseWriter.
func (b *buffer) WriteHeader(status int) { b.status = status }

// Write is for http.ResponseWriter.
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }

func (b *buffer) flush(w http.ResponseWriter) {
	for k, v := range b.header {
		w.Header()[k] = v
	}
	if b.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(b.body.Len()))
	}
	w.WriteHeader(b.status)
	_, _ = w.Write(b.body.Bytes()) // a client that is gone cannot be told
}

// become replaces the answer.
func (b *buffer) become(do Effect) {
	b.header, b.status = http.Header{"Content-Type": {"application/json; charset=utf-8"}}, do.Status
	if do.Status == http.StatusTooManyRequests {
		b.header.Set("Retry-After", "1")
	}
	for k, v := range do.Header {
		b.header.Set(k, v)
	}
	b.body.Reset()
	var text string
	switch {
	case len(do.Body) == 0:
		raw, _ := json.Marshal(obj{"message": cmp.Or(http.StatusText(do.Status), "fault")}) // strings always marshal
		b.body.Write(raw)
	case do.Body[0] == '"' && json.Unmarshal(do.Body, &text) == nil:
		b.body.WriteString(text)
	default:
		b.body.Write(do.Body)
	}
}
