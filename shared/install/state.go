package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// State is what there is of an installation. The zero value is nothing.
type State struct {
	// Dispatcher and Runner are the two apps.
	Dispatcher, Runner AppState
	// Redis is the Redis of the wanted name.
	Redis RedisState
	// Images are the images that are wanted, by part.
	Images map[Part]Image
	// Tokens are those that bear the installation's names.
	Tokens []fly.TokenInfo
	// Repos are the wanted repositories with the hooks that point to the dispatcher.
	Repos []RepoState

	memory memory
	// marks are those of the values that are known now.
	marks map[string]string
	// changes is what deploying the dispatcher anew would change, where none of its secrets is to be set.
	changes []string
}

// AppState is one of the two apps.
type AppState struct {
	Exists bool
	// Secrets are the digests of its secrets as Fly shows them, by name.
	Secrets map[string]string
	// Machines are those that are not destroyed.
	Machines []plan.Machine
}

// RedisState is the queue's Redis.
type RedisState struct {
	Found bool
	// URL is its private address; empty while it is being made.
	URL manifest.Secret
}

// RepoState is a repository that wants a webhook.
type RepoState struct {
	Repo string
	// Out says why the forge's token does not reach it; nil where it does.
	Out error
	// Hooks are those that deliver to the dispatcher, whatever their key.
	Hooks []forge.HookState
}

// Look finds out what there is. It changes nothing outside this machine; images may be compiled here. What is empty in
// want is filled in from what is installed, and comes back complete.
func (in *Installer) Look(ctx context.Context, want Want) (Want, State, error) {
	var s State
	org, err := in.Fly.Org(ctx, orPersonal(want.Org))
	if err != nil {
		return want, s, err
	}
	want.Org = org.Slug
	if first, err := want.complete(); err != nil {
		return want, s, err
	} else if s.Dispatcher, err = in.app(ctx, first.App, first.Org); err != nil {
		return want, s, err
	}
	s.memory = recall(s.Dispatcher.Machines)
	if want, err = want.over(s.memory).complete(); err != nil {
		return want, s, err
	}
	if s.Runner, err = in.app(ctx, want.RunnerApp, want.Org); err != nil {
		return want, s, err
	}
	if want.Region == "" {
		if want.Region, err = in.Fly.Nearest(ctx); err != nil {
			return want, s, err
		}
	}
	s.Redis.URL, s.Redis.Found, err = in.Fly.RedisURL(ctx, want.Org, want.Redis)
	if err == nil {
		s.Tokens, err = in.tokens(ctx, want, s)
	}
	if err == nil {
		s.Repos, err = in.repos(ctx, want)
	}
	return want, s, err
}

func orPersonal(org string) string {
	if org == "" {
		return "personal"
	}
	return org
}

// app looks at one of the two apps. One that is somebody else's, or another organisation's, is a rejection.
func (in *Installer) app(ctx context.Context, name, org string) (AppState, error) {
	a, found, err := in.Fly.App(ctx, name)
	if err != nil || !found {
		return AppState{}, err
	}
	if a.Org != org {
		return AppState{}, job.Rejectf("app %s is in the organisation %s, and FlyCD is to be installed in %s: choose another name (--app-name), or that organisation (--org)", name, a.Org, org)
	}
	o, err := in.Fly.Observe(ctx, name, plan.Scope{Secrets: true})
	if err != nil {
		return AppState{}, err
	}
	s := AppState{Exists: true, Secrets: map[string]string{}, Machines: o.Machines}
	for _, secret := range o.Secrets {
		s.Secrets[secret.Name] = secret.Digest
	}
	return s, nil
}

// vouched reports whether each machine was made with the secret as it is now.
func (a AppState) vouched(name string) bool {
	digest, there := a.Secrets[name]
	return there && len(a.Machines) > 0 && !slices.ContainsFunc(a.Machines, func(m plan.Machine) bool {
		return !slices.ContainsFunc(strings.Fields(m.GetMetadataByKey(plan.MetaSecrets)), func(entry string) bool {
			return strings.HasPrefix(entry, name+"=") && strings.HasSuffix(entry, "."+digest)
		})
	})
}

// tokenName is what a token is called in Fly's lists.
func tokenName(app string, t token) string { return "flycd " + app + " " + string(t) }

