package forgesim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the forge signs with both
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/fault"
)

const (
	maxAnswer    = 64 << 10
	keptDelivery = 1000
)

// delivery is one sending of a notice to a hook.
type delivery struct {
	id, redeliveryOf   int64
	guid               string
	event, action, url string
	at                 time.Time
	took               time.Duration
	status             string
	code               int
	request, response  map[string]string
	payload            []byte
	answer             string
	landed             chan struct{}
}

// notice is what hooks are told.
type notice struct {
	event, action string
	payload       obj
}

func (s *Server) deliveryRoutes() []route {
	const all = "/repos/{owner}/{repo}/hooks/{id}/deliveries"
	return []route{
		{pattern: "GET " + all, needs: "repository_hooks:read", run: s.listDeliveries},
		{pattern: "GET " + all + "/{delivery}", needs: "repository_hooks:read", run: s.showDelivery},
		{pattern: "POST " + all + "/{delivery}/attempts", needs: "repository_hooks:write", run: s.redeliver},
	}
}

// tell sends a notice to the repository's hooks that want it. The caller holds mu.
func (s *Server) tell(r *repo, n notice) []*delivery {
	var out []*delivery
	for _, h := range r.hooks {
		if h.active && (slices.Contains(h.events, n.event) || slices.Contains(h.events, "*")) {
			out = append(out, s.deliver(h, n))
		}
	}
	return out
}

// deliver sends a notice to one hook. The caller holds mu.
func (s *Server) deliver(h *hook, n notice) *delivery {
	text, _ := json.Marshal(n.payload) // views always marshal
	return s.send(h, &delivery{guid: guid(), event: n.event, action: n.action, payload: text})
}

// send begins a delivery. The caller holds mu.
func (s *Server) send(h *hook, d *delivery) *delivery {
	d.id, d.at, d.url, d.landed, d.status = s.id(), s.now(), h.url, make(chan struct{}), "pending"
	h.deliveries = append(h.deliveries, d)
	if len(h.deliveries) > keptDelivery {
		h.deliveries = h.deliveries[1:]
	}
	body, kind := d.payload, "application/json"
	if h.contentType == "form" {
		body, kind = []byte(url.Values{"payload": {string(d.payload)}}.Encode()), "application/x-www-form-urlencoded"
	}
	d.request = map[string]string{
		"Accept": "*/*", "Content-Type": kind, "User-Agent": "GitHub-Hookshot/forgesim", "X-GitHub-Event": d.event, "X-GitHub-Delivery": d.guid,
		"X-GitHub-Hook-ID": strconv.FormatInt(h.id, 10), "X-GitHub-Hook-Installation-Target-Type": "repository",
		"X-GitHub-Hook-Installation-Target-ID": strconv.FormatInt(h.repo.id, 10),
	}
	if h.secret != "" {
		d.request["X-Hub-Signature"] = "sha1=" + sign(sha1.New, h.secret, body)
		d.request["X-Hub-Signature-256"] = "sha256=" + sign(sha256.New, h.secret, body)
	}
	path := "/" + h.repo.full() + "/" + d.event
	s.flying++
	s.outgoing = append(s.outgoing, flight{h, d, path, body})
	s.idle.Broadcast()
	return d
}

// flight is a delivery on its way.
type flight struct {
	hook *hook
	*delivery
	path string
	body []byte
}

// carry sends what is to go out, each beside the others, until the server is closed.
func (s *Server) carry(ctx context.Context) {
	defer s.wg.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for _, f := range s.outgoing {
			go s.fly(ctx, f)
		}
		s.outgoing = nil
		if s.closed {
			return
		}
		s.idle.Wait()
	}
}

// fly sends a delivery once and notes what came of it.
func (s *Server) fly(ctx context.Context, f flight) {
	begun := time.Now()
	got := s.post(ctx, f)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.took, f.code, f.status, f.answer, f.response = time.Since(begun), got.code, got.status, got.body, got.header
	f.hook.answered(f.delivery)
	close(f.landed)
	s.flying--
	s.idle.Broadcast()
}

// answered notes how the last delivery ended, in the words that GitHub shows.
func (h *hook) answered(d *delivery) {
	h.lastCode, h.lastStatus, h.lastMessage = d.code, "active", d.status
	switch {
	case d.code == 0:
		h.lastStatus = "timeout"
	case d.code < 200 || d.code > 299:
		h.lastStatus, h.lastMessage = "misconfigured", fmt.Sprintf("Invalid HTTP Response: %d", d.code)
	}
}

