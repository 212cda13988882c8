package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// bodyLimit bounds an answer: a hundred webhooks or comments fit.
	bodyLimit = 8 << 20
	// questions is how often a question is asked. What changes something is never repeated here.
	questions = 3
	firstWait = 200 * time.Millisecond
)

// bearer gives the token of a request.
type bearer interface {
	bearer(ctx context.Context) (string, error)
}

// fixed is a token that stays.
type fixed string

func (f fixed) bearer(context.Context) (string, error) { return string(f), nil }

// wire shows the token to the forge's own host and to nobody else, bounds what is read, and asks questions again that
// were not answered.
type wire struct {
	to   http.RoundTripper
	host string
	who  bearer
}

func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	req = req.Clone(ctx)
	if req.URL.Host == w.host {
		token, err := w.who.bearer(ctx)
		if err != nil {
			closeBody(req)
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	to := w.to
	if to == nil {
		to = http.DefaultTransport
	}
	resp, err := to.RoundTrip(req)
	for n := 1; n < questions && req.Method == http.MethodGet && passing(resp, err); n++ {
		if resp != nil {
			_ = resp.Body.Close()
		}
		if cause := sleep(ctx, firstWait<<(2*(n-1))); cause != nil {
			return nil, cause
		}
		resp, err = to.RoundTrip(req)
	}
	if err != nil {
		return nil, err
	}
	resp.Body = bounded{Reader: io.LimitReader(resp.Body, bodyLimit), Closer: resp.Body}
	return resp, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// passing tells whether it may help to ask again at once.
func passing(resp *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return resp.StatusCode >= 500 && resp.Header.Get("Retry-After") == ""
}

type bounded struct {
	io.Reader
	io.Closer
}

// sleep waits, or says why it did not.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// sameHost follows a moved repository, and nothing to elsewhere.
func sameHost(host string) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if len(via) > 4 || req.URL.Host != host || req.URL.Scheme != via[0].URL.Scheme {
			return fmt.Errorf("the forge sent us elsewhere: %w", http.ErrUseLastResponse)
		}
		return nil
	}
}
