package install

import (
	"context"
	"slices"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// Installed is what an installation says of itself.
type Installed struct {
	// Roots are its config trees.
	Roots []job.Config
	// Dispatcher and Runner are the images that it runs; empty where there is no installation.
	Dispatcher, Runner string
}

// Installed asks what is installed under the wanted names. Nothing is, where Dispatcher is empty.
func (in *Installer) Installed(ctx context.Context, want Want) (Installed, error) {
	org, err := in.Fly.Org(ctx, orPersonal(want.Org))
	if err != nil {
		return Installed{}, err
	}
	want.Org = org.Slug
	if want, err = want.complete(); err != nil {
		return Installed{}, err
	}
	a, err := in.app(ctx, want.App, want.Org)
	if err != nil {
		return Installed{}, err
	}
	m := recall(a.Machines)
	if !m.known() {
		return Installed{}, nil
	}
	newest := slices.MaxFunc(a.Machines, func(x, y plan.Machine) int { return releaseOf(x) - releaseOf(y) })
	return Installed{Roots: Want{}.over(m).Roots, Dispatcher: newest.Config.Image, Runner: m.env[envRunnerImage]}, nil
}
