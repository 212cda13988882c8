package deploy

import (
	"cmp"
	"context"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
)

// BuildOptions say how an image is made that is not deployed.
type BuildOptions struct {
	// Tag takes the place of the tag that a deploy would give.
	Tag string
	// Push pushes the image. Without it nothing leaves the machine.
	Push bool
	// NoCache builds every step again, also of an image that the registry has.
	NoCache bool
}

// Built is an image that Build gives.
type Built struct {
	image.Reference
	// New says that it was built now; else the registry had it already.
	New bool
}

// Build makes the image of the job's app as a deploy would, and deploys nothing. With Push, an image that
// the registry has is not built again; the app must exist where its repository is Fly's. What is wrong with the
// manifest or the Dockerfile wraps job.ErrRejected. It is safe to repeat.
func (d *Deployer) Build(ctx context.Context, req Request, o BuildOptions) (made Built, err error) {
	d = d.ready()
	d.Builder = tally{d.builder(), &made.New}
	w := d.work(req)
	defer w.close(ctx)
	if err := w.walk(ctx, w.resolveConfig, w.readConfig, w.resolveSource, w.readSource); err != nil {
		return Built{}, err
	}
	if ref := w.imageRef(); ref != "" {
		return Built{}, job.Rejectf("%s: app %s is not built: it runs image %s", w.entry.File, w.entry.App.Name, ref)
	}
	sum, err := w.buildDigest()
	if err != nil {
		return Built{}, err
	}
	// no app is made for the sake of an image
	w.observed.Exists = true
	w.marks.build = cmp.Or(o.Tag, "t-"+sum)
	w.noCache = w.noCache || o.NoCache
	asked := w.request()
	asked.NoPush = !o.Push
	if o.Push && o.Tag == "" && !o.NoCache {
		made.Reference, err = w.buildOnce(ctx)
		return made, err
	}
	made.Reference, err = w.build(ctx, asked)
	return made, err
}

// tally tells whether anything was built.
type tally struct {
	image.Builder
	built *bool
}

// Build implements image.Builder.
func (t tally) Build(ctx context.Context, req image.Request) (image.Reference, error) {
	*t.built = true
	return t.Builder.Build(ctx, req)
}
