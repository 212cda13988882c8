package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/settings"
	"github.com/gigurra/flycd/shared/source"
)

// callSettings are for asking a dispatcher whose Redis is out of reach.
type callSettings struct {
	URL   string `env:"FLYCD_DISPATCH_URL" help:"the dispatcher's /dispatch, which flycd dispatch and flycd sync ask where REDIS_URL is not set"`
	Token string `env:"FLYCD_DISPATCH_TOKEN" file:"yes" help:"one of the tokens that it has in FLYCD_DISPATCH_TOKENS"`
}

// monitorSettings are what flycd monitor has of the dispatcher, and of the FlyCD that was before this one.
type monitorSettings struct {
	WebhookSecret2 string `env:"FLYCD_WEBHOOK_SECRET_2" file:"yes" help:"a second place for webhook secrets of flycd monitor, while they are rotated"`
	DispatchTokens string `env:"FLYCD_DISPATCH_TOKENS" file:"yes" help:"bearer tokens of POST /dispatch of flycd monitor, comma separated, 32 characters each at least; without one it refuses everybody but workflows"`
	OIDCRepos      string `env:"FLYCD_OIDC_REPOS" help:"repositories whose GitHub Actions may POST /dispatch for themselves, OWNER/NAME or OWNER/*, comma separated"`
	OIDCAudience   string `env:"FLYCD_OIDC_AUDIENCE" envDefault:"flycd" help:"the audience that their tokens must name"`
	OIDCIssuer     string `env:"FLYCD_OIDC_ISSUER" envDefault:"https://token.actions.githubusercontent.com" help:"who signs for them"`
	WebhookPath    string `env:"WEBHOOK_PATH" help:"a further path of flycd monitor that takes webhooks, beside /webhook"`
	WebhookPort    int    `env:"WEBHOOK_PORT" help:"port of flycd monitor; wins over PORT"`
	WebhookHost    string `env:"WEBHOOK_INTERFACE" help:"address that flycd monitor listens on (all of this machine's)"`
	MintToken      string `env:"FLYCD_MINT_TOKEN" file:"yes" help:"for flycd sweep, as the dispatcher has it: runners that are launched ask it for their tokens"`
	GrantURL       string `env:"FLYCD_GRANT_URL" help:"where they ask for it: the dispatcher's /grant"`
}

// gitSettings open private repositories.
type gitSettings struct {
	Tokens     string `env:"FLYCD_GIT_TOKENS" file:"yes" help:"tokens for private repositories over https, HOST[/OWNER[/REPO]]=TOKEN, comma separated; without one, git's own credential helpers are asked"`
	Keys       string `env:"FLYCD_GIT_KEYS" file:"yes" help:"private keys for repositories over ssh, PEM, each after a line HOST[/OWNER[/REPO]]; without one, ssh finds its own"`
	SSHKey     string `env:"FLY_SSH_PRIVATE_KEY" help:"one private key for every host that FLYCD_GIT_KEYS has none for"`
	KnownHosts string `env:"FLYCD_KNOWN_HOSTS" file:"yes" help:"keys of ssh hosts beside GitHub's and ~/.ssh/known_hosts, as the lines of such a file"`
}

// forgeSettings are for telling the world what becomes of jobs.
type forgeSettings struct {
	AppID       string `env:"FLYCD_GITHUB_APP_ID" help:"a GitHub App in place of FLYCD_GITHUB_TOKEN, for flycd monitor and sweep"`
	AppKey      string `env:"FLYCD_GITHUB_APP_KEY" file:"yes" help:"the app's private key, PEM"`
	Link        string `env:"FLYCD_LINK" help:"address that commit statuses and notices link to, with {job} and {app} in it; the app itself without it"`
	Notify      string `env:"FLYCD_NOTIFY" file:"yes" help:"destinations that manifests name in notify: NAME=https://… (with #SECRET to sign), NAME=slack+https://…, comma separated"`
	NotifyAllow string `env:"FLYCD_NOTIFY_ALLOW" help:"private addresses that destinations may have, IP:PORT, comma separated"`
}

func (g gitSettings) keyring() (*source.Keyring, error) {
	k := &source.Keyring{}
	if err := k.AddTokens(g.Tokens); err != nil {
		return nil, usage(fmt.Errorf("FLYCD_GIT_TOKENS: %w", err))
	}
	for _, f := range []struct{ name, value string }{{"FLY_SSH_PRIVATE_KEY", g.SSHKey}, {"FLYCD_GIT_KEYS", g.Keys}} {
		if err := k.AddKeys(f.value); err != nil {
			return nil, usage(fmt.Errorf("%s: %w", f.name, err))
		}
	}
	if err := source.CheckKnownHosts(g.KnownHosts); err != nil {
		return nil, usage(fmt.Errorf("FLYCD_KNOWN_HOSTS: %w", err))
	}
	return k, nil
}

// sources reads repositories with the credentials that were given to FlyCD, and else with those of the person's own git and
// ssh.
func (c *cli) sources() *source.Client {
	git := &source.Client{Git: true, Auth: c.cfg.keys, HostKeys: c.cfg.Git.KnownHosts}
	if home, err := os.UserHomeDir(); err == nil {
		git.KnownHosts = []string{filepath.Join(home, ".ssh", "known_hosts")}
	}
	return git
}

// post tells the forge and the destinations what becomes of jobs, and gives the forge's client beside it: nil where
// nobody gave credentials for it.
func (c *cli) post(q *queue.Queue) (*forge.Post, *forge.Client, error) {
	client := &forge.Client{BaseURL: c.cfg.GitHubURL, Token: c.cfg.FlyCDForgeToken}
	s := c.cfg.Forge
	if (s.AppID == "") != (s.AppKey == "") {
		return nil, nil, usage(errors.New("FLYCD_GITHUB_APP_ID and FLYCD_GITHUB_APP_KEY belong together: one of them is not set"))
	}
	if s.AppID != "" {
		app, err := forge.ParseApp(s.AppID, s.AppKey)
		if err != nil {
			return nil, nil, usage(err)
		}
		client.App = app
	}
	to, err := forge.ParseDestinations(s.Notify)
	if err != nil {
		return nil, nil, usage(err)
	}
	p := &forge.Post{Events: q, Outbox: q, Jobs: q, Destinations: to, Link: s.Link, Log: c.log}
	for _, part := range settings.List(s.NotifyAllow) {
		addr, err := netip.ParseAddrPort(part)
		if err != nil {
			return nil, nil, usage(fmt.Errorf("FLYCD_NOTIFY_ALLOW: %q: expected IP:PORT, such as 10.0.0.5:443", part))
		}
		p.Allow = append(p.Allow, addr)
	}
	if client.Ready() {
		p.Forge = client
	}
	return p, p.Forge, nil
}
