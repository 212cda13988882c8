package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/settings"
)

func (c *cli) monitorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "monitor", Short: "Follow Git from one machine that is always on", GroupID: "run",
		Long: `Take webhooks and deploy from this one machine: the dispatcher, with runners as child processes instead of Fly
Machines. For those who want a daemon. It needs REDIS_URL, FLYCD_WEBHOOK_SECRET, FLYCD_CONFIG_REPOS and a Fly token,
and serves POST /webhook on PORT, and POST /webhook/registry for registries (those that sign nothing need
FLYCD_REGISTRY_TOKENS).`,
		Example: "  REDIS_URL=redis://localhost FLYCD_WEBHOOK_SECRET=… FLYCD_CONFIG_REPOS=https://github.com/acme/config flycd monitor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error { return c.monitor(cmd.Context(), q) })
		},
	}
}

func (c *cli) monitor(ctx context.Context, q *queue.Queue) error {
	secrets := settings.List(c.cfg.WebhookSecret)
	if len(secrets) == 0 {
		return usage(errors.New("FLYCD_WEBHOOK_SECRET is not set: without it anybody could start a deploy"))
	}
	tokens, err := c.cfg.registryTokens()
	if err != nil {
		return err
	}
	if c.cfg.flyToken() == "" {
		return exitError{exitRefused, errors.New("no Fly token: run `fly auth login`, or set FLY_API_TOKEN")}
	}
	roots, err := c.roots()
	if err != nil {
		return err
	}
	runner, err := self("runner")
	if err != nil {
		return err
	}
	children := &children{argv: runner, env: c.cfg.childEnv(), out: c.err}
	s := &dispatcher.Server{
		Queue: q, Runners: children, Secrets: secrets, RegistryTokens: tokens, NextToken: c.cfg.NextToken, Roots: roots,
		MaxRunners: c.cfg.MaxRunners, Log: c.log,
	}
	err = c.serveMonitor(ctx, s)
	children.wait()
	return err
}

func (c *cli) serveMonitor(ctx context.Context, s *dispatcher.Server) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", c.cfg.Port))
	if err != nil {
		return fmt.Errorf("listen on PORT %d: %w", c.cfg.Port, err)
	}
	server := &http.Server{Handler: s.Public(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	var work sync.WaitGroup
	work.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.log.ErrorContext(ctx, "serve", "error", err.Error())
		}
	})
	fmt.Fprintf(c.out, "monitoring: POST /webhook on %s\n", listener.Addr())
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
