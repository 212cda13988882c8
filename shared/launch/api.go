package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultBaseURL = "https://api.machines.dev"
	// maxAnswer bounds an answer: a list of many thousand machines fits.
	maxAnswer = 32 << 20
)

// errNotSent marks a request that never left.
var errNotSent = errors.New("no connection")

// NewHTTP gives a client for a Launcher: it follows no redirect, which would carry the token
// elsewhere, and keeps few connections.
func NewHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:   true,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// List gives the runners' machines of the app, also those that are stopped or on their way out;
// machines that are something else are left out. The list is complete or an error: an answer that
// is not wholly understood never passes for one with fewer machines. It may lag behind creations
// by moments.
func (l *Launcher) List(ctx context.Context) ([]Machine, error) {
	var all []flyMachine
	if err := l.call(ctx, ask{method: http.MethodGet, path: "/machines"}, &all); err != nil {
		return nil, fmt.Errorf("list machines of %s: %w", l.App, err)
	}
	if all == nil {
		return nil, fmt.Errorf("list machines of %s: the answer is no list", l.App)
	}
	runners := make([]Machine, 0, len(all))
	for _, f := range all {
		if m, ok := f.machine(); ok {
			runners = append(runners, m)
		}
	}
	return runners, nil
}

// End destroys a machine, whatever it is doing. Ending a machine that is gone is no error.
func (l *Launcher) End(ctx context.Context, m Machine) error {
	err := l.call(ctx, ask{method: http.MethodDelete, path: "/machines/" + url.PathEscape(m.ID) + "?force=true"}, nil)
	var f refusal
	if errors.As(err, &f) && f.status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end machine %s of %s: %w", m.Name, l.App, err)
	}
	return nil
}

// Check asks whether runners could be launched: the settings make sense, Fly answers, and the token
// may read the app. It changes nothing.
func (l *Launcher) Check(ctx context.Context) error {
	if l.App == "" || l.Image == "" {
		return errors.New("launch: the runner app and the runner image are not set")
	}
	if _, err := ParseSize(l.Size); err != nil {
		return err
	}
	if l.Mint != "" {
		if err := privateEnough(l.GrantURL); err != nil {
			return fmt.Errorf("launch: runners get their tokens from the dispatcher: %w", err)
		}
		if _, _, err := read(l.Mint); err != nil {
			return fmt.Errorf("launch: FLYCD_MINT_TOKEN: %w", err)
		}
	}
	if err := l.call(ctx, ask{method: http.MethodGet}, nil); err != nil {
		return fmt.Errorf("read app %s: %w", l.App, err)
	}
	return nil
}

func (l *Launcher) create(ctx context.Context, req createRequest) (Machine, error) {
	var made flyMachine
	if err := l.call(ctx, ask{method: http.MethodPost, path: "/machines", body: req}, &made); err != nil {
		return Machine{}, fmt.Errorf("create machine: %w", err)
	}
	m, ok := made.machine()
	if !ok {
		return Machine{}, fmt.Errorf("create machine: Fly answered with machine %q named %q", made.ID, made.Name)
	}
	return m, nil
}

func (l *Launcher) read(ctx context.Context, id string) (Machine, bool, error) {
	var f flyMachine
	if err := l.call(ctx, ask{method: http.MethodGet, path: "/machines/" + url.PathEscape(id)}, &f); err != nil {
		return Machine{}, false, fmt.Errorf("read machine %s: %w", id, err)
	}
	m, ok := f.machine()
	return m, ok, nil
}

// ask is a request under the runner app.
type ask struct {
	method, path string
	// body is sent as JSON; nil sends none.
	body any
	// mint sends Mint instead of Token, and path is then all of it below /v1/apps.
	mint bool
}

// call makes one request. It never repeats one: what an error means is the caller's to judge.
func (l *Launcher) call(ctx context.Context, a ask, out any) error {
	req, err := l.newRequest(ctx, a)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	resp, err := l.client().Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return fmt.Errorf("%w: %w", errNotSent, err)
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return l.refused(resp, body, a)
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case len(body) > maxAnswer:
		return fmt.Errorf("read answer: more than %d bytes", maxAnswer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("understand answer: %w", err)
	}
	return nil
}

func (l *Launcher) client() *http.Client {
	if l.HTTP != nil {
		return l.HTTP
	}
	l.once.Do(func() { l.own = NewHTTP() })
	return l.own
}

func (l *Launcher) newRequest(ctx context.Context, a ask) (*http.Request, error) {
	var body io.Reader
	if a.body != nil {
		b, err := json.Marshal(a.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	base := l.BaseURL
	if base == "" {
		base = defaultBaseURL
	}
	token, path := l.Token, "/"+url.PathEscape(l.App)+a.path
	if a.mint {
		token, path = l.Mint, a.path
	}
	req, err := http.NewRequestWithContext(ctx, a.method, strings.TrimRight(base, "/")+"/v1/apps"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if a.body != nil {
		req.Header.Set("Content-Type", "application/json")
		// Without it the transport may send a request a second time when a kept connection turns
		// out to be closed.
		req.GetBody = nil
	}
	req.Header.Set("User-Agent", userAgent(l.UserAgent))
	req.Header.Set("Authorization", authorization(token))
	return req, nil
}

func userAgent(s string) string {
	if s == "" {
		return "flycd"
	}
	return s
}

// authorization gives a token its scheme: macaroons go by FlyV1, everything else is a bearer.
func authorization(token string) string {
	token = bare(token)
	for _, prefix := range []string{"fm1r_", "fm1a_", "fm2_"} {
		if strings.HasPrefix(token, prefix) || strings.Contains(token, ","+prefix) {
			return "FlyV1 " + token
		}
	}
	return "Bearer " + token
}

// bare is a token without its scheme.
func bare(token string) string {
	token = strings.TrimSpace(token)
	for _, scheme := range []string{"FlyV1 ", "Bearer "} {
		if len(token) > len(scheme) && strings.EqualFold(token[:len(scheme)], scheme) {
			token = strings.TrimSpace(token[len(scheme):])
		}
	}
	return token
}
