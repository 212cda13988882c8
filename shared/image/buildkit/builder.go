package buildkit

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

const defaultTimeout = 30 * time.Minute

// Builder builds with a buildkitd of its own, which it starts for the first build and ends on Close. It is safe for
// concurrent use; builds at the same time share the one buildkitd and its fate. It implements image.Builder.
type Builder struct {
	// Program and Runc are the programs; empty means buildkitd and runc on the PATH.
	Program, Runc string
	// Dir is a folder on a disk with room, in which each buildkitd makes a folder of its own, removed on Close. Empty is the
	// system's folder for temporary files. Its path is short, as a socket is made below it (72 characters at most).
	Dir string
	// Registry is the host that takes the images; empty means Fly's.
	Registry string
	// Logins are the credentials of registries by host (registry.fly.io, index.docker.io), for pushing and for
	// pulling base images.
	Logins map[string]image.Login
	// Insecure are the hosts of registries that speak plain http.
	Insecure []string
	// Limits bound what all builds together may use; zero is the sandbox's default.
	Limits sandbox.Limits
	// Timeout is the most that a build may take where its request says nothing; zero is 30 minutes.
	Timeout time.Duration
	// Allow are private addresses that builds may reach all the same, such as a registry in the private network.
	Allow []netip.AddrPort
	// Log takes what happens to buildkitd; nil means nobody.
	Log *slog.Logger

	mu     sync.Mutex
	daemon *daemon
}

// Built implements image.Builder.
func (b *Builder) Built(ctx context.Context, req image.Request) (image.Reference, bool, error) {
	return b.images().Exists(ctx, req.Name(b.Registry))
}

// Build implements image.Builder: it makes the image and pushes it to the request's name in the registry.
//
// These wrap job.ErrRejected: a Dockerfile that does not parse, a step that fails, a file that is not there, a base image
// that does not exist or is denied, memory or disk that ran out. These may be tried again: a registry that
// cannot be reached or does not take the image, a build that took too long, a buildkitd that died. A build that is
// cancelled gives the cause of it.
func (b *Builder) Build(ctx context.Context, req image.Request) (image.Reference, error) {
	name, err := req.Check(b.Registry)
	if err != nil {
		return image.Reference{}, err
	}
	limit := b.timeout(req)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTimeout)
	defer cancel()
	f := failure{name: name, limit: limit}
	if err := ctx.Err(); err != nil {
		return image.Reference{}, f.judge(ctx)
	}
	d, err := b.running(ctx)
	if err != nil {
		f.err = err
		return image.Reference{}, f.judge(ctx)
	}
	f.box, f.seen = d.box, newProgress(req)
	made, err := d.build(ctx, task{name: name, req: req, logins: b.Logins}, f.seen)
	if err != nil {
		f.err = err
		err = f.seen.redact.Error(f.judge(ctx))
		if !d.well() {
			b.log().WarnContext(ctx, "buildkitd given up", "error", d.box.Err(), "said", d.said.String())
		}
		return image.Reference{}, err
	}
	if made.index && !req.NoPush {
		// what runs is one image of it
		return b.images().Resolve(ctx, name)
	}
	return image.Reference{Name: name, Digest: made.digest}, nil
}

// Close ends buildkitd and removes what it wrote. It is safe to repeat; a later Build starts anew.
func (b *Builder) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.daemon == nil {
		return nil
	}
	err := b.daemon.close()
	b.daemon = nil
	return err
}

// running gives the buildkitd that answers, and starts it where there is none.
func (b *Builder) running(ctx context.Context) (*daemon, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.daemon != nil && b.daemon.well() {
		return b.daemon, nil
	}
	if b.daemon != nil {
		if err := b.daemon.close(); err != nil { //nolint:contextcheck // it is cleared away whether or not the build goes on
			b.log().WarnContext(ctx, "buildkitd not cleared away", "error", err)
		}
		b.daemon = nil
	}
	begun := time.Now()
	d, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	b.log().InfoContext(ctx, "buildkitd started", "took", time.Since(begun).Round(time.Millisecond))
	b.daemon = d
	return d, nil
}

var errTimeout = errors.New("the build took too long")

func (b *Builder) timeout(req image.Request) time.Duration {
	switch {
	case req.Timeout > 0:
		return req.Timeout
	case b.Timeout > 0:
		return b.Timeout
	}
	return defaultTimeout
}

func (b *Builder) log() *slog.Logger {
	if b.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.Log
}

func (b *Builder) images() image.Registry {
	return image.Registry{Logins: b.Logins, Insecure: b.Insecure}
}
