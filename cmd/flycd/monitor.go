package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/settings"
)

// monitorFlags are those that flycd monitor always had.
type monitorFlags struct {
	path, host string
	port       int
	sync       bool
}

func (c *cli) monitorCommand() *cobra.Command {
	var f monitorFlags
	cmd := &cobra.Command{
		Use: "monitor", Short: "Follow Git from one machine that is always on", GroupID: "run",
		Long: `Take webhooks and deploy from this one machine: the dispatcher, with runners as child processes instead of Fly
Machines. For those who want a daemon. It needs REDIS_URL, FLYCD_WEBHOOK_SECRET, FLYCD_CONFIG_REPOS and a Fly token,
and serves on PORT: POST /webhook, POST /webhook/registry for registries (those that sign nothing need
FLYCD_REGISTRY_TOKENS), and POST /dispatch for programs (FLYCD_DISPATCH_TOKENS, FLYCD_OIDC_REPOS).

With FLYCD_GITHUB_TOKEN, or a GitHub App, commits and pull requests are told what becomes of them, and comments at pull
requests are read; FLYCD_NOTIFY names whom else to tell. Private repositories open with FLYCD_GIT_TOKENS, FLYCD_GIT_KEYS or
FLY_SSH_PRIVATE_KEY.`,
		Example: "  REDIS_URL=redis://localhost FLYCD_WEBHOOK_SECRET=… FLYCD_CONFIG_REPOS=https://github.com/acme/config flycd monitor -s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error { return c.monitor(cmd.Context(), q, f) })
		},
	}
	m := c.cfg.Monitor
	cmd.Flags().StringVarP(&f.path, "webhook-path", "w", m.WebhookPath, "a further path that takes webhooks, beside /webhook")
	cmd.Flags().IntVarP(&f.port, "webhook-port", "p", cmp.Or(m.WebhookPort, c.cfg.Port), "port to listen on")
	cmd.Flags().StringVarP(&f.host, "webhook-interface", "i", m.WebhookHost, "address to listen on (all of this machine's)")
	cmd.Flags().BoolVarP(&f.sync, "sync-on-startup", "s", false, "sync all config trees first, as flycd sync does")
	return cmd
}

func (c *cli) monitor(ctx context.Context, q *queue.Queue, f monitorFlags) error {
	if c.cfg.flyToken() == "" {
		return noToken()
	}
	runner, err := self("runner")
	if err != nil {
		return err
	}
	children := &children{argv: runner, env: c.cfg.childEnv(), out: c.err}
	s, err := c.monitorServer(q, children)
	if err != nil {
		return err
	}
	handler, err := alsoAt(s.Public(), f.path)
	if err != nil {
		return err
	}
	err = c.serveMonitor(ctx, s, handler, f)
	children.wait()
	// what the last ones did is told as well
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s.Tell(last)
	s.Wait()
	return err
}

