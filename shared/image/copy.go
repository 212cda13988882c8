package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	if c.read, err = r.patient(ctx, source); err != nil {
		return Reference{}, err
	}
	if c.write, err = r.patient(ctx, target); err != nil {
		return Reference{}, err
	}
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
	there, err := hasTag(c.to, digest, c.write)
	if err != nil {
		return c.refused(ctx, err)
	}
	if there {
		return nil
	}
	image, err := remote.Get(c.from, c.read...)
	if err != nil {
		return askingFor("copy image", c.from).failed(ctx, err)
	}
	if err := remote.Push(c.to, image, c.write...); err != nil {
		var answer *transport.Error
		if errors.As(err, &answer) && answer.Request != nil && answer.Request.URL.Host == c.from.Context().RegistryStr() &&
			c.from.Context().RegistryStr() != c.to.RegistryStr() {
			return askingFor("copy image", c.from).failed(ctx, err)
		}
		return c.refused(ctx, err)
	}
	return nil
}

func (c copying) refused(ctx context.Context, err error) error {
	return refused(ctx, "copy image "+c.from.String(), c.to, err)
}
