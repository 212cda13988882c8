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

// Copy puts an image into another repository, under the digest that it has, and gives its name there. What to names is
// repository:tag; without a tag it is copy-<part of the digest>. An image that is there under that tag costs one
// HEAD request. Otherwise only the layers that the repository lacks are sent; one that another repository of the same registry has
// is not sent either, where the registry can mount it. So a copy that was broken off goes on where it was. A digest that names
// an index is copied with all its images.
//
// The error wraps job.ErrRejected as that of Resolve does where the image cannot be read. A target that cannot be reached or does not
// take the image may be tried again.
func (r Registry) Copy(ctx context.Context, from Reference, to string) (Reference, error) {
	if !isDigest(from.Digest) {
		return Reference{}, fmt.Errorf("copy image %s: its digest is not known", from.Name)
	}
	source, err := r.parse(from.String())
	if err != nil {
		return Reference{}, err
	}
	target, err := r.target(from, to)
	if err != nil {
		return Reference{}, err
	}
	c := copying{from: source, to: target}
	if c.read, err = r.options(ctx, source.Context()); err != nil {
		return Reference{}, err
	}
	if c.write, err = r.options(ctx, target.Context()); err != nil {
		return Reference{}, err
	}
	// a large image is worth more patience than a question is
	patience := remote.WithRetryBackoff(remote.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 6})
	c.read, c.write = append(c.read, patience), append(c.write, patience)
	if err := c.run(ctx, from.Digest); err != nil {
		return Reference{}, err
	}
	return Reference{Name: strings.TrimSuffix(strings.TrimSpace(to), tagOf(to)) + ":" + target.TagStr(), Digest: from.Digest}, nil
}

// target reads where a copy goes.
func (r Registry) target(from Reference, to string) (name.Tag, error) {
	parsed, err := r.parse(to)
	if err != nil {
		return name.Tag{}, err
	}
	tag, ok := parsed.(name.Tag)
	if !ok {
		return name.Tag{}, job.Rejectf("image %s cannot be copied to %s: name a repository or a tag, not a digest", from.Name, to)
	}
	if tagOf(to) == "" {
		tag = tag.Context().Tag("copy-" + from.Digest[len("sha256:"):][:32])
	}
	return tag, nil
}

// tagOf is the tag that a reference names, with its colon; empty without one.
func tagOf(ref string) string {
	ref = strings.TrimSpace(ref)
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		return ref[colon:]
	}
	return ""
}

// copying is one copy under way.
type copying struct {
	from        name.Reference
	to          name.Tag
	read, write []remote.Option
}

func (c copying) run(ctx context.Context, digest string) error {
	there, err := remote.Head(c.to, c.write...)
	if err == nil && there.Digest.String() == digest {
		return nil
	}
	// some registries deny what they do not have; one that denies everything says so again when it is sent the image
	var answer *transport.Error
	if err != nil && (!errors.As(err, &answer) || answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests) {
		return c.refused(ctx, err)
	}
	image, err := remote.Get(c.from, c.read...)
	if err != nil {
		return askingFor("copy image", c.from).failed(ctx, err)
	}
	if err := remote.Push(c.to, image, c.write...); err != nil {
		if errors.As(err, &answer) && answer.Request != nil && answer.Request.URL.Host == c.from.Context().RegistryStr() &&
			c.from.Context().RegistryStr() != c.to.RegistryStr() {
			return askingFor("copy image", c.from).failed(ctx, err)
		}
		return c.refused(ctx, err)
	}
	return nil
}

// refused says why the target did not take the image. It is never rejected: a login or an app can be put right without a
// new commit.
func (c copying) refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("copy image %s: %w", c.from, context.Cause(ctx))
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("copy image %s to %s: registry %s cannot be reached: %w", c.from, c.to, c.to.RegistryStr(), err)
	}
	return fmt.Errorf("copy image %s to %s: registry %s answered %d %s: see that the repository exists, and that FlyCD's login may push to it",
		c.from, c.to, c.to.RegistryStr(), answer.StatusCode, http.StatusText(answer.StatusCode))
}
