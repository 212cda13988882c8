package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gigurra/flycd/shared/job"
)

// Push puts an assembled image under a name (repository:tag), and gives its reference. An image that is there under
// that name costs one HEAD request; otherwise only the layers that the repository lacks are sent, so a push that was broken off
// goes on where it was. It is safe to repeat.
//
// A name that is none, or that is a digest, wraps job.ErrRejected. A registry that cannot be reached or does not take the image may be
// tried again, also one that denies: a login or an app can be put right.
func (r Registry) Push(ctx context.Context, img Assembled, to string) (Reference, error) {
	parsed, err := r.parse(to)
	if err != nil {
		return Reference{}, err
	}
	tag, ok := parsed.(name.Tag)
	if !ok || img.image == nil {
		return Reference{}, job.Rejectf("image cannot be pushed to %s: name a repository or a tag, not a digest", to)
	}
	opts, err := r.patient(ctx, tag)
	if err != nil {
		return Reference{}, err
	}
	there, err := hasTag(tag, img.digest, opts)
	if err == nil && !there {
		err = remote.Write(tag, img.image, opts...)
	}
	if err != nil {
		return Reference{}, refused(ctx, "push image", tag, err)
	}
	return Reference{Name: strings.TrimSuffix(strings.TrimSpace(to), tagOf(to)) + ":" + tag.TagStr(), Digest: img.digest}, nil
}

// patient are the options of what sends an image, which is worth more patience than a question is.
func (r Registry) patient(ctx context.Context, ref name.Reference) ([]remote.Option, error) {
	opts, err := r.options(ctx, ref.Context())
	return append(opts, remote.WithRetryBackoff(remote.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 6})), err
}

// hasTag tells whether a tag names an image of that digest already. Some registries deny what they do not have; one that denies everything
// says so again when it is sent the image.
func hasTag(tag name.Tag, digest string, opts []remote.Option) (bool, error) {
	there, err := remote.Head(tag, opts...)
	if err == nil {
		return there.Digest.String() == digest, nil
	}
	var answer *transport.Error
	if !errors.As(err, &answer) || answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests {
		return false, err
	}
	return false, nil
}

// refused says why a registry did not take an image. It is never rejected: a login or an app can be put right without a
// new commit.
func refused(ctx context.Context, what string, to name.Tag, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s to %s: registry %s cannot be reached: %w", what, to, to.RegistryStr(), err)
	}
	return fmt.Errorf("%s to %s: registry %s answered %d %s: see that the repository exists, and that FlyCD's login may push to it",
		what, to, to.RegistryStr(), answer.StatusCode, http.StatusText(answer.StatusCode))
}
