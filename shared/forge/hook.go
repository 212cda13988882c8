package forge

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/job"
)

// Hook is a webhook as it should be.
type Hook struct {
	// URL is where deliveries go. It tells hooks apart: there is one for each.
	URL string
	// Secret signs the deliveries. It cannot be read back, and so is set whenever it is given; empty leaves the one that
	// the hook has.
	Secret string
	// Events are those that are sent; empty means push.
	Events []string
}

// HookState is a webhook as it is.
type HookState struct {
	ID     int64    `json:"id"`
	URL    string   `json:"url"`
	Events []string `json:"events"`
	Active bool     `json:"active"`
	// Signed is true where the hook has a secret, JSON where it sends JSON, Verified where the address's certificate is
	// checked.
	Signed   bool `json:"signed"`
	JSON     bool `json:"json"`
	Verified bool `json:"verified"`
	// Last is the status that the last delivery was answered with; zero where there was none, or no answer.
	Last int `json:"last,omitempty"`
	// Change says what EnsureHook did: created, mended, or nothing.
	Change string `json:"change,omitempty"`
}

// Right reports whether a hook does what is wanted, as far as it shows.
func (s HookState) Right(want Hook) bool {
	return sameAddress(s.URL, want.URL) && s.Active && s.Signed && s.JSON && s.Verified && sameEvents(s.Events, want.events())
}

func (h Hook) events() []string {
	if len(h.Events) == 0 {
		return []string{"push"}
	}
	return h.Events
}

