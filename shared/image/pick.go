package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const (
	// mostTags bounds what is read of an image's tags: they come in an order of the registry's own, so a part of them
	// is no answer.
	mostTags = 10_000
	// mostListed bounds a page of them in bytes, for registries that know no pages.
	mostListed = 4 << 20
	// mostShown are how many tags an error tells.
	mostShown = 5
)

// Pick gives the image that a policy takes: it lists the tags of the image's repository, chooses as Choose does, and asks
// for the chosen tag as Resolve does. Which tag ref names does not matter then. A policy that chooses nothing (the zero one, or
// one that follows the digest of a tag) is Resolve.
//
// No tag that fits, more than 10,000 tags, and a ref that names a digest wrap job.ErrRejected, beside what Resolve rejects.
func (r Registry) Pick(ctx context.Context, ref string, p manifest.ImagePolicy) (Reference, error) {
	rule, err := newRule(p)
	if err != nil {
		return Reference{}, err
	}
	if rule == nil {
		return r.Resolve(ctx, ref)
	}
	parsed, err := r.parse(ref)
	if err != nil {
		return Reference{}, err
	}
	if _, pinned := parsed.(name.Digest); pinned {
		return Reference{}, job.Rejectf("image %s names a digest, and source.policy would choose a tag: leave one of them out", strings.TrimSpace(ref))
	}
	tags, err := r.tags(ctx, parsed.Context())
	if err != nil {
		return Reference{}, err
	}
	tag, ok, err := Choose(tags, p)
	switch {
	case err != nil:
		return Reference{}, err
	case len(tags) == 0:
		return Reference{}, job.Rejectf("image %s has no tags: push one that matches source.policy (%s)", parsed.Context(), says(p))
	case !ok:
		return Reference{}, job.Rejectf("no tag of %s matches source.policy (%s)%s", parsed.Context(), says(p), rule.missed(tags))
	}
	chosen := parsed.Context().Tag(tag)
	got, err := r.head(ctx, bare(ref, parsed)+":"+tag, chosen)
	if errors.Is(err, errNotFound) {
		// not rejected: the next look at the list finds another
		return Reference{}, fmt.Errorf("resolve image %s: the registry lists the tag and has no image of it", chosen)
	}
	return got, err
}

// tags lists the tags of a repository.
func (r Registry) tags(ctx context.Context, repo name.Repository) ([]string, error) {
	r.HTTP = bounded{r.transport()}
	opts, err := r.options(ctx, repo)
	if err != nil {
		return nil, err
	}
	puller, err := remote.NewPuller(opts...)
	if err != nil {
		return nil, fmt.Errorf("list tags of %s: %w", repo, err)
	}
	failed := func(err error) error {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return tooMany(repo)
		}
		return asking{"list tags of image", repo.String(), repo.RegistryStr()}.failed(ctx, err)
	}
	pages, err := puller.Lister(ctx, repo)
	if err != nil {
		return nil, failed(err)
	}
	var tags []string
	for pages.HasNext() {
		page, err := pages.Next(ctx)
		if err != nil {
			return nil, failed(err)
		}
		tags = append(tags, page.Tags...)
		// a page without tags that promises more would promise it for ever
		if len(tags) > mostTags || len(page.Tags) == 0 && pages.HasNext() {
			return nil, tooMany(repo)
		}
	}
	return tags, nil
}

func tooMany(repo name.Repository) error {
	return job.Rejectf("image %s has more than %d tags, too many to choose from by source.policy: remove old ones, or name the tag (source.image: %s:TAG)",
		repo, mostTags, repo)
}

// says is a policy in one line.
func says(p manifest.ImagePolicy) string {
	var parts []string
	for _, part := range []struct{ key, value string }{{"semver", p.Semver}, {"regex", p.Regex}, {"sort", p.Sort}} {
		if part.value != "" {
			parts = append(parts, part.key+": "+part.value)
		}
	}
	return strings.Join(parts, ", ")
}

// bare is a reference as it was written, without its tag.
func bare(ref string, parsed name.Reference) string {
	return strings.TrimSuffix(strings.TrimSpace(ref), ":"+parsed.Identifier())
}

// bounded ends answers that are too long.
type bounded struct{ to http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.to.RoundTrip(req)
	if err == nil {
		resp.Body = ending{http.MaxBytesReader(nil, resp.Body, mostListed)}
	}
	return resp, err
}

// ending closes what cannot be read on: who reads a page of tags leaves it open then.
type ending struct{ io.ReadCloser }

// Read implements io.Reader.
func (e ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil {
		_ = e.Close()
	}
	return n, err
}
