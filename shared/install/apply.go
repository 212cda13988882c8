package install

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/manifest"
)

// Report is what became of a plan.
type Report struct {
	// Done are the names of the steps that were done, in their order.
	Done []string `json:"done,omitempty"`
	// Manual are the steps that a person has to do.
	Manual []Step `json:"manual,omitempty"`
	// WebhookSecret is the new webhook secret, where a person has to enter it; no other step ever tells it.
	WebhookSecret manifest.Secret `json:"-"`
	// Notes are for people.
	Notes []string `json:"notes,omitempty"`
}

// run is a plan under way, with the values that it made.
type run struct {
	*Installer
	plan Plan
	mem  memory
	// set are the values for the dispatcher, by name; runner those of the runner's app.
	set, runner map[string]manifest.Secret
	hookSecret  manifest.Secret
	// made are the images' and the hooks' results that later steps need.
	report Report
}

// Apply does what is to be done, in order, and stops at the first error. What was done stays: planning and applying again goes
// on from there. It is safe to repeat.
func (in *Installer) Apply(ctx context.Context, p Plan) (Report, error) {
	r := &run{Installer: in.ready(), plan: p, mem: p.remember(), set: map[string]manifest.Secret{}, runner: map[string]manifest.Secret{}}
	for _, s := range p.Steps {
		switch {
		case s.Done:
			continue
		case s.Manual:
			r.report.Manual = append(r.report.Manual, r.toEnter(s))
			continue
		}
		if ctx.Err() != nil {
			return r.report, context.Cause(ctx)
		}
		fmt.Fprintf(r.Talk, "%s: %s\n", s.Name, s.Why)
		if err := r.step(ctx, s); err != nil {
			return r.report, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.Log.InfoContext(ctx, "installed", "step", s.Name)
		r.report.Done = append(r.report.Done, s.Name)
	}
	return r.report, nil
}

// toEnter completes a manual step with what this run made.
func (r *run) toEnter(s Step) Step {
	if s.do == nothing && s.target != "" && r.plan.hooks.fresh && !r.hookSecret.IsZero() {
		key := r.mem.newest().key
		p := r.plan
		p.state.memory.keys, p.hooks.fresh = []slotKey{{r.plan.hooks.slot, key}}, false
		s.Command = p.hookCommand(s.target)
		r.report.WebhookSecret = r.hookSecret
	}
	return s
}

// remember is the memory that the dispatcher is deployed with, before anything was made.
func (p Plan) remember() memory {
	m := p.state.memory.clone()
	m.keys = slices.DeleteFunc(m.keys, func(k slotKey) bool { // its secret went, and the run that took it was killed
		_, there := p.state.Dispatcher.Secrets[slotSecret(k.slot)]
		return !there
	})
	maps.Copy(m.notes.Given, p.needs.marks)
	maps.DeleteFunc(m.notes.Given, func(name, mark string) bool { return mark == "" })
	m.notes.Env, m.notes.Elsewhere = slices.Sorted(maps.Keys(p.Want.Env)), p.elsewhere()
	return m
}

func (r *run) step(ctx context.Context, s Step) error {
	w := r.plan.Want
	switch s.do {
	case ensureApp:
		return r.Fly.EnsureApp(ctx, w.appOf(s.part), w.Org)
	case ensureRedis:
		return r.Fly.EnsureRedis(ctx, w.Org, w.Redis, w.Region)
	case sendImage:
		return r.Images.Send(ctx, r.plan.state.Images[s.part])
	case makeTokens:
		return r.makeTokens(ctx)
	case putRunner:
		return r.putRunner(ctx)
	case deployDispatcher:
		return r.deployDispatcher(ctx)
	case setHook:
		return r.setHook(ctx, s.hook)
	case dropSlots:
		return r.dropSlots(ctx, s.slots)
	case revokeToken:
		return r.revoke(ctx, s.token)
	case firstSync:
		return r.firstSync(ctx, s)
	case removeHook, removeApp, removeRedis:
		return r.remove(ctx, s)
	case nothing:
	}
	return nil
}

// makeTokens makes both: they end on one day.
func (r *run) makeTokens(ctx context.Context) error {
	w := r.plan.Want
	for _, t := range []struct {
		is     token
		secret string
		of     fly.TokenScope
	}{
		{launchToken, secretLaunch, fly.TokenScope{Org: w.Org, App: w.RunnerApp}},
		{mintToken, secretMint, fly.TokenScope{Org: w.Org}},
	} {
		text, info, err := r.Fly.MintToken(ctx, fly.NewToken{TokenScope: t.of, Name: tokenName(w.App, t.is), Lasts: tokenLife})
		if err != nil {
			return err
		}
		r.set[t.secret], r.mem.notes.Tokens[t.is], r.mem.expire = text, info.ID, info.Expires
	}
	return nil
}

func newValue() manifest.Secret { return manifest.NewSecret(rand.Text() + rand.Text()) }

// value gives the value of a secret that is to be set, one for both apps.
func (r *run) value(ctx context.Context, name string) (manifest.Secret, error) {
	for _, have := range []map[string]manifest.Secret{r.set, r.runner} {
		if v, ok := have[name]; ok {
			return v, nil
		}
	}
	if name != secretRedis {
		return newValue(), nil
	}
	w := r.plan.Want
	url := w.RedisURL
	if url.IsZero() {
		var err error
		if url, _, err = r.Fly.RedisURL(ctx, w.Org, w.Redis); err != nil {
			return manifest.Secret{}, err
		}
		if url.IsZero() {
			return manifest.Secret{}, fmt.Errorf("redis %s does not tell its address: try again when `fly redis status %s` shows one, or name another with --redis-url", w.Redis, w.Redis)
		}
	}
	m, err := mark(w.App, name, url, w.RedisURL.IsZero())
	r.mem.notes.Given[name] = m
	return url, err
}

func (r *run) putRunner(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(r.plan.needs.runner)) {
		v, given := r.plan.Want.Runner[name]
		if !given {
			var err error
			if v, err = r.value(ctx, name); err != nil {
				return err
			}
		}
		r.runner[name] = v
	}
	digests, err := r.Fly.PutSecrets(ctx, r.plan.Want.RunnerApp, r.runner)
	if err == nil {
		r.mem.notes.Runner = sealed(digests, secretNext, secretRedis)
	}
	return err
}

