package adopt

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// Release is the last release that was recorded for an app.
type Release struct {
	Version int
	// Definition is the app's configuration at that release, as flyctl records it: a fly.toml as JSON.
	Definition json.RawMessage
}

// Draft is a manifest for an app that runs already.
type Draft struct {
	App string
	// YAML is an app.yaml, with comments.
	YAML []byte
	// Files belong beside it, by their paths relative to it.
	Files map[string][]byte
	// Notes are sentences on what a person should know or decide. The YAML has them as comments.
	Notes []string
	// Release is the version of the release that the draft is made from; zero where it is made from
	// the machines alone.
	Release int
	// Plan is what a deploy of the draft would change. It is empty unless the app is in a state that
	// no manifest can describe.
	Plan plan.Plan
}

// Scope is what to observe of an app for its draft.
func Scope() plan.Scope { return plan.Scope{Secrets: true, Certs: true, Egress: true} }

// DraftOf writes a manifest for an app from what was observed in the Scope, and from its last release
// where it has one. It is pure: the same input gives the same text. The error wraps job.ErrRejected
// where there is nothing to adopt, and can pass by itself where Fly does not reach a machine's host.
func DraftOf(o plan.Observed, last *Release) (Draft, error) {
	a, err := accountOf(o, last)
	if err != nil {
		return Draft{}, err
	}
	best, bestCost := Draft{}, math.MaxInt
	for _, t := range a.attempts() {
		d, cost, problem := a.judge(t)
		if problem != nil {
			err = problem
			continue
		}
		if cost < bestCost {
			best, bestCost = d, cost
		}
		if cost == 0 {
			break
		}
	}
	if bestCost == math.MaxInt {
		return Draft{}, job.Reject(fmt.Errorf("describe app %s: %w", o.App, err))
	}
	return best, nil
}

// attempt says which sections of a draft come from the machines; the rest is the release's.
type attempt struct {
	release bool
	taken   []string
}

// attempts go from the release to the machines.
func (a *account) attempts() []attempt {
	everything := attempt{taken: sectionNames()}
	if a.definition == nil {
		return []attempt{everything}
	}
	var sizes []string
	if a.definition["vm"] == nil {
		sizes = []string{"vm"}
	}
	return []attempt{
		{release: true, taken: sizes},
		{release: true, taken: []string{"vm"}},
		{release: true, taken: []string{"vm", "files", "containers", "statics"}},
		everything,
	}
}