// got is what a hook answered.
type got struct {
	code         int
	status, body string
	header       map[string]string
}

// post sends a delivery once, as its fault allows. It holds no lock.
func (s *Server) post(ctx context.Context, f flight) got {
	ctx, cancel := context.WithTimeout(ctx, s.opts.HookTimeout)
	defer cancel()
	do, hit := s.faults.Strike(fault.Request{Method: fault.Hook, Path: f.path, URI: f.path, Body: f.body})
	if hit {
		s.faults.Pause(do, ctx.Done())
	}
	if do.Status != 0 {
		return got{code: do.Status, status: http.StatusText(do.Status)}
	}
	if do.Drop == "before" {
		return got{status: "failed to connect to host"}
	}
	out := s.request(ctx, f)
	s.opts.Log.InfoContext(ctx, "delivered", "event", f.event, "guid", f.guid, "code", out.code)
	if do.Drop == "after" {
		return got{status: "timed out"}
	}
	return out
}

func (s *Server) request(ctx context.Context, f flight) got {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(f.body))
	if err != nil {
		return got{status: err.Error()}
	}
	for k, v := range f.request {
		req.Header.Set(k, v)
	}
	resp, err := s.opts.HTTP.RoundTrip(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return got{status: "timed out"}
	}
	if err != nil {
		return got{status: "failed to connect to host"}
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return got{status: "timed out"}
	}
	out := got{code: resp.StatusCode, status: cmp.Or(http.StatusText(resp.StatusCode), "OK"), body: string(text), header: map[string]string{}}
	for k, v := range resp.Header {
		out.header[k] = strings.Join(v, ", ")
	}
	return out
}

func sign(h func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(h, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// guid is unlike any other, also of another server.
func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// secretText is a token's random part.
func secretText() string { return rand.Text() }

func (d *delivery) view(h *hook) obj {
	var action any
	if d.action != "" {
		action = d.action
	}
	return obj{
		"id": d.id, "guid": d.guid, "delivered_at": d.at, "redelivery": d.redeliveryOf != 0, "duration": d.took.Seconds(),
		"status": d.status, "status_code": d.code, "event": d.event, "action": action, "installation_id": nil,
		"repository_id": h.repo.id, "url": d.url,
	}
}

// listDeliveries shows the newest first; its pages have cursors.
func (s *Server) listDeliveries(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	q := c.r.URL.Query()
	size, _ := strconv.Atoi(cmp.Or(q.Get("per_page"), "30")) // what is no number is 0
	size = min(max(1, size), 100)
	before, _ := strconv.ParseInt(strings.TrimPrefix(q.Get("cursor"), "v1_"), 10, 64) // none is 0
	list, header := []obj{}, http.Header{}
	for _, d := range slices.Backward(h.deliveries) {
		if before != 0 && d.id >= before {
			continue
		}
		if len(list) == size {
			next := fmt.Sprintf("v1_%v", list[size-1]["id"])
			header.Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", s.linked(c.r, url.Values{"cursor": {next}})))
			break
		}
		list = append(list, d.view(h))
	}
	return answer{http.StatusOK, list, header}
}

func (c *call) delivery() (*hook, *delivery) {
	h := c.hook()
	if h == nil {
		return nil, nil
	}
	for _, d := range h.deliveries {
		if d.id == c.number("delivery") {
			return h, d
		}
	}
	return nil, nil
}

func (s *Server) showDelivery(c *call) answer {
	h, d := c.delivery()
	if d == nil {
		return notFound()
	}
	v := d.view(h)
	answered, _ := json.Marshal(d.answer) // texts always marshal
	v["request"] = obj{"headers": d.request, "payload": json.RawMessage(d.payload)}
	v["response"] = obj{"headers": d.response, "payload": json.RawMessage(answered)}
	return ok(v)
}

// redeliver sends a delivery again, with its own id, signed with the secret of now.
func (s *Server) redeliver(c *call) answer {
	h, d := c.delivery()
	if d == nil {
		return notFound()
	}
	s.send(h, &delivery{guid: d.guid, event: d.event, action: d.action, payload: d.payload, redeliveryOf: d.id})
	return answer{status: http.StatusAccepted, body: obj{}}
}
