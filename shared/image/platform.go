package image

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/job"
)

// forFly gives the digest of what runs on Fly's machines, which are linux/amd64: an image's own, or of an index that image's
// which is for them. Fly itself does so when it is given an index: the Machines API answers with the digest of the index's
// linux/amd64 image (its documentation creates a machine from ubuntu:latest and shows sha256:c9cf959f…, which is that
// image and not its index), and a deploy is proven by that digest.
func forFly(ctx context.Context, puller *remote.Puller, ref name.Reference, desc *v1.Descriptor) (string, error) {
	if !desc.MediaType.IsIndex() {
		return desc.Digest.String(), nil
	}
	got, err := puller.Get(ctx, ref.Context().Digest(desc.Digest.String()))
	if err != nil {
		return "", askingFor("resolve image", ref).failed(ctx, err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		return "", fmt.Errorf("resolve image %s: its index cannot be read: %w", ref, err)
	}
	return chooseForFly(ref.String(), index.Manifests)
}

// chooseForFly chooses among the images of an index.
func chooseForFly(ref string, images []v1.Descriptor) (string, error) {
	images = slices.DeleteFunc(slices.Clone(images), func(d v1.Descriptor) bool {
		// an attestation says of itself that it is for no machine
		return !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown"
	})
	found := ""
	var has []string
	for _, d := range images {
		switch p := d.Platform; {
		case p == nil:
			has = append(has, "one that does not say")
		case p.OS == "linux" && p.Architecture == "amd64":
			// v2 and later want more of a processor
			if found == "" || p.Variant == "" || p.Variant == "v1" {
				found = d.Digest.String()
			}
		default:
			has = append(has, p.String())
		}
	}
	switch {
	case found != "":
		return found, nil
	case len(images) == 1 && images[0].Platform == nil:
		return images[0].Digest.String(), nil
	case len(has) == 0:
		return "", job.Rejectf("image %s is an index without images", ref)
	}
	return "", job.Rejectf("image %s has no image for linux/amd64, and Fly's machines are of that kind; it has %s: build it for linux/amd64 too",
		ref, strings.Join(has, ", "))
}
