package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// FlyRegistry is the host of Fly's registry.
const FlyRegistry = "registry.fly.io"

// Login opens a registry.
type Login struct {
	Username string
	Password manifest.Secret
}

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

// Resolve gives the digest of an image as it is now, by one HEAD request. A reference that names its
// digest already stands for itself: nothing is asked, so that an image which only Fly may pull can be
// deployed too. The error wraps job.ErrRejected when there is no such image or
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
	desc, err := remote.Head(parsed, r.options(ctx, parsed)...)
	if err != nil {
		return Reference{}, explain(ctx, parsed, err)
	}
	return Reference{Name: strings.TrimSuffix(ref, "@"+desc.Digest.String()), Digest: desc.Digest.String()}, nil
}

// Exists reports whether there is an image of that name, and which. Only "there is none" is no error.
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

func (r Registry) options(ctx context.Context, ref name.Reference) []remote.Option {
	opts := []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(r.transport()),
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Steps: 2}),
	}
	host := ref.Context().RegistryStr()
	if login, ok := r.Logins[host]; ok {
		return append(opts, remote.WithAuth(&authn.Basic{Username: login.Username, Password: login.Password.Reveal()}))
	}
	if r.Keychain {
		return append(opts, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	}
	return opts
}

func (r Registry) transport() http.RoundTripper {
	if r.HTTP != nil {
		return r.HTTP
	}
	return remote.DefaultTransport
}

// explain says what a registry's answer means.
func explain(ctx context.Context, ref name.Reference, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("resolve image %s: %w", ref, context.Cause(ctx))
	}
	host := ref.Context().RegistryStr()
	var answer *transport.Error
	if !errors.As(err, &answer) {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("resolve image %s: registry %s does not answer in time", ref, host)
		}
		return fmt.Errorf("resolve image %s: registry %s cannot be reached: %w", ref, host, err)
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return job.Rejectf("image %s does not exist in registry %s: check its name and tag (%w)", ref, host, errNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return job.Rejectf("image %s: registry %s denies access: the image is private, or there is none of that name; give FlyCD a login for %s",
			ref, host, host)
	}
	return fmt.Errorf("resolve image %s: registry %s answered %d %s", ref, host, answer.StatusCode, http.StatusText(answer.StatusCode))
}
