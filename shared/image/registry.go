package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gigurra/flycd/shared/job"
)

// FlyRegistry is the host of Fly's registry.
const FlyRegistry = "registry.fly.io"

// Registry asks registries. The zero value asks anonymously. It is safe for concurrent use.
type Registry struct {
	// Logins are the credentials by registry host (registry.fly.io, index.docker.io, localhost:5000).
	Logins map[string]Login
	// Keychain lets docker's own configuration on a person's machine open registries that Logins lacks.
	Keychain bool
	// Insecure are hosts that speak plain http; loopback hosts always may.
	Insecure []string
	// HTTP carries the requests; nil means one with time limits.
	HTTP http.RoundTripper
}

// Resolve gives the digest of an image as it is now, by one HEAD request. An index of images for several platforms takes
// one GET more, and gives the digest of its image for Fly's machines (linux/amd64). A reference that names its
// digest already stands for itself: nothing is asked, so that an image which only Fly may pull can be
// deployed too. The error wraps job.ErrRejected when there is no such image, when it has none for linux/amd64, or
// when it may not be read; a registry that cannot be reached may be tried again.
func (r Registry) Resolve(ctx context.Context, ref string) (Reference, error) {
	parsed, err := r.parse(ref)
	if err != nil {
		return Reference{}, err
	}
	if pinned, ok := parsed.(name.Digest); ok {
		return Reference{Name: strings.TrimSuffix(strings.TrimSpace(ref), "@"+pinned.DigestStr()), Digest: pinned.DigestStr()}, nil
	}
	return r.head(ctx, ref, parsed)
}

func (r Registry) head(ctx context.Context, ref string, parsed name.Reference) (Reference, error) {
	opts, err := r.options(ctx, parsed.Context())
	if err != nil {
		return Reference{}, err
	}
	puller, err := remote.NewPuller(opts...)
	if err != nil {
		return Reference{}, fmt.Errorf("resolve image %s: %w", parsed, err)
	}
	desc, err := puller.Head(ctx, parsed)
	if err != nil {
		return Reference{}, askingFor("resolve image", parsed).failed(ctx, err)
	}
	digest, err := forFly(ctx, puller, parsed, desc)
	if err != nil {
		return Reference{}, err
	}
	return Reference{Name: strings.TrimSuffix(strings.TrimSpace(ref), "@"+desc.Digest.String()), Digest: digest}, nil
}

// Exists reports whether there is an image of that name, and which, as Resolve does. Only "there is none" is no error.
func (r Registry) Exists(ctx context.Context, ref string) (Reference, bool, error) {
	parsed, err := r.parse(ref)
	if err != nil {
		return Reference{}, false, err
	}
	got, err := r.head(ctx, ref, parsed)
	if errors.Is(err, errNotFound) {
		return Reference{}, false, nil
	}
	return got, err == nil, err
}

var errNotFound = errors.New("not found")

func (r Registry) parse(ref string) (name.Reference, error) {
	ref = strings.TrimSpace(ref)
	host, _, _ := strings.Cut(ref, "/")
	opts := []name.Option{name.WeakValidation}
	if r.insecure(host) {
		opts = append(opts, name.Insecure)
	}
	parsed, err := name.ParseReference(ref, opts...)
	if err != nil {
		return nil, job.Rejectf("image %q is no image reference: expected one such as nginx:1.27 or ghcr.io/owner/name:tag", ref)
	}
	return parsed, nil
}

func (r Registry) insecure(host string) bool {
	for _, h := range r.Insecure {
		if h == host {
			return true
		}
	}
	bare := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		bare = h
	}
	ip := net.ParseIP(strings.Trim(bare, "[]"))
	return bare == "localhost" || ip != nil && ip.IsLoopback()
}

// options are how a repository is asked. A login that has to be exchanged first is exchanged here.
func (r Registry) options(ctx context.Context, repo name.Repository) ([]remote.Option, error) {
	opts := []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(r.transport()),
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Steps: 2}),
	}
	host := repo.RegistryStr()
	if login, ok := loginFor(r.Logins, host); ok {
		login, err := login.Open(ctx, host, r.transport())
		if err != nil {
			return nil, err
		}
		return append(opts, remote.WithAuth(&authn.Basic{Username: login.Username, Password: login.Password.Reveal()})), nil
	}
	if r.Keychain {
		return append(opts, remote.WithAuthFromKeychain(authn.DefaultKeychain)), nil
	}
	return opts, nil
}

func (r Registry) transport() http.RoundTripper {
	if r.HTTP != nil {
		return r.HTTP
	}
	return sharedTransport()
}

// sharedTransport keeps connections for all that ask registries, and waits a minute for the beginning of an answer.
//
//nolint:gochecknoglobals // connections are shared by intent
var sharedTransport = sync.OnceValue(func() http.RoundTripper {
	t, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		return remote.DefaultTransport
	}
	t = t.Clone()
	t.ResponseHeaderTimeout = time.Minute
	return t
})

// asking is a question to a registry, for what is said of its failure.
type asking struct{ what, image, host string }

func askingFor(what string, ref name.Reference) asking {
	return asking{what: what, image: ref.String(), host: ref.Context().RegistryStr()}
}

// failed says what a registry's answer means.
func (a asking) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", a.what, a.image, context.Cause(ctx))
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%s %s: registry %s does not answer in time", a.what, a.image, a.host)
		}
		return fmt.Errorf("%s %s: registry %s cannot be reached: %w", a.what, a.image, a.host, err)
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return job.Rejectf("image %s does not exist in registry %s: check its name and tag (%w)", a.image, a.host, errNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return job.Rejectf("image %s: registry %s denies access: the image is private, or there is none of that name; give FlyCD a login for %s",
			a.image, a.host, a.host)
	}
	return fmt.Errorf("%s %s: registry %s answered %d %s", a.what, a.image, a.host, answer.StatusCode, http.StatusText(answer.StatusCode))
}