// tokens lists those of the installation's names, of the organisation and of the runner's app.
func (in *Installer) tokens(ctx context.Context, want Want, s State) ([]fly.TokenInfo, error) {
	scopes := []fly.TokenScope{{Org: want.Org}}
	if s.Runner.Exists {
		scopes = append(scopes, fly.TokenScope{Org: want.Org, App: want.RunnerApp})
	}
	byID := map[string]fly.TokenInfo{}
	for _, scope := range scopes {
		list, err := in.Fly.Tokens(ctx, scope)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if t.Name == tokenName(want.App, launchToken) || t.Name == tokenName(want.App, mintToken) {
				byID[t.ID] = t
			}
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b fly.TokenInfo) int { return strings.Compare(a.ID, b.ID) }), nil
}

// hookAddress is where webhooks deliver to, without a key.
func (w Want) hookAddress() string { return w.Address + "/webhook" }

// repos looks at the webhooks of each repository.
func (in *Installer) repos(ctx context.Context, want Want) ([]RepoState, error) {
	names := map[string]string{}
	for _, repo := range want.Repos {
		if key := job.RepoKey(repo); key != "" && names[key] == "" {
			names[key] = repo
		}
	}
	all := make([]RepoState, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, key := range slices.Sorted(maps.Keys(names)) {
		all[i].Repo = names[key]
		g.Go(func() (err error) {
			all[i].Hooks, all[i].Out, err = in.hooks(gctx, names[key], want.hookAddress())
			return err
		})
	}
	return all, g.Wait()
}

var errNoForge = errors.New("no credentials of its forge were given")

func (in *Installer) hooks(ctx context.Context, repo, address string) (mine []forge.HookState, out, err error) {
	if !in.Forge.Ready() || !in.Forge.Known(repo) {
		return nil, errNoForge, nil
	}
	all, err := in.Forge.FindHooks(ctx, repo, "")
	if errors.Is(err, forge.ErrDenied) {
		return nil, err, nil
	}
	for _, h := range all {
		if bare, _ := splitKey(h.URL); bare == address {
			mine = append(mine, h)
		}
	}
	return mine, nil, err
}

// splitKey parts a hook's address from the key at its end.
func splitKey(address string) (bare, key string) {
	u, err := url.Parse(address)
	if err != nil {
		return address, ""
	}
	key = u.Query().Get("k")
	u.RawQuery = ""
	return strings.TrimSuffix(u.String(), "/"), key
}

func withKey(address, key string) string { return address + "?k=" + url.QueryEscape(key) }

// over fills in what is empty from what is installed.
func (w Want) over(m memory) Want {
	set := func(to *string, env string) {
		if *to == "" {
			*to = m.env[env]
		}
	}
	set(&w.RunnerApp, envRunnerApp)
	set(&w.RunnerRegion, envRunnerRegion)
	set(&w.RunnerSize, envRunnerSize)
	set(&w.MachinesURL, envMachines)
	if next := strings.TrimSuffix(m.env[envNext], "/next"); w.Address == "" {
		w.Address = next
	}
	if w.Region == "" {
		w.Region = m.region
	}
	if w.AlwaysOn == nil && m.known() {
		on := m.alwaysOn
		w.AlwaysOn = &on
	}
	for _, text := range strings.Split(m.env[envRoots], ",") {
		root, err := job.ParseConfig(text)
		if err == nil && !slices.ContainsFunc(w.Roots, func(r job.Config) bool { return r.ID() == root.ID() }) {
			w.Roots = append(w.Roots, root)
		}
	}
	kept := maps.Clone(m.extra)
	if kept == nil {
		kept = map[string]string{}
	}
	maps.Copy(kept, w.Env)
	w.Env = kept
	return w
}

// rootText is a tree as FLYCD_CONFIG_REPOS names it.
func rootText(c job.Config) string {
	text := c.Repo
	if c.Ref != "" {
		text += "@" + c.Ref
	}
	if c.Path != "" {
		text += "#" + c.Path
	}
	return text
}

// releaseOf is the release that a machine belongs to.
func releaseOf(m plan.Machine) int {
	n, err := strconv.Atoi(m.GetMetadataByKey("flycd_release"))
	if err != nil {
		return -1
	}
	return n
}

func (p Part) String() string { return string(p) }

// appOf names the app of a part.
func (w Want) appOf(p Part) string {
	if p == Runner {
		return w.RunnerApp
	}
	return w.App
}

func (k slotKey) String() string { return fmt.Sprintf("%d=%s", k.slot, k.key) }
