package fly

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// AddonWait is how long a new add-on is waited for: a Postgres cluster takes minutes.
const AddonWait = 15 * time.Minute

// The types of add-ons, as machine.Addon names them, and what GraphQL calls them.
const (
	redisType    = "redis"
	tigrisType   = "tigris"
	postgresType = "postgres"
)

// failedState is what the state of an add-on begins with that could not be made.
const failedState = "error"

func providerOf(kind string) string {
	if kind == redisType {
		return "upstash_redis"
	}
	return kind
}

// wantedAddons are those that the scope names, and those that the machines name where it asks for them.
func wantedAddons(scope plan.Scope, machines []plan.Machine) []machine.Addon {
	out := slices.Clone(scope.Addons)
	if !scope.Recorded {
		return out
	}
	for _, r := range plan.Recorded(machines) {
		if !slices.ContainsFunc(out, func(a machine.Addon) bool { return a.Type == r.Type && a.Name == r.Name }) {
			out = append(out, r)
		}
	}
	return out
}

// addons finds the wanted add-ons of an organisation: one list for each type that is wanted. Those
// that nobody asked for are left out.
func (c *Client) addons(ctx context.Context, org string, wanted []machine.Addon) ([]plan.Addon, error) {
	byType := map[string][]machine.Addon{}
	for _, a := range wanted {
		byType[a.Type] = append(byType[a.Type], a)
	}
	var all [3][]plan.Addon
	g, gctx := errgroup.WithContext(ctx)
	for i, kind := range []string{postgresType, redisType, tigrisType} {
		if len(byType[kind]) == 0 {
			continue
		}
		g.Go(func() (err error) {
			if kind == postgresType {
				all[i], err = c.clusters(gctx, org, byType[kind])
			} else {
				all[i], err = c.services(gctx, org, byType[kind])
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(all[:]...), nil
}

func (c *Client) hide(values map[string]manifest.Secret) {
	for _, v := range values {
		c.secrets.add(v.Reveal())
	}
}

// knownAddons lays over a list what only the answer to a creation told.
func (ch *Change) knownAddons(list []plan.Addon) []plan.Addon {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	out := slices.Clone(list)
	for i, a := range out {
		if a.Values == nil {
			out[i].Values = maps.Clone(ch.told[a.Type+"/"+a.Name])
		}
	}
	return out
}

func (ch *Change) tell(a machine.Addon, values map[string]manifest.Secret) {
	ch.client.hide(values)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.told[a.Type+"/"+a.Name] = values
}

// createAddon creates a service and waits until it is ready.
func (ch *Change) createAddon(ctx context.Context, s plan.CreateAddon) error {
	ch.addonMu.Lock()
	defer ch.addonMu.Unlock()
	e := &addonCreation{ch: ch, org: cmp.Or(s.Org, ch.observed.Org), want: s.Addon}
	if err := ch.bring(ctx, e); err != nil {
		return err
	}
	if e.keyless() {
		// its keys were in the answer that was lost. It is moments old, and nobody can have put anything into it.
		if err := ch.bring(ctx, &addonDestruction{*e, e.last.ID}); err != nil {
			return err
		}
		if err := ch.bring(ctx, e); err != nil {
			return err
		}
	}
	if err := e.await(ctx); err != nil {
		return err
	}
	return ch.attach(ctx, e)
}

// await waits until the add-on is ready.
func (e *addonCreation) await(ctx context.Context) error {
	ctx, cancel := atMost(ctx, AddonWait, fmt.Errorf("it is not ready after %s", AddonWait))
	defer cancel()
	for {
		if _, err := e.seen(ctx, true); err != nil && ctx.Err() == nil {
			return err
		}
		switch {
		case e.last.Ready:
			return nil
		case strings.HasPrefix(e.last.State, failedState):
			return &problem{fmt.Sprintf("%s: it failed (%s): look at it in Fly's dashboard, and destroy it before trying again", e, e.last.State), nil}
		}
		if err := sleep(ctx, 2*e.ch.client.options.Poll); err != nil {
			return fmt.Errorf("%s: it is not ready yet (%s): %w", e, e.last.State, err)
		}
	}
}

// keyless reports that this change made a bucket whose keys, which Fly tells once, it did not get.
func (e *addonCreation) keyless() bool {
	e.ch.mu.Lock()
	defer e.ch.mu.Unlock()
	return e.want.Type == tigrisType && e.asked && e.last.Values == nil && e.ch.told[e.want.Type+"/"+e.want.Name] == nil
}

type addonCreation struct {
	ch   *Change
	org  string
	want machine.Addon
	// last is how it was seen last.
	last plan.Addon
	// asked is true once a request for it may have taken effect.
	asked bool
}

func (e *addonCreation) String() string {
	return fmt.Sprintf("create %s %s in %s", e.want.Type, e.want.Name, e.org)
}

// seen always looks: an add-on is the organisation's, and others make them too.
func (e *addonCreation) seen(ctx context.Context, _ bool) (bool, error) {
	list, err := e.ch.client.addons(ctx, e.org, []machine.Addon{e.want})
	if err != nil || len(list) == 0 {
		return false, err
	}
	e.last = list[0]
	return true, nil
}

func (e *addonCreation) do(ctx context.Context) error {
	ask := e.ch.createService
	if e.want.Type == postgresType {
		ask = e.ch.createCluster
	}
	before := e.asked
	e.asked = true
	err := ask(ctx, e.org, e.want)
	if err == nil || !nameTaken(err) {
		return err
	}
	e.asked = before // this one did not
	// the name may be ours, from a try whose answer was lost
	if ok, serr := e.ch.watch(ctx, e); ok || serr != nil {
		return serr
	}
	return reject(ErrRefused, fmt.Sprintf("%s: the name belongs to somebody else on Fly: choose another name", e))
}

func (ch *Change) destroyAddon(ctx context.Context, s plan.DestroyAddon) error {
	ch.addonMu.Lock()
	defer ch.addonMu.Unlock()
	return ch.bring(ctx, &addonDestruction{addonCreation{
		ch: ch, org: ch.observed.Org, want: machine.Addon{Type: s.Addon.Type, Name: s.Addon.Name},
	}, s.Addon.ID})
}

type addonDestruction struct {
	addonCreation
	id string
}

func (e *addonDestruction) String() string {
	return fmt.Sprintf("destroy %s %s in %s", e.want.Type, e.want.Name, e.org)
}

// seen counts one of the same name with another id for nothing: it is another one.
func (e *addonDestruction) seen(ctx context.Context, fresh bool) (bool, error) {
	there, err := e.addonCreation.seen(ctx, fresh)
	return err == nil && (!there || e.id != "" && e.last.ID != e.id), err
}

const deleteService = `mutation DeleteAddOn($name: String, $provider: String) {
	deleteAddOn(input: {name: $name, provider: $provider}) { deletedAddOnName }
}`

func (e *addonDestruction) do(ctx context.Context) error {
	var err error
	if e.want.Type == postgresType {
		err = e.ch.destroyCluster(ctx, e.org, e.last.ID)
	} else {
		err = e.ch.client.rest.mutate(ctx, deleteService, map[string]any{"name": e.want.Name, "provider": providerOf(e.want.Type)}, nil)
	}
	if err != nil && fateOf(ctx, err) == missing {
		return nil
	}
	return err
}
