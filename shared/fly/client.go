package fly

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"
)

// Options are a client's settings. All but Token may be left zero.
type Options struct {
	// Token is one or several Fly tokens, as FLY_API_TOKEN has them, with or without a scheme.
	Token string
	// BaseURL is where the Machines API is. Empty leaves it to fly-go: FLY_FLAPS_BASE_URL, else
	// https://api.machines.dev.
	BaseURL string
	// APIBaseURL is where Fly's GraphQL and the logs are, UIEXBaseURL where releases and managed Postgres
	// are (FLY_API_BASE_URL and FLY_UIEX_BASE_URL of flyctl). Empty means https://api.fly.io, or BaseURL where
	// that is on this host: a simulated Fly is all of it at one address.
	APIBaseURL, UIEXBaseURL string
	// UserAgent is sent with each request; empty means flycd.
	UserAgent string
	// Transport sends the requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock that trust in leases is reckoned with; nil means time.Now. It must be
	// monotonic, as time.Now is.
	Now func() time.Time

	// LeaseTTL is how long Fly keeps a lease that is not refreshed, in whole seconds; zero means
	// 30 s. The other times of a lease follow from it: refreshed every sixth, no longer trusted a
	// tenth before its end, and a single write is given half of it.
	LeaseTTL time.Duration
	// LeaseWait is how long a lease that somebody else holds is waited for; zero means one and a
	// half times LeaseTTL, so that a dead deployer's leases are outlived.
	LeaseWait time.Duration
	// Smoke is how long a machine must have been up before it counts as running; zero means 10 s,
	// below zero none.
	Smoke time.Duration
	// Lag is how long what was just made may stay out of sight; zero means 5 s.
	Lag time.Duration
	// Poll is the pause between two looks at one thing; zero means 1 s, which is Fly's limit.
	Poll time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.LeaseTTL, 30*time.Second)
	o.LeaseTTL = max(o.LeaseTTL.Truncate(time.Second), time.Second)
	set(&o.LeaseWait, o.LeaseTTL*3/2)
	set(&o.Smoke, 10*time.Second)
	set(&o.Lag, 5*time.Second)
	set(&o.Poll, time.Second)
	if o.UserAgent == "" {
		o.UserAgent = "flycd"
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// refreshEvery leaves room for three lost refreshes within a lease's life.
func (o Options) refreshEvery() time.Duration { return o.LeaseTTL / 6 }

func (o Options) margin() time.Duration { return o.LeaseTTL / 10 }

// writeTime bounds a single write, and is the trust that must be left for one to start.
func (o Options) writeTime() time.Duration { return o.LeaseTTL / 2 }

func (o Options) leaseSeconds() int { return int(o.LeaseTTL / time.Second) }

// Client observes and changes apps on Fly. It is safe to share.
type Client struct {
	options Options
	flaps   *flaps.Client
	wire    *wire
	// rest is the way to what is not the Machines API.
	rest    *rest
	secrets *hidden
}

// New makes a client. It makes no connection. The error says which setting is wrong.
func New(ctx context.Context, o Options) (*Client, error) {
	o = o.withDefaults()
	if strings.TrimSpace(o.Token) == "" {
		return nil, reject(ErrRefused, "no Fly token: set FLY_API_TOKEN, or log in with `fly auth login`")
	}
	w := &wire{next: o.Transport, timeout: 30 * time.Second}
	var err error
	if w.base, err = address("Machines API", o.BaseURL); err != nil {
		return nil, err
	}
	toks := tokens.Parse(o.Token)
	r, err := newRest(o, toks, w.base)
	if err != nil {
		return nil, err
	}
	f, err := flaps.NewWithOptions(ctx, flaps.NewClientOpts{UserAgent: o.UserAgent, Tokens: toks, Transport: w})
	if err != nil {
		return nil, fmt.Errorf("make a client of the Machines API: %w", err)
	}
	c := &Client{options: o, flaps: f, wire: w, rest: r, secrets: &hidden{}}
	c.secrets.add(append(toks.GetMacaroonTokens(), toks.GetUserTokens()...)...)
	return c, nil
}

// address reads a base URL; an empty one is nil.
func address(of, text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("read the address of Fly's %s %q: expected http://host or https://host", of, text)
	}
	return base, nil
}

// appName is what Fly allows. fly-go puts names into paths as they are, so nothing else may get
// that far.
var appName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func checkName(app string) error {
	if !appName.MatchString(app) {
		return reject(nil, fmt.Sprintf("app %q: a name has lower-case letters, digits and dashes only, and at most 63 of them", app))
	}
	return nil
}

// atMost ends ctx after d, with cause, and keeps its own time. A claim's context names a deadline that is put off
// as long as the claim is renewed; context.WithTimeout would take it for one that comes anyway, and set no clock.
func atMost(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	clock := time.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		clock.Stop()
		cancel(context.Canceled)
	}
}

// sleep waits for d or until ctx ends, whichever is first, and reports ctx's end.
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
