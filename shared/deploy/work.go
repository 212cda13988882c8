package deploy

import (
	"context"
	"log/slog"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/source"
)

// work is one deploy on its way through the corridor. Each step fills in what it found out, and
// what is filled in when a step fails is in the result.
type work struct {
	*Deployer
	req Request
	log *slog.Logger
	// dry stops before the first change.
	dry bool

	// resolveConfig and resolveSource
	tree               job.Config
	configAt, sourceAt source.Commit
	// remembered reports that configAt is what the catalog read last: a forced push may have removed it since.
	remembered bool
	// readConfig
	trees *trees
	entry manifest.Entry
	// noCache builds every step again.
	noCache bool
	// explore
	target   machine.Target
	observed plan.Observed
	// observedAt is when.
	observedAt time.Time
	seal       seal
	// readSource
	code  *source.Tree
	where string
	marks mark
	files map[string][]byte
	// makeImage
	image string
	// decide
	values   map[string]manifest.Secret
	intent   plan.Intent
	decision plan.Plan
	// change
	outcome job.Outcome
	detail  string
	// proven are the machines, by name, that a stage has proven.
	proven      map[string]bool
	changes     []string
	warnings    []string
	pending     []string
	secretSum   string
	fingerprint string
	url         string
}

func (d *Deployer) work(req Request) *work {
	return &work{Deployer: d, req: req, log: d.Log.With("app", req.Job.App)}
}

// force reports whether the app is deployed although nothing changed.
func (w *work) force() bool { return w.req.Force || w.req.Job.Force }

// walk takes the steps in their order and stops at the first error, or when ctx ends.
func (w *work) walk(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := interrupted(ctx); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close removes what was fetched.
func (w *work) close(ctx context.Context) {
	if w.trees != nil {
		w.discard(ctx, w.trees.Close())
	}
}

// discard logs that something could not be let go of: it never fails a deploy.
func (w *work) discard(ctx context.Context, err error) {
	if err != nil {
		w.log.WarnContext(ctx, "not let go", "error", err.Error())
	}
}
