// Command runner does the one job that its machine was made for: it claims it from Redis, deploys,
// records the result, and ends. runner --help lists its settings.
//
// It exits with 0 when the job ended, whatever its outcome, when it was given back and when it was
// somebody else's; with 1 when it could not record what became of the job; with 2 when it is not set
// up.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gigurra/flycd/runner"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/source"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// where this process was started as the init of a build's sandbox, it never returns
	sandbox.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], environment{vars: os.Environ(), out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// environment is what the process was given.
type environment struct {
	vars     []string
	out, err io.Writer
}

// run is the whole program; it gives the exit code.
func run(ctx context.Context, args []string, e environment) int {
	if len(args) > 0 {
		if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
			writeHelp(e.out)
			return exitOK
		}
		fmt.Fprintf(e.err, "runner: %q is not understood: it takes no arguments; --help lists its settings\n", args[0])
		return exitUsage
	}
	cfg, err := readConfig(e.vars)
	if err != nil {
		fmt.Fprintf(e.err, "runner: %v\n", err)
		return exitUsage
	}
	cfg, grant, err := cfg.granted(ctx)
	switch {
	case errors.Is(err, launch.ErrRefused):
		// somebody else's job, as when a claim is refused
		fmt.Fprintf(e.err, "runner: %v\n", err)
		return exitOK
	case err != nil && !errors.Is(err, job.ErrRejected):
		fmt.Fprintf(e.err, "runner: %v\n", err)
		return exitFailed
	}
	r, closeAll, failed := newRunner(ctx, cfg, grant, e)
	if failed != nil {
		fmt.Fprintf(e.err, "runner: %v\n", failed)
		return exitUsage
	}
	r.Rejected = err
	err = r.Run(ctx)
	closeAll()
	if err != nil {
		fmt.Fprintf(e.err, "runner: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// newRunner wires the runner. The function that it gives lets go of what was opened.
func newRunner(ctx context.Context, cfg config, grant launch.Grant, e environment) (*runner.Runner, func(), error) {
	q, err := queue.Open(cfg.RedisURL, cfg.RedisPrefix)
	if err != nil {
		return nil, nil, err
	}
	var client *fly.Client
	if cfg.APIToken != "" {
		if client, err = fly.New(ctx, cfg.fly()); err != nil {
			return nil, nil, err
		}
	} // a sync is granted nothing of Fly's, and asks it nothing
	secrets := secret.Environment(e.vars)
	secrets.PGP = manifest.NewSecret(cfg.PGPKey)
	if cfg, err = cfg.opened(ctx, secrets); err != nil {
		return nil, nil, err
	}
	auth, err := cfg.keyring(grant)
	if err != nil {
		return nil, nil, err
	}
	logins, _ := cfg.logins()
	level, _ := cfg.level()
	builder, endBuilder, err := cfg.newBuilder( //nolint:contextcheck // a build is tidied up after the job, whatever became of its context
		slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: level})))
	if err != nil {
		return nil, nil, err
	}
	git := &source.Client{Auth: auth, HostKeys: cfg.KnownHosts, NoFolders: true}
	r := &runner.Runner{
		Queue: q, Job: job.ID(cfg.Job), Attempt: cfg.Attempt, Machine: cfg.Machine, Deadline: cfg.Deadline,
		Next:    runner.Next{URL: cfg.NextURL, Token: cfg.NextToken},
		Secrets: append(cfg.secrets(), auth.Secrets()...), Out: e.err, Level: level,
		Deployer: deploy.Deployer{
			Fly: client, Source: git, Images: image.Registry{Logins: logins}, Builder: builder, Registry: cfg.RegistryHost, Turns: q, Index: q, Tombs: q, Org: cfg.Org,
			Sync:    &deploy.Syncer{Source: git, Catalog: q, Links: q, Sights: q, Graves: q, Sweeper: q, Index: q, Jobs: q, Registry: cfg.RegistryHost, Manifest: manifest.Options{Org: cfg.Org}},
			Secrets: secrets, DigestKey: manifest.NewSecret(cfg.DigestKey),
			Now: time.Now,
		},
	}
	return r, func() { _ = endBuilder(); _ = git.Close(); _ = q.Close() }, nil
}
