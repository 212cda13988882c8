package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/job"
)

const (
	publicAPI  = "https://api.github.com/"
	publicHost = "github.com"
	// callTime bounds one call, with what is tried again of it.
	callTime = 30 * time.Second
	// pages bounds what is read of a list: a hundred a page.
	pages = 10
)

// Client speaks to one forge: GitHub, or a GitHub Enterprise server. Fill it in and share it; do not change it after the
// first use. Without Token and App it can do nothing but tell whether it would be the one to ask.
type Client struct {
	// BaseURL is the address of the REST API; empty is GitHub's own, https://api.github.com/.
	BaseURL string
	// Host is the host that clone URLs of the forge's repositories name; empty is the one of BaseURL.
	Host string
	// Token is a person's or a bot's. It is not asked where App is set.
	Token string
	// App mints tokens of the least power by the call.
	App *App
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu    sync.Mutex
	doors map[string]*github.Client
	me    string
	apps  installations
}

// Ready reports whether the client has credentials.
func (c *Client) Ready() bool { return c != nil && (c.Token != "" || c.App != nil) }

// Known reports whether the repository, in any spelling of its URL, is one of this forge's.
func (c *Client) Known(repo string) bool {
	if c == nil {
		return false
	}
	_, _, ok := c.split(repo)
	return ok
}

// split gives the owner and the name of a repository of this forge.
func (c *Client) split(repo string) (owner, name string, ok bool) {
	host, path, _ := strings.Cut(job.RepoKey(repo), "/")
	owner, name, ok = strings.Cut(path, "/")
	return owner, name, ok && host == c.host() && plainName(owner) && plainName(name)
}

// plainName keeps what would be another address out of a path.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

func (c *Client) host() string {
	if c.Host != "" {
		return strings.ToLower(c.Host)
	}
	u, err := c.base()
	switch {
	case err != nil:
		return ""
	case u.Host == "api.github.com":
		return publicHost
	case strings.Contains(u.Host, ":") && strings.HasPrefix(u.Host, "["):
		return "[" + u.Hostname() + "]"
	default:
		return strings.ToLower(u.Hostname())
	}
}

func (c *Client) base() (*url.URL, error) {
	u, err := url.Parse(cmp.Or(c.BaseURL, publicAPI))
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil {
		return nil, fmt.Errorf("address of the forge's API: expected https://HOST/api/v3/ without credentials")
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u, nil
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// place is a repository with the door that opens it.
type place struct {
	api         *github.Client
	owner, name string
}

func (p place) String() string { return p.owner + "/" + p.name }

// open gives the door to a repository for one purpose.
func (c *Client) open(ctx context.Context, repo string, why Purpose) (place, error) {
	owner, name, ok := c.split(repo)
	if !ok {
		return place{}, job.Rejectf("%s: no repository of %s", oneLine(job.RepoKey(repo), 200), c.host())
	}
	p := place{owner: owner, name: name}
	var err error
	switch {
	case c.App != nil:
		var in installation
		if in, err = c.installation(ctx, p); err == nil {
			p.api, err = c.door(in.door(p, why), minted{client: c, place: p, why: why})
		}
	case c.Token != "":
		p.api, err = c.door("token", fixed(c.Token))
	default:
		err = fmt.Errorf("%s: %w: no credentials: set FLYCD_GITHUB_TOKEN, or FLYCD_GITHUB_APP_ID and FLYCD_GITHUB_APP_KEY", p, ErrDenied)
	}
	return p, err
}

// door gives the client for one identity. It is kept, as it remembers the forge's limits.
func (c *Client) door(name string, who bearer) (*github.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.doors[name]; d != nil {
		return d, nil
	}
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	d := github.NewClient(&http.Client{
		Transport:     wire{to: c.Transport, host: base.Host, who: who},
		CheckRedirect: sameHost(base.Host),
		Timeout:       callTime,
	})
	d.BaseURL, d.UserAgent = base, "flycd"
	if c.doors == nil {
		c.doors = map[string]*github.Client{}
	}
	if len(c.doors) >= 1000 {
		clear(c.doors)
	}
	c.doors[name] = d
	return d, nil
}
