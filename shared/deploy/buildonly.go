package deploy

import (
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

// Build makes the image of the job's app as a deploy would, and deploys nothing. With Push, an image that
// the registry has is not built again; the app must exist where its repository is Fly's. What is wrong with the
// manifest or the Dockerfile wraps job.ErrRejected. It is safe to repeat.
func (d *Deployer) Build(ctx context.Context, req Request, o BuildOptions) (image.Reference, error) {
	w := d.ready().work(req)
	defer w.close(ctx)
	if err := w.walk(ctx, w.resolveConfig, w.readConfig, w.resolveSource, w.readSource); err != nil {
		return image.Reference{}, err
	}
	if ref := w.imageRef(); ref != "" {
		return image.Reference{}, job.Rejectf("%s: app %s is not built: it runs image %s", w.entry.File, w.entry.App.Name, ref)
	}
	sum, err := w.buildDigest()
	if err != nil {
		return image.Reference{}, err
	}
	// no app is made for the sake of an image
	w.observed.Exists = true
	w.marks.build = or(o.Tag, "t-"+sum)
	w.flags.noCache = w.flags.noCache || o.NoCache
	asked := w.request()
	asked.NoPush = !o.Push
	if o.Push && o.Tag == "" && !o.NoCache {
		return w.buildOnce(ctx)
	}
	return w.build(ctx, asked)
}
