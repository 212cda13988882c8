package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/settings"
)

// judgeOutside judges the settings for those whom the dispatcher speaks to, and completes them.
func (c *config) judgeOutside() []error {
	var errs []error
	if c.GrantURL == "" && strings.HasSuffix(c.NextURL, "/next") {
		c.GrantURL = strings.TrimSuffix(c.NextURL, "/next") + "/grant"
	}
	if c.MintToken != "" && c.GrantURL == "" {
		errs = append(errs, errors.New("FLYCD_MINT_TOKEN is set and neither FLYCD_GRANT_URL nor FLYCD_NEXT_URL is: a runner would not know where to ask for its token. Set it to this app's address with /grant"))
	}
	if c.MintToken != "" && c.GrantURL != "" {
		// a runner would refuse to ask there
		if err := launch.CheckGrantURL(c.GrantURL); err != nil {
			errs = append(errs, err)
		}
	}
	if err := dispatcher.CheckRepos(settings.List(strings.Join(c.OIDCRepos, ","))); err != nil {
		errs = append(errs, fmt.Errorf("FLYCD_OIDC_REPOS: %w", err))
	}
	if (c.GitHubAppID == "") != (c.GitHubAppKey == "") {
		errs = append(errs, errors.New("FLYCD_GITHUB_APP_ID and FLYCD_GITHUB_APP_KEY belong together: one of them is not set"))
	}
	if _, err := c.forge(); err != nil {
		errs = append(errs, err)
	}
	if _, err := forge.ParseDestinations(c.Notify); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.notifyAllow(); err != nil {
		errs = append(errs, err)
	}
	if _, err := time.Parse(time.RFC3339, c.Expire); c.Expire != "" && err != nil {
		errs = append(errs, errors.New("FLYCD_TOKENS_EXPIRE: expected a time such as 2027-01-31T12:00:00Z"))
	}
	return errs
}

// forge is the client of the forge, nil where there are no credentials.
func (c *config) forge() (*forge.Client, error) {
	client := &forge.Client{BaseURL: c.GitHubURL, Token: c.GitHubToken}
	if c.GitHubAppID != "" && c.GitHubAppKey != "" {
		app, err := forge.ParseApp(c.GitHubAppID, c.GitHubAppKey)
		if err != nil {
			return nil, err
		}
		client.App = app
	}
	if !client.Ready() {
		return nil, nil //nolint:nilnil // nobody is asked then
	}
	return client, nil
}

// notifyAllow are the private addresses that may be told.
func (c *config) notifyAllow() ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, part := range settings.List(c.NotifyAllow) {
		addr, err := netip.ParseAddrPort(part)
		if err != nil {
			return nil, fmt.Errorf("FLYCD_NOTIFY_ALLOW: %q: expected IP:PORT, such as 10.0.0.5:443", part)
		}
		all = append(all, addr)
	}
	return all, nil
}

// grants says how runners are given what they need; nil where they have it in their app's secrets.
func (c *config) grants(l *launch.Launcher, git *forge.Client) *dispatcher.Grants {
	if c.MintToken == "" {
		return nil
	}
	g := &dispatcher.Grants{Fly: l, TicketKey: launch.TicketKey(c.MintToken), RunnerApp: c.RunnerApp}
	if git.Mints() {
		g.Git = git
	}
	if c.FlyIssuer != "" {
		g.Machines = &identity.Verifier{Issuer: c.FlyIssuer, Audience: c.OIDCAudience}
	}
	return g
}

// post tells the forge and the destinations what becomes of jobs.
func (c *config) post(q *queue.Queue, git *forge.Client, log *slog.Logger) *forge.Post {
	to, _ := forge.ParseDestinations(c.Notify) // judged before
	allow, _ := c.notifyAllow()                // judged before
	return &forge.Post{Events: q, Outbox: q, Jobs: q, Forge: git, Destinations: to, Link: c.Link, Allow: allow, Log: log}
}

// callers are those who may call instead of push.
func (c *config) callers() dispatcher.Callers {
	out := dispatcher.Callers{Tokens: c.Callers, Repos: settings.List(strings.Join(c.OIDCRepos, ",")), Host: c.workflowHost()}
	if len(out.Repos) > 0 {
		out.Workflows = &identity.Verifier{Issuer: c.OIDCIssuer, Audience: c.OIDCAudience}
	}
	return out
}

// workflowHost is where the repositories of workflows are: what another issuer signs says nothing of github.com.
func (c *config) workflowHost() string {
	if c.OIDCIssuer == identity.GitHubIssuer || strings.HasPrefix(c.OIDCIssuer, identity.GitHubIssuer+"/") {
		return ""
	}
	address := cmp.Or(c.GitHubURL, c.OIDCIssuer)
	u, err := url.Parse(address)
	if err != nil {
		return address // judged before
	}
	return strings.TrimPrefix(u.Hostname(), "api.")
}
