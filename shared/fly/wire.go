package fly

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/fly-go/flaps"
)

const (
	// maxAnswer bounds an answer's body: a list of a thousand machines with their events is a few MB.
	maxAnswer = 64 << 20
	// maxRefusals is how often a read that was answered 429 is sent again. A write is only held back
	// as long as Fly asks: whoever made it looks before sending it again.
	maxRefusals = 4
	maxPause    = 30 * time.Second
)

// wire is the transport under fly-go's own. doc.go says why each of its duties is there.
type wire struct {
	next http.RoundTripper
	// base replaces scheme, host and the path's beginning; nil leaves them.
	base *url.URL
	// timeout bounds one request, a wait excepted.
	timeout time.Duration
}

// call goes along with one call of fly-go, in its context: what fly-go's types have no room for.
type call struct {
	// config and version, where they are set, become config and current_version in the request.
	config  json.RawMessage
	version string
	// read marks a request that changes nothing although it is not a GET: a query of GraphQL.
	read bool
	// answer is the body of the last answer, byte for byte.
	answer []byte
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// noAnswer is a write of which it is not known whether it took effect. It has no Temporary method,
// so fly-go does not send the write again by itself.
type noAnswer struct{ err error }

func (e *noAnswer) Error() string { return e.err.Error() }
func (e *noAnswer) Unwrap() error { return e.err }

// badGateway is a 502 or 503 to a write, kept away from fly-go, which would send it again.
type badGateway struct {
	status int
	body   []byte
}

func (e *badGateway) Error() string { return fmt.Sprintf("answered %d", e.status) }

// RoundTrip sends one request of fly-go.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	c, _ := req.Context().Value(callKey{}).(*call)
	if body, err = c.lay(body); err != nil {
		return nil, err
	}
	write := req.Method != http.MethodGet && (c == nil || !c.read)
	for try := 0; ; try++ {
		resp, answer, err := w.once(w.ready(req, body))
		switch {
		case err != nil && write:
			return nil, &noAnswer{err}
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusTooManyRequests && try < maxRefusals && pause(req.Context(), resp.Header, try) && !write:
			continue
		case write && (resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable):
			return nil, &badGateway{resp.StatusCode, answer}
		}
		if c != nil {
			c.answer = answer
		}
		return resp, nil
	}
}

// once makes one exchange and reads the answer to its end, so that a connection that is cut in the
// middle of a body is an error like any other.
func (w *wire) once(req *http.Request) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(req.Context(), w.patience(req))
	defer cancel()
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return nil, nil, fmt.Errorf("read answer: longer than %d bytes", maxAnswer)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, answer, nil
}

func (w *wire) patience(req *http.Request) time.Duration {
	if s, err := strconv.Atoi(req.URL.Query().Get("timeout")); err == nil && req.Method == http.MethodGet {
		return w.timeout + time.Duration(s)*time.Second
	}
	return w.timeout
}

// ready makes the request that is sent: to our address, with our body, without the empty nonce that
// asks for a new lease.
func (w *wire) ready(req *http.Request, body []byte) *http.Request {
	out := req.Clone(req.Context())
	if w.base != nil {
		out.URL.Scheme, out.URL.Host, out.Host = w.base.Scheme, w.base.Host, w.base.Host
		out.URL.Path, out.URL.RawPath = strings.TrimSuffix(w.base.Path, "/")+req.URL.Path, ""
	}
	setNonce(out.Header)
	if body == nil {
		out.Body, out.ContentLength = nil, 0
		return out
	}
	out.ContentLength = int64(len(body))
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return out
}

// setNonce drops an empty nonce. fly-go writes the header in lower case, past the canonical form, so
// Get does not see it.
func setNonce(h http.Header) {
	nonces := h[flaps.NonceHeader]
	delete(h, flaps.NonceHeader)
	if len(nonces) > 0 && nonces[0] != "" {
		h.Set(flaps.NonceHeader, nonces[0])
	}
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body)
	if cerr := req.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return body, nil
}

// lay puts into the request what fly-go's types cannot say.
func (c *call) lay(body []byte) ([]byte, error) {
	if c == nil || len(body) == 0 || (c.config == nil && c.version == "") {
		return body, nil
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if c.config != nil {
		fields["config"] = c.config
	}
	if c.version != "" {
		v, err := json.Marshal(c.version)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		fields["current_version"] = v
	}
	return json.Marshal(fields)
}

// pause waits as long as a 429 asks, and reports whether that fits into what is left of ctx.
func pause(ctx context.Context, h http.Header, try int) bool {
	d := time.Second << try
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s >= 0 {
		d = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		d = time.Until(at)
	}
	d = min(max(d, 100*time.Millisecond), maxPause)
	d += rand.N(d/4 + 1) //nolint:gosec // jitter, not a secret
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return false
	}
	return sleep(ctx, d) == nil
}
