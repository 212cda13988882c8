package deploy

import (
	"context"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// Drift says whether Fly still holds what a deploy proved.
type Drift string

// The sorts of drift.
const (
	// DriftNone: Fly shows what it showed when the last deploy was proven, and every machine rests.
	DriftNone Drift = "none"
	// DriftFound: somebody changed something, or a machine does not do what its config wants of it.
	DriftFound Drift = "found"
	// DriftUnknown: it cannot be told without the manifest.
	DriftUnknown Drift = "unknown"
)

// DriftOf compares what Fly shows of an app with the result of its last deploy that was done. It asks Fly
// only, and Git never, and changes nothing. With an error it is unknown.
func (d *Deployer) DriftOf(ctx context.Context, e catalog.Entry, last job.Result) (Drift, error) {
	// add-ons are looked for by name, and only the manifest has their names
	if last.Fingerprint == "" || !last.Outcome.Done() || e.Looks.Addons {
		return DriftUnknown, nil
	}
	o, err := d.Fly.Observe(ctx, e.App, scopeOfLooks(e.Looks))
	if err != nil {
		return DriftUnknown, err
	}
	if fingerprint(o) != last.Fingerprint || !rests(o) {
		return DriftFound, nil
	}
	return DriftNone, nil
}

// scopeOfLooks gives what there is to observe of an app of which only the catalog's entry is known.
func scopeOfLooks(l catalog.Looks) plan.Scope {
	return plan.Scope{Secrets: l.Secrets, Certs: l.Certs, Egress: l.Egress}
}