func (r *run) deployDispatcher(ctx context.Context) error {
	p := r.plan
	for _, name := range slices.Sorted(maps.Keys(p.needs.dispatcher)) {
		v, given := p.Want.Dispatcher[name]
		if !given {
			var err error
			if v, err = r.value(ctx, name); err != nil {
				return err
			}
		}
		r.set[name] = v
	}
	if p.hooks.fresh {
		r.hookSecret = r.set[slotSecret(p.hooks.slot)]
		r.mem = r.mem.withKey(slotKey{p.hooks.slot, newKey()})
	}
	if err := r.deploy(ctx, release{want: p.Want, state: p.state, mem: r.mem, set: r.set, kept: p.kept(nil)}); err != nil {
		return err
	}
	return r.answers(ctx, p.Want.Address)
}

// newKey tells webhook secrets apart. It is no secret.
func newKey() string { return rand.Text()[:8] }

// setHook makes the repository's hook as it should be, and only then takes away others of this dispatcher: a push that
// comes in between comes twice, and is one job.
func (r *run) setHook(ctx context.Context, m hookMove) error {
	key, secret := r.mem.newest().key, r.hookSecret
	if m.form {
		key, secret = keyOf(m.Hooks[0]), manifest.Secret{}
	}
	want := forge.Hook{URL: withKey(r.plan.Want.hookAddress(), key), Secret: secret.Reveal(), Events: hookEvents()}
	if _, err := r.Forge.EnsureHook(ctx, m.Repo, want); err != nil {
		return err
	}
	for _, old := range m.Hooks {
		if old.URL == want.URL {
			continue
		}
		if err := r.Forge.RemoveHook(ctx, m.Repo, old.ID); err != nil {
			return err
		}
	}
	return nil
}

// dropSlots deploys the dispatcher without the secrets.
func (r *run) dropSlots(ctx context.Context, slots []int) error {
	r.mem.keys = slices.DeleteFunc(r.mem.keys, func(k slotKey) bool { return slices.Contains(slots, k.slot) })
	kept := slices.DeleteFunc(append(r.plan.kept(slots), slices.Sorted(maps.Keys(r.set))...), func(name string) bool {
		return slices.ContainsFunc(slots, func(slot int) bool { return slotSecret(slot) == name })
	})
	return r.deploy(ctx, release{want: r.plan.Want, state: r.plan.state, mem: r.mem, kept: kept})
}

// revoke ends a token that nobody uses any more. Runners that work hold narrowed copies of it, and are not cut off.
func (r *run) revoke(ctx context.Context, t fly.TokenInfo) error {
	if app := r.plan.Want.RunnerApp; r.plan.state.Runner.Exists && r.plan.state.memory.known() {
		now, err := r.app(ctx, app, r.plan.Want.Org)
		if err != nil {
			return err
		}
		if len(now.Machines) > 0 {
			r.report.Notes = append(r.report.Notes, fmt.Sprintf("the token %q still works: %s has machines at work with it. Run the same command again when they are done", t.Name, app))
			return nil
		}
	}
	return r.Fly.RevokeToken(ctx, t)
}