// monitorServer wires the dispatcher of this machine.
func (c *cli) monitorServer(q *queue.Queue, runners dispatcher.Runners) (*dispatcher.Server, error) {
	secrets := append(settings.List(c.cfg.WebhookSecret), settings.List(c.cfg.Monitor.WebhookSecret2)...)
	if len(secrets) == 0 {
		return nil, usage(errors.New("FLYCD_WEBHOOK_SECRET is not set: without it anybody could start a deploy"))
	}
	tokens, err := checkedTokens("FLYCD_REGISTRY_TOKENS", c.cfg.RegistryTokens)
	if err != nil {
		return nil, err
	}
	callers, err := c.callers()
	if err != nil {
		return nil, err
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	post, client, err := c.post(q)
	if err != nil {
		return nil, err
	}
	s := &dispatcher.Server{
		Queue: q, Runners: runners, Secrets: secrets, RegistryTokens: tokens, NextToken: c.cfg.NextToken, Roots: roots,
		Callers: callers, Feedback: post, MaxRunners: c.cfg.MaxRunners, Log: c.log,
	}
	if client != nil {
		s.Forge = client
	}
	return s, nil
}

// checkedTokens are the tokens of a setting. The error names what is wrong with one, and not the token.
func checkedTokens(name, text string) ([]string, error) {
	tokens := settings.List(text)
	for i, token := range tokens {
		if err := dispatcher.CheckRegistryToken(token); err != nil {
			return nil, usage(fmt.Errorf("%s: token %d of %d %w", name, i+1, len(tokens), err))
		}
	}
	return tokens, nil
}

// callers are those who may call instead of push.
func (c *cli) callers() (out dispatcher.Callers, err error) {
	m := c.cfg.Monitor
	if out.Tokens, err = checkedTokens("FLYCD_DISPATCH_TOKENS", m.DispatchTokens); err != nil {
		return out, err
	}
	if out.Repos = settings.List(m.OIDCRepos); len(out.Repos) == 0 {
		return out, nil
	}
	if err := dispatcher.CheckRepos(out.Repos); err != nil {
		return out, usage(fmt.Errorf("FLYCD_OIDC_REPOS: %w", err))
	}
	out.Workflows = &identity.Verifier{Issuer: m.OIDCIssuer, Audience: m.OIDCAudience}
	if m.OIDCIssuer != identity.GitHubIssuer && !strings.HasPrefix(m.OIDCIssuer, identity.GitHubIssuer+"/") {
		// what another issuer signs says nothing of github.com
		u, err := url.Parse(cmp.Or(c.cfg.GitHubURL, m.OIDCIssuer))
		if err != nil || u.Hostname() == "" {
			return out, usage(errors.New("FLYCD_OIDC_ISSUER: expected a URL that begins with https://"))
		}
		out.Host = strings.TrimPrefix(u.Hostname(), "api.")
	}
	return out, nil
}

// alsoAt lets webhooks in at one more path.
func alsoAt(h http.Handler, path string) (http.Handler, error) {
	if path = "/" + strings.Trim(path, "/"); path == "/" || path == "/webhook" {
		return h, nil
	}
	for _, taken := range []string{"/webhook/", "/dispatch", "/grant", "/next", "/healthz"} {
		if strings.HasPrefix(path+"/", strings.TrimSuffix(taken, "/")+"/") {
			return nil, usage(fmt.Errorf("--webhook-path %s: that is another door's: expected a path such as /hooks/github", path))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/webhook", ""
		}
		h.ServeHTTP(w, r)
	}), nil
}

func (c *cli) serveMonitor(ctx context.Context, s *dispatcher.Server, h http.Handler, f monitorFlags) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort(f.host, strconv.Itoa(f.port)))
	if err != nil {
		return fmt.Errorf("listen on PORT %d: %w", f.port, err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	var work sync.WaitGroup
	work.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.log.ErrorContext(ctx, "serve", "error", err.Error())
		}
	})
	fmt.Fprintf(c.out, "monitoring: POST /webhook on %s\n", listener.Addr())
	if f.sync {
		if err := c.syncAll(ctx, s.Queue); err != nil {
			fmt.Fprintln(c.err, "warning: nothing was synced at the start:", err)
		}
	}
	work.Go(func() {
		for pause(ctx, dueEvery) == nil {
			s.Tell(ctx)
		}
	})
	for pause(ctx, dueEvery) == nil {
		pass, cancel := context.WithTimeout(ctx, 5*time.Second)
		if _, err := s.Due(pass); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "due pass", "error", err.Error())
		}
		cancel()
	}
	s.Stop()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = server.Shutdown(stop)
	work.Wait()
	s.Wait()
	return err
}

// syncAll pushes a sync of every config tree.
func (c *cli) syncAll(ctx context.Context, q *queue.Queue) error {
	list, err := c.toSync(ctx, q, nil)
	if err != nil {
		return err
	}
	jobs, err := c.wished(ctx, q, list)
	if err != nil {
		return err
	}
	return c.pushByHand(ctx, q, jobs, askFlags{output: "text"})
}
