package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/settings"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// shutdownWithin is how long requests may take after a signal. fly.dispatcher.toml grants more.
const shutdownWithin = 15 * time.Second

// run is the whole program: it serves until ctx ends and gives the exit code.
func run(ctx context.Context, args []string, e environment) int {
	sweeps := len(args) == 1 && args[0] == "sweep"
	if len(args) > 0 && !sweeps {
		if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
			writeHelp(e.out)
			return exitOK
		}
		fmt.Fprintf(e.err, "dispatcher: %q is not understood: expected sweep, or nothing; --help lists its settings\n", args[0])
		return exitUsage
	}
	cfg, err := readConfig(e.vars)
	if err != nil {
		fmt.Fprintf(e.err, "dispatcher: %v\n", err)
		return exitUsage
	}
	log, err := cfg.logger(e.err)
	if err != nil {
		fmt.Fprintf(e.err, "dispatcher: %v\n", err)
		return exitUsage
	}
	q, err := queue.Open(cfg.RedisURL, cfg.RedisPrefix)
	if err != nil {
		fmt.Fprintf(e.err, "dispatcher: REDIS_URL: %v\n", err)
		return exitUsage
	}
	do := serve
	if sweeps {
		do = sweep
	}
	err = do(ctx, cfg, newServer(cfg, e, q, log))
	if cerr := q.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close queue: %w", cerr)
	}
	if err != nil {
		log.ErrorContext(ctx, "ended", "error", err.Error())
		return exitFailed
	}
	return exitOK
}

// newServer wires the dispatcher.
func newServer(cfg config, e environment, q *queue.Queue, log *slog.Logger) *dispatcher.Server {
	git, _ := cfg.forge() // judged before
	launcher := &launch.Launcher{
		Mint:         cfg.MintToken,
		GrantURL:     cfg.GrantURL,
		Own:          settings.List(cfg.App),
		RemoteBuilds: cfg.RemoteBuilds,
		Org:          cfg.Org,
		App:          cfg.RunnerApp,
		Image:        cfg.RunnerImage,
		Region:       cfg.RunnerRegion,
		Size:         cfg.RunnerSize,
		BaseURL:      cfg.FlapsBaseURL,
		Token:        cfg.APIToken,
		Env:          cfg.runnerEnv(e.vars),
		Log:          log,
	}
	q.Seal = cfg.MintToken != ""
	d := &dispatcher.Server{
		Queue:          q,
		Runners:        launcher,
		Fly:            launcher,
		Secrets:        cfg.Secrets,
		RegistryTokens: cfg.Tokens,
		NextToken:      cfg.NextToken,
		Roots:          cfg.Roots,
		MaxRunners:     cfg.MaxRunners,
		Callers:        cfg.callers(),
		Grants:         cfg.grants(launcher, git),
		Log:            log,
	}
	if git != nil {
		d.Forge = git
	}
	d.Feedback = cfg.post(q, git, log)
	return d
}

// sweepWithin bounds a sweep, with what it tells the world.
const sweepWithin = 5 * time.Minute

// sweep catches up once: overdue jobs, lost runners, orphans, and what was not told yet. A scheduled machine runs it, so
// that nothing waits for the next push for longer than an hour.
func sweep(ctx context.Context, _ config, d *dispatcher.Server) error {
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	_, err := d.Sweep(ctx)
	d.Tell(ctx)
	d.Wait()
	return err
}

// serve listens, runs a first due pass, and on the end of ctx lets the requests finish.
func serve(ctx context.Context, cfg config, d *dispatcher.Server) error {
	failed := make(chan error, 2)
	servers := []*http.Server{}
	for _, l := range []struct {
		name    string
		port    int
		handler http.Handler
	}{{"public", cfg.Port, d.Public()}, {"private", cfg.PrivatePort, d.Private()}} {
		if l.port < 0 {
			continue
		}
		var lc net.ListenConfig
		listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(l.port)))
		if err != nil {
			return fmt.Errorf("listen on the %s port: %w", l.name, err)
		}
		server := newHTTP(l.handler)
		server.RegisterOnShutdown(d.Stop)
		servers = append(servers, server)
		d.Log.InfoContext(ctx, "listening", "port", l.name, "addr", listener.Addr().String())
		go func() { failed <- server.Serve(listener) }()
	}
	catchUp(ctx, d)
	var err error
	select {
	case <-ctx.Done():
		d.Log.InfoContext(ctx, "stopping", "why", context.Cause(ctx).Error())
	case err = <-failed:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
	defer cancel()
	for _, server := range servers {
		err = errors.Join(err, server.Shutdown(ctx))
	}
	d.Wait()
	return err
}

// newHTTP gives a server that no slow or silent sender can hold.
func newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
	}
}

// catchUp runs the due pass that every start runs: whoever woke the dispatcher, there may be something
// that nobody was awake for.
func catchUp(ctx context.Context, d *dispatcher.Server) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	report, err := d.Due(ctx)
	if err != nil {
		// The next webhook tries again, and says so to the forge.
		d.Log.WarnContext(ctx, "did not catch up", "error", err.Error())
		return
	}
	d.Log.InfoContext(ctx, "caught up", "launched", report.Launched, "lapsed", report.Lapsed, "released", report.Released)
}
