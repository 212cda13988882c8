package deploy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/source"
)

// Deployer makes jobs true. Its fields are its dependencies and settings; one Deployer may be used by
// several goroutines, but Lease and BuildLog belong to one job at a time.
type Deployer struct {
	Fly    *fly.Client
	Source *source.Client
	// Images finds the images that manifests name, by digest.
	Images Images
	// Builder makes images from Dockerfiles. Without one, apps that need a build are rejected.
	Builder image.Builder
	// Registry is the host of Fly's registry, where apps have their images; empty means registry.fly.io.
	Registry string
	// Turns keeps two jobs from building one image at once. Without it both build.
	Turns Turns
	// Lease is the claim on the job. Without one, Fly's machine leases are the only lock.
	Lease Lease
	// WriteTime is what a write to Fly may take: none is begun that Lease's trust cannot outlast.
	// Zero means 10 s. A lease that is renewed must be trusted for longer.
	WriteTime time.Duration
	// Sync does the jobs that have no app. Without one they are rejected.
	Sync *Syncer
	// Index is asked, before an app is destroyed, whether its tree still lacks it, and Tombs whether a tree named it
	// before.
	Index Index
	Tombs Tombs
	// Org is the organisation that an app which names none is created in; empty means personal.
	Org string
	// Manifest says how manifests are read; its Repos is the deployer's own.
	Manifest manifest.Options
	// Secrets finds the values of the secrets that manifests refer to. Its zero value has no
	// environment to read and no keys.
	Secrets secret.Resolver
	// DigestKey is the key under which secrets are compared (FLYCD_DIGEST_KEY). Without one they are set
	// again whenever the app's digest changes.
	DigestKey manifest.Secret
	// HTTP asks the addresses of verify; nil means http.DefaultClient.
	HTTP *http.Client
	// BuildLog takes what builders, release commands and checks print; nil drops it.
	BuildLog io.Writer
	// Log and Now may be nil: nothing is logged, and the time is the system's.
	Log *slog.Logger
	Now func() time.Time
}

// Images looks images up and copies them.
type Images interface {
	// Pick gives the digest of the image that ref names or, with a policy, of the tag that it chooses
	// now.
	Pick(ctx context.Context, ref string, p manifest.ImagePolicy) (image.Reference, error)
	// Copy puts the image under another name, with the same digest. Copying again costs one request.
	Copy(ctx context.Context, from image.Reference, to string) (image.Reference, error)
}

// Tombs knows apps that their trees stopped naming.
type Tombs interface {
	// Tombstone looks one up, and reports false where no tree stopped naming it, or one names it now.
	Tombstone(ctx context.Context, app string) (queue.Tombstone, bool, error)
}

// Turns lets one job at a time build an image.
type Turns interface {
	// Turn comes back when it is the holder's turn, and reports whether it had to wait for another. The turn is
	// kept until done is called. Nothing depends on it but work that is done twice.
	Turn(ctx context.Context, name, holder string) (done func(), waited bool, err error)
}

// Lease is the exclusive right to change the job's app.
type Lease interface {
	// TrustedUntil is the moment up to which the right is certain.
	TrustedUntil() time.Time
}

// Request is a job and what is known of it when it is claimed.
type Request struct {
	Job job.Job
	// Config and Source are the halves of the wish as they stand. A nil config half is the
	// catalog's, a nil source half is ls-remote's. Their orders place them; zero means the job's own.
	Config, Source           *job.Half
	ConfigOrder, SourceOrder job.Order
	// Force deploys although nothing changed, as Job.Force does.
	Force bool
	// Entry is what the catalog says of the app; nil where it knows nothing.
	Entry *catalog.Entry
	// Last is the result of the app's last deploy that was done.
	Last job.Result
	// Folder is the config tree of Job.Config where it is a folder that was read already; nil reads it.
	Folder *Folder
	// Fence is that of the claim; zero where there is none.
	Fence int64
	// Final reports that no further attempt follows when this one fails.
	Final bool
}

// Deploy makes the job true and gives its result, whatever the outcome: also that it was rejected or
// failed for good. An error means that the job has not ended and may be tried again: when ctx was
// cancelled, the attempt was given up between two steps and nothing failed. Deploying a job again is
// always safe.
func (d *Deployer) Deploy(ctx context.Context, req Request) (job.Result, error) {
	d = d.ready()
	started := d.Now()
	res, err := d.run(ctx, req)
	res.Started, res.Ended = started, d.Now()
	if errors.Is(err, job.ErrRejected) {
		res.Outcome, res.Detail, res.Refused = job.Rejected, err.Error(), errors.Is(err, fly.ErrRefused) || breaksPolicy(err)
		return res, nil
	}
	return res, err
}

// breaksPolicy reports whether a rejection is about what a policy forbids.
func breaksPolicy(err error) bool {
	var problems manifest.Problems
	return errors.As(err, &problems) && slices.ContainsFunc(problems, func(p manifest.Problem) bool { return p.Refused })
}

// ready fills in what may be nil.
func (d *Deployer) ready() *Deployer {
	full := *d
	if full.Log == nil {
		full.Log = slog.New(slog.DiscardHandler)
	}
	if full.Now == nil {
		full.Now = time.Now
	}
	full.Manifest.Org = cmp.Or(full.Manifest.Org, full.Org)
	if full.HTTP == nil {
		full.HTTP = http.DefaultClient
	}
	return &full
}

func (d *Deployer) run(ctx context.Context, req Request) (job.Result, error) {
	switch req.Job.Kind {
	case job.Deploy:
		return d.deploy(ctx, req)
	case job.Plan:
		if req.Job.App == "" {
			return d.planPull(ctx, req)
		}
		p, err := d.plan(ctx, req)
		return p.Result, err
	case job.Destroy:
		return d.destroy(ctx, req)
	case job.Sync:
		if d.Sync == nil {
			return job.Result{}, job.Rejectf("job %s: a sync needs Redis: set REDIS_URL", req.Job.ID)
		}
		return d.Sync.Sync(ctx, req)
	default:
		return job.Result{}, job.Rejectf("job %s: unknown kind %q", req.Job.ID, req.Job.Kind)
	}
}

// deploy is the corridor for one app.
func (d *Deployer) deploy(ctx context.Context, req Request) (job.Result, error) {
	w := d.work(req)
	defer w.close(ctx)
	if err := w.resolveConfig(ctx); err != nil {
		return w.result(), err
	}
	if done, err := w.untouched(ctx); done || err != nil {
		return w.result(), err
	}
	err := w.walk(ctx, w.readConfig, w.resolveSource, w.explore, w.makeImage, w.decide, w.change)
	return w.result(), err
}

// interrupted gives the reason why the attempt is to end, if it is.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
