package install

import (
	"context"
	"fmt"
	"slices"

	"github.com/gigurra/flycd/shared/plan"
)

// Removal says how much goes.
type Removal struct {
	// KeepApps leaves the apps that FlyCD deployed without a look at them. Without it they are listed, and destroyed where
	// ConfirmApps says so; those with volumes never are.
	KeepApps, ConfirmApps bool
}

// PlanRemoval looks, and says what goes: the webhooks, the two apps, their tokens, the Redis that was made for them.
func (in *Installer) PlanRemoval(ctx context.Context, want Want, how Removal) (Plan, error) {
	in = in.ready()
	want, s, err := in.Look(ctx, want)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Want: want, state: s}
	if !how.KeepApps {
		if err := in.deployed(ctx, &p, how.ConfirmApps); err != nil {
			return Plan{}, err
		}
	}
	for _, r := range s.Repos {
		if r.Out != nil {
			p.add(Step{Name: "webhook of " + r.Repo, Why: outText(r.Out), Manual: true, Command: fmt.Sprintf("delete the webhook %s in the settings of %s", want.hookAddress(), r.Repo)})
			continue
		}
		if len(r.Hooks) > 0 {
			p.add(Step{Name: "webhook of " + r.Repo, do: removeHook, hook: hookMove{RepoState: r}, Why: "it goes"})
		}
	}
	if s.Dispatcher.Exists {
		p.add(Step{Name: "app " + want.App, do: removeApp, target: want.App, Why: "it goes", Command: "fly apps destroy " + want.App})
	}
	if s.Runner.Exists {
		p.add(Step{Name: "app " + want.RunnerApp, do: removeApp, target: want.RunnerApp, Why: "it goes", Command: "fly apps destroy " + want.RunnerApp})
	}
	// runners that are at work hold copies of them: they went with the app
	for _, t := range s.Tokens {
		p.add(Step{Name: fmt.Sprintf("token %q", t.Name), do: revokeToken, token: t, Why: "it goes", Command: "fly tokens revoke " + t.ID})
	}
	if s.Redis.Found && !s.memory.notes.Elsewhere {
		p.add(Step{Name: "redis " + want.Redis, do: removeRedis, target: want.Redis, Why: "it goes", Command: "fly redis destroy " + want.Redis})
	}
	return p, nil
}

// deployed adds the organisation's apps whose machines all are FlyCD's.
func (in *Installer) deployed(ctx context.Context, p *Plan, confirmed bool) error {
	names, err := in.Fly.AppsOf(ctx, p.Want.Org)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == p.Want.App || name == p.Want.RunnerApp {
			continue
		}
		o, err := in.Fly.Observe(ctx, name, plan.Scope{})
		if err != nil {
			return err
		}
		foreign := slices.ContainsFunc(o.Machines, func(m plan.Machine) bool { return m.GetMetadataByKey("flycd_app") != name })
		s := Step{Name: "app " + name, Command: "fly apps destroy " + name}
		switch {
		case foreign || len(o.Machines) == 0:
			continue
		case len(o.Volumes) > 0:
			s.Why, s.Manual = "FlyCD deployed it; it has volumes, and so it stays", true
		case !confirmed:
			s.Why, s.Manual = "FlyCD deployed it; it stays and runs on", true
		default:
			s.Why, s.do, s.target = "FlyCD deployed it, and it goes, as was confirmed", removeApp, name
		}
		p.add(s)
	}
	return nil
}

func (r *run) remove(ctx context.Context, s Step) error {
	switch s.do { //nolint:exhaustive // the steps of a removal
	case removeHook:
		for _, h := range s.hook.Hooks {
			if err := r.Forge.RemoveHook(ctx, s.hook.Repo, h.ID); err != nil {
				return err
			}
		}
		return nil
	case removeRedis:
		return r.Fly.RemoveRedis(ctx, r.plan.Want.Org, s.target)
	default:
		return r.Fly.RemoveApp(ctx, s.target)
	}
}
