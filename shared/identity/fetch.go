package identity

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// fetchTime bounds one request to an issuer.
	fetchTime = 10 * time.Second
	// fetchPause is how long the same address is not asked again.
	fetchPause = 10 * time.Second
	// maxDocument bounds an answer: GitHub's keys have 5 kB.
	maxDocument = 1 << 20
)

// unreachable marks a request to an issuer that got no usable answer.
type unreachable struct{ err error }

func (u *unreachable) Error() string { return u.err.Error() }
func (u *unreachable) Unwrap() error { return u.err }

// guarded is a client that fetches documents of issuers: over https or on this host, bounded, without following
// redirects, and no address twice within moments.
func guarded(base *http.Client, now func() time.Time) *http.Client {
	client := http.Client{Timeout: fetchTime}
	if base != nil {
		client = *base
		client.Timeout = fetchTime
	}
	g := &guard{next: client.Transport, now: now, closed: map[string]time.Time{}}
	if g.next == nil {
		g.next = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true}
	}
	client.Transport = g
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// guard is the transport of guarded.
type guard struct {
	next http.RoundTripper
	now  func() time.Time

	mu sync.Mutex
	// closed says until when an address is not asked.
	closed map[string]time.Time
}

// RoundTrip fetches a document, or says why not with an *unreachable.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !onThisHost(req.URL.Hostname())) {
		return nil, &unreachable{fmt.Errorf("%s is not asked: keys are fetched over https alone", req.URL.Redacted())}
	}
	address := req.URL.String()
	if !g.admit(address) {
		return nil, &unreachable{fmt.Errorf("%s was asked moments ago; try again in some seconds", req.URL.Host)}
	}
	resp, err := g.fetch(req)
	if err != nil {
		g.soon(address)
		return nil, &unreachable{err}
	}
	return resp, nil
}

// fetch gives an answer whose body has been read.
func (g *guard) fetch(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answered %d", req.URL.Host, resp.StatusCode)
	case err != nil:
		return nil, err
	case len(body) > maxDocument:
		return nil, fmt.Errorf("%s answered with more than %d bytes", req.URL.Host, maxDocument)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// admit reports whether the address may be asked now, and keeps it from being asked again for a while.
func (g *guard) admit(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now().Before(g.closed[address]) {
		return false
	}
	g.closed[address] = g.now().Add(fetchPause)
	return true
}

// soon lets an address that gave nothing be asked again in a moment.
func (g *guard) soon(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed[address] = g.now().Add(time.Second)
}

func onThisHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
