package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const (
	// Within is the time for a probe that names none.
	Within = time.Minute
	// one question may take a third of it, so that a connection that hangs does not spend it all, but not
	// less than shortestTry or more than longestTry.
	shortestTry = 2 * time.Second
	longestTry  = 15 * time.Second

	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second

	mostBody      = 1 << 20
	mostRedirects = 5
	mostAtOnce    = 4
)

// All asks all probes, a few side by side, and gives what is wrong with every one that failed. It waits for
// all of them.
func All(ctx context.Context, client *http.Client, probes []manifest.Probe) error {
	errs := make([]error, len(probes))
	var group errgroup.Group
	group.SetLimit(mostAtOnce)
	for i, p := range probes {
		group.Go(func() error {
			errs[i] = Ask(ctx, client, p)
			return nil
		})
	}
	_ = group.Wait() // it has no error of its own
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// Ask asks the probe's address until the answer is as it should be, and fails when that is not within the
// probe's time. The status is to be the probe's, or any from 200 to 399; redirects are followed unless the probe's
// status is one. The client's own rules for redirects are not used; a nil client is Go's default. When ctx ends it returns ctx's cause. A URL that can
// never be asked wraps job.ErrRejected. It is safe to repeat.
func Ask(ctx context.Context, client *http.Client, p manifest.Probe) error {
	req, err := http.NewRequest(http.MethodGet, p.URL, nil) //nolint:noctx // each question has a context of its own
	if err != nil || req.URL.Host == "" || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return job.Rejectf("verify: url: expected an address such as https://my-app.fly.dev/")
	}
	req.Header.Set("User-Agent", "flycd")
	within := Within
	if p.Within != nil && *p.Within > 0 {
		within = time.Duration(*p.Within)
	}
	a := asker{client: bounded(client, p.Status), request: req, probe: p, try: min(max(within/3, shortestTry), longestTry)}
	until, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := a.repeat(until); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("verify %s: %w (asked for %s)", shown(req.URL), err, within)
	}
	return nil
}

// bounded is the client with our rule for redirects: they are followed, unless one is what is asked for.
func bounded(client *http.Client, status int) *http.Client {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if status >= 300 && status <= 399 {
			return http.ErrUseLastResponse
		}
		if len(via) > mostRedirects {
			return errRedirects
		}
		return nil
	}
	return &c
}

// asker is a probe on its way.
type asker struct {
	client  *http.Client
	request *http.Request
	probe   manifest.Probe
	// try is the longest that one question may take.
	try time.Duration
}

// repeat asks until the answer is right or ctx ends; then it gives what was wrong with the last answer
// that was not cut off by the end.
func (a asker) repeat(ctx context.Context) error {
	var last error
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := a.once(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return last
		case <-timer.C:
		}
	}
}

// once asks once.
func (a asker) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.try)
	defer cancel()
	res, err := a.client.Do(a.request.Clone(ctx))
	if err != nil {
		return explain(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	if err := a.status(res.StatusCode); err != nil {
		return err
	}
	if a.probe.Contains == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, mostBody))
	if bytes.Contains(body, []byte(a.probe.Contains)) {
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("the answer broke off after %d bytes", len(body))
	case len(body) == mostBody:
		return fmt.Errorf("the first megabyte of the answer does not contain %q", a.probe.Contains)
	}
	return fmt.Errorf("the answer (%d bytes) does not contain %q", len(body), a.probe.Contains)
}

func (a asker) status(code int) error {
	switch {
	case a.probe.Status != 0 && code != a.probe.Status:
		return fmt.Errorf("it answers %d, expected %d", code, a.probe.Status)
	case a.probe.Status == 0 && (code < 200 || code > 399):
		return fmt.Errorf("it answers %d, expected 200 to 399", code)
	}
	return nil
}
