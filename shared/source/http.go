package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// An error page is only looked at for its status.
const errorBodyBytes = 4 << 10

// sharedTransport gives the connections of all clients that have none of their own.
var sharedTransport = sync.OnceValue(func() http.RoundTripper { //nolint:gochecknoglobals // one pool of connections per process, made when first needed
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
		// a pack is compressed already
		DisableCompression: true,
	}
})

const refsType = "application/x-git-upload-pack-advertisement"

var errNoGit = errors.New("the server answers, but not as a git server does: check the URL")

var errStalled = errors.New("the server stopped sending")

// bounded ends answers that are too long, and those that stop coming.
type bounded struct {
	next       http.RoundTripper
	refs, pack int64
	stall      time.Duration
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := b.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	limit, what := b.pack, "commit"
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, errorBodyBytes), resp.Body}
		limit = errorBodyBytes
	case strings.HasSuffix(req.URL.Path, "/info/refs"):
		limit, what = b.refs, "list of refs"
		if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); kind != refsType {
			cancel(nil)
			_ = resp.Body.Close()
			return nil, job.Reject(errNoGit)
		}
	}
	body := &boundedBody{body: resp.Body, left: limit, limit: limit, what: what, stall: b.stall}
	body.timer = time.AfterFunc(b.stall, func() { cancel(errStalled) })
	body.cancel = cancel
	body.cause = func() error { return context.Cause(ctx) }
	resp.Body = body
	return resp, nil
}

type boundedBody struct {
	body        io.ReadCloser
	left, limit int64
	what        string
	stall       time.Duration
	timer       *time.Timer
	cancel      context.CancelCauseFunc
	cause       func() error
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, job.Reject(tooMuch(b.what, b.limit))
	}
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(b.cause(), errStalled) {
		err = fmt.Errorf("%w for %s", errStalled, b.stall)
	}
	return n, err
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

func tooMuch(what string, limit int64) error {
	return fmt.Errorf("the %s is larger than the limit of %s: raise the limit or make the repository smaller", what, size(limit))
}

func size(n int64) string {
	for _, u := range []struct {
		n    int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.n {
			return fmt.Sprintf("%.4g %s", float64(n)/float64(u.n), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