func sameEvents(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// sameAddress compares as servers do: the host's case, the scheme's own port and a last slash do not count.
func sameAddress(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	if errX != nil || errY != nil {
		return a == b
	}
	return strings.EqualFold(x.Scheme, y.Scheme) && strings.EqualFold(x.Hostname(), y.Hostname()) && portOf(x) == portOf(y) &&
		strings.TrimSuffix(x.EscapedPath(), "/") == strings.TrimSuffix(y.EscapedPath(), "/") && x.RawQuery == y.RawQuery
}

func portOf(u *url.URL) string {
	if strings.EqualFold(u.Scheme, "http") {
		return cmp.Or(u.Port(), "80")
	}
	return cmp.Or(u.Port(), "443")
}

// FindHooks lists the repository's webhooks that deliver to the address, oldest first; all of them where it is empty.
func (c *Client) FindHooks(ctx context.Context, repo, address string) ([]HookState, error) {
	p, err := c.open(ctx, repo, ForHooks)
	if err != nil {
		return nil, err
	}
	var list []HookState
	opts := github.ListOptions{PerPage: 100}
	for range pages {
		page, resp, err := p.api.Repositories.ListHooks(ctx, p.owner, p.name, &opts)
		if err != nil {
			return nil, c.failure(err, "list webhooks of %s", p)
		}
		for _, h := range page {
			if s := hookState(h); address == "" || sameAddress(s.URL, address) {
				list = append(list, s)
			}
		}
		if opts.Page = resp.NextPage; opts.Page == 0 {
			break
		}
	}
	slices.SortFunc(list, func(a, b HookState) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

func hookState(h *github.Hook) HookState {
	cfg := h.Config
	if cfg == nil {
		cfg = &github.HookConfig{}
	}
	s := HookState{
		ID: h.GetID(), URL: cfg.GetURL(), Events: h.Events, Active: h.GetActive(),
		Signed: cfg.GetSecret() != "", JSON: cfg.GetContentType() == "json", Verified: cfg.GetInsecureSSL() != "1",
	}
	if code, ok := h.LastResponse["code"].(float64); ok {
		s.Last = int(code)
	}
	return s
}

// EnsureHook makes the webhook as it should be: one that is there is mended, a further one for the same address is
// deleted, and a missing one is created. Safe to repeat: a lost answer never makes a second hook. Creating one without a
// secret is rejected.
func (c *Client) EnsureHook(ctx context.Context, repo string, want Hook) (HookState, error) {
	var err error
	for range questions {
		var s HookState
		if s, err = c.ensureHook(ctx, repo, want); err == nil || !again(err) {
			return s, err
		}
		if cause := sleep(ctx, firstWait); cause != nil {
			return HookState{}, cause
		}
	}
	return HookState{}, err
}

// again tells whether looking anew may help: nothing was answered, the forge is in trouble, or somebody was quicker.
func again(err error) bool {
	code := status(err)
	return !errors.Is(err, ErrDenied) && cancelled(err) == nil && (code == 0 && !errors.Is(err, job.ErrRejected) || code >= 500 ||
		code == http.StatusUnprocessableEntity && strings.Contains(err.Error(), "already exists"))
}

func (c *Client) ensureHook(ctx context.Context, repo string, want Hook) (HookState, error) {
	have, err := c.FindHooks(ctx, repo, want.URL)
	if err != nil {
		return HookState{}, err
	}
	if len(have) == 0 {
		return c.createHook(ctx, repo, want)
	}
	for _, second := range have[1:] {
		if err := c.RemoveHook(ctx, repo, second.ID); err != nil {
			return HookState{}, err
		}
	}
	if have[0].Right(want) && want.Secret == "" {
		return have[0], nil
	}
	return c.mendHook(ctx, repo, have[0], want)
}

func (c *Client) createHook(ctx context.Context, repo string, want Hook) (HookState, error) {
	if want.Secret == "" {
		return HookState{}, job.Rejectf("create webhook of %s: it needs a secret", oneLine(job.RepoKey(repo), 200))
	}
	p, err := c.open(ctx, repo, ForHooks)
	if err != nil {
		return HookState{}, err
	}
	made, _, err := p.api.Repositories.CreateHook(ctx, p.owner, p.name, &github.Hook{
		Config: hookConfig(want), Events: want.events(), Active: github.Bool(true),
	})
	if err != nil {
		return HookState{}, c.failure(err, "create webhook of %s", p)
	}
	s := hookState(made)
	s.Change = "created"
	return s, nil
}

func hookConfig(want Hook) *github.HookConfig {
	cfg := &github.HookConfig{
		URL: github.String(want.URL), ContentType: github.String("json"), InsecureSSL: github.String("0"),
	}
	if want.Secret != "" {
		cfg.Secret = github.String(want.Secret)
	}
	return cfg
}

// mendHook sets all that is wanted. GitHub drops the secret of a hook whose configuration is written as a whole without
// it, and so what leaves the secret alone goes through the configuration's own address.
func (c *Client) mendHook(ctx context.Context, repo string, have HookState, want Hook) (HookState, error) {
	p, err := c.open(ctx, repo, ForHooks)
	if err != nil {
		return HookState{}, err
	}
	edit := &github.Hook{Events: want.events(), Active: github.Bool(true)}
	if want.Secret != "" {
		edit.Config = hookConfig(want)
	} else if !have.JSON || !have.Verified || have.URL != want.URL {
		if _, _, err := p.api.Repositories.EditHookConfiguration(ctx, p.owner, p.name, have.ID, hookConfig(want)); err != nil {
			return HookState{}, c.failure(err, "edit webhook %d of %s", have.ID, p)
		}
	}
	made, _, err := p.api.Repositories.EditHook(ctx, p.owner, p.name, have.ID, edit)
	if err != nil {
		return HookState{}, c.failure(err, "edit webhook %d of %s", have.ID, p)
	}
	s := hookState(made)
	s.Change = "mended"
	return s, nil
}

// RemoveHook deletes a webhook. One that is not there is fine.
func (c *Client) RemoveHook(ctx context.Context, repo string, id int64) error {
	p, err := c.open(ctx, repo, ForHooks)
	if err != nil {
		return err
	}
	_, err = p.api.Repositories.DeleteHook(ctx, p.owner, p.name, id)
	err = c.failure(err, "delete webhook %d of %s", id, p)
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}

// Delivery is one request of a webhook, as the forge remembers it.
type Delivery struct {
	ID    int64  `json:"id"`
	GUID  string `json:"guid"`
	Event string `json:"event"`
	// Status is what it was answered with: 401 where the secret is not the one that the other side knows. Zero means
	// that there was no answer.
	Status int       `json:"status"`
	Said   string    `json:"said,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// landed tells whether it is over, with an answer or without.
func (d Delivery) landed() bool { return d.Status != 0 || d.Said != "pending" }

// Deliveries lists what the webhook sent last, newest first, at most n of at most a hundred.
func (c *Client) Deliveries(ctx context.Context, repo string, id int64, n int) ([]Delivery, error) {
	p, err := c.open(ctx, repo, ForHooks)
	if err != nil {
		return nil, err
	}
	page, _, err := p.api.Repositories.ListHookDeliveries(ctx, p.owner, p.name, id, &github.ListCursorOptions{PerPage: min(n, 100)})
	if err != nil {
		return nil, c.failure(err, "list deliveries of webhook %d of %s", id, p)
	}
	var list []Delivery
	for _, d := range page[:min(n, len(page))] {
		list = append(list, Delivery{
			ID: d.GetID(), GUID: d.GetGUID(), Event: d.GetEvent(), Status: d.GetStatusCode(),
			Said: oneLine(d.GetStatus(), 100), At: d.GetDeliveredAt().Time,
		})
	}
	return list, nil
}

// PingHook lets the forge send a ping and gives what became of it: its Status tells whether the address answers and
// knows the secret. It waits as long as ctx and half a minute allow; a ping that was not seen delivered by then is an error.
func (c *Client) PingHook(ctx context.Context, repo string, id int64) (Delivery, error) {
	before, err := c.Deliveries(ctx, repo, id, 20)
	if err != nil {
		return Delivery{}, err
	}
	p, err := c.open(ctx, repo, ForHooks)
	if err != nil {
		return Delivery{}, err
	}
	if _, err := p.api.Repositories.PingHook(ctx, p.owner, p.name, id); err != nil {
		return Delivery{}, c.failure(err, "ping webhook %d of %s", id, p)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTime, &Failure{Op: "ping webhook of " + p.String(), Why: "its delivery was not seen within 30 s"})
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, 3*time.Second) {
		after, err := c.Deliveries(ctx, repo, id, 20)
		if err != nil {
			return Delivery{}, err
		}
		for _, d := range after {
			if d.Event == "ping" && d.landed() && !slices.ContainsFunc(before, func(b Delivery) bool { return b.ID == d.ID }) {
				return d, nil
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return Delivery{}, err
		}
	}
}
