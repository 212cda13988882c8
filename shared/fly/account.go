package fly

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// Org is an organisation that the token can see.
type Org struct {
	// ID is GraphQL's.
	ID, Slug, Name string
	// Personal is true of everybody's own organisation, which is also found under the slug personal.
	Personal bool
}

// AccountApp is an app as its organisation sees it.
type AccountApp struct {
	Name, Org string
	// Network is the private network that the app's machines are in; default, or empty, is the organisation's own.
	Network string
}

// graphOrg is an organisation as GraphQL tells it.
type graphOrg struct{ ID, Slug, RawSlug, Name, Type string }

func (o graphOrg) org() Org {
	slug := o.Slug
	if o.RawSlug != "" {
		slug = o.RawSlug
	}
	return Org{ID: o.ID, Slug: slug, Name: o.Name, Personal: strings.EqualFold(o.Type, "PERSONAL")}
}

const orgsQuery = `query ListOrganizations { organizations { nodes { id slug rawSlug name type } } }`

// Orgs lists the organisations that the token can see, in the order of their slugs. It is also what tells whether
// Fly accepts the token at all: the error wraps ErrRefused where it does not.
func (c *Client) Orgs(ctx context.Context) ([]Org, error) {
	var said struct{ Organizations struct{ Nodes []graphOrg } }
	err := c.look(ctx, func(ctx context.Context) error { return c.rest.query(ctx, orgsQuery, map[string]any{}, &said) })
	if err != nil {
		return nil, c.explain(ctx, "list organisations", err)
	}
	all := make([]Org, 0, len(said.Organizations.Nodes))
	for _, o := range said.Organizations.Nodes {
		all = append(all, o.org())
	}
	slices.SortFunc(all, func(a, b Org) int { return strings.Compare(a.Slug, b.Slug) })
	return all, nil
}

const orgQuery = `query FindOrganization($slug: String!) { organization(slug: $slug) { id slug rawSlug name type } }`

// Org finds an organisation by its slug. One that does not exist, or that the token may not see, is a rejection
// that wraps ErrRefused.
func (c *Client) Org(ctx context.Context, slug string) (Org, error) {
	op := "look at organisation " + slug
	var said struct{ Organization *graphOrg }
	err := c.look(ctx, func(ctx context.Context) error {
		return c.rest.query(ctx, orgQuery, map[string]any{"slug": slug}, &said)
	})
	switch {
	case err != nil && fateOf(ctx, err) != missing:
		return Org{}, c.explain(ctx, op, err)
	case err != nil || said.Organization == nil:
		return Org{}, reject(ErrRefused, fmt.Sprintf("%s: it does not exist, or the token may not see it: `fly orgs list` shows yours", op))
	}
	return said.Organization.org(), nil
}

const nearestQuery = `query NearestRegion { nearestRegion { code } }`

// Nearest gives the region that is nearest to this machine.
func (c *Client) Nearest(ctx context.Context) (string, error) {
	var said struct{ NearestRegion struct{ Code string } }
	err := c.look(ctx, func(ctx context.Context) error { return c.rest.query(ctx, nearestQuery, map[string]any{}, &said) })
	return said.NearestRegion.Code, c.explain(ctx, "find the nearest region", err)
}

// App finds an app by its name. An app that does not exist is no error; a name that belongs to somebody else is a
// rejection that wraps ErrRefused.
func (c *Client) App(ctx context.Context, name string) (AccountApp, bool, error) {
	a, err := c.app(ctx, name)
	if err != nil || a == nil {
		return AccountApp{}, false, err
	}
	return AccountApp{Name: a.Name, Org: a.Organization.Slug, Network: a.Network}, true, nil
}

// AppsOf lists the names of an organisation's apps, sorted.
func (c *Client) AppsOf(ctx context.Context, org string) ([]string, error) {
	var names []string
	err := c.look(ctx, func(ctx context.Context) error {
		list, err := c.flaps.ListApps(ctx, flaps.ListAppsRequest{OrgSlug: org})
		names = names[:0]
		for _, a := range list {
			names = append(names, a.Name)
		}
		return err
	})
	slices.Sort(names)
	return names, c.explain(ctx, "list apps of "+org, err)
}

// EnsureApp makes the app in the organisation, in its default network, unless it is there. It may be repeated.
func (c *Client) EnsureApp(ctx context.Context, name, org string) error {
	if _, err := c.app(ctx, name); err != nil {
		return err
	}
	return c.account(ctx, name, func(ch *Change) error {
		return ch.createApp(ctx, plan.CreateApp{App: name, Org: org})
	})
}

// RemoveApp destroys the app with all its machines, whoever made them, and with its volumes. One that is not there is
// no error, so it may be repeated.
func (c *Client) RemoveApp(ctx context.Context, name string) (err error) {
	ch, err := c.Begin(ctx, name, plan.Scope{})
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }() // the leases went with the machines
	o := ch.Observed()
	if !o.Exists {
		return nil
	}
	for _, m := range o.Machines {
		if err := ch.destroyMachine(ctx, m.ID); err != nil {
			return err
		}
	}
	return ch.destroyApp(ctx)
}

// SecretNames gives the digest of each of the app's secrets, as Fly shows it to everybody who may see the app, by
// name. The values are never asked for.
func (c *Client) SecretNames(ctx context.Context, app string) (map[string]string, error) {
	list, err := c.secretsOf(ctx, app)
	names := map[string]string{}
	for _, s := range list {
		names[s.Name] = s.Digest
	}
	return names, err
}

// PutSecrets sets some of the app's secrets in one call, and leaves the others. Machines get them with their next
// creation or update. It gives what SecretNames does, afterwards. No error tells a value. It may be repeated.
func (c *Client) PutSecrets(ctx context.Context, app string, values map[string]manifest.Secret) (digests map[string]string, err error) {
	err = c.account(ctx, app, func(ch *Change) error {
		ch.Provide(values)
		if err := ch.setSecrets(ctx, plan.SetSecrets{App: app, Set: slices.Sorted(maps.Keys(values))}); err != nil {
			return err
		}
		list, err := c.secretsOf(ctx, app)
		digests = map[string]string{}
		for _, s := range ch.knownSecrets(observedSecrets(list)) { // the list may trail behind
			digests[s.Name] = s.Digest
		}
		return err
	})
	return digests, err
}

// account makes a change that is about no machine, and so without leases.
func (c *Client) account(ctx context.Context, app string, do func(*Change) error) error {
	if err := checkName(app); err != nil {
		return err
	}
	ch, err := c.begin(ctx, plan.Observed{App: app}, plan.Scope{})
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }() // there is nothing to give back
	return do(ch)
}

// RedisURL gives the private address of the organisation's Redis of that name, with its password; found is false
// where there is none, and the address empty while it is being made.
func (c *Client) RedisURL(ctx context.Context, org, name string) (url manifest.Secret, found bool, err error) {
	list, err := c.addons(ctx, org, []machine.Addon{{Type: redisType, Name: name, Secret: redisSecret}})
	if err != nil || len(list) == 0 {
		return manifest.Secret{}, false, err
	}
	return list[0].Values[redisSecret], true, nil
}

// redisSecret is the name under which a Redis tells its address here.
const redisSecret = "REDIS_URL"

// EnsureRedis makes a Redis in the organisation, with eviction off, and waits until it is ready, unless there is one
// of that name. It may be repeated. An empty region is left to Fly.
func (c *Client) EnsureRedis(ctx context.Context, org, name, region string) error {
	return c.account(ctx, name, func(ch *Change) error {
		return ch.createAddon(ctx, plan.CreateAddon{Org: org, Addon: machine.Addon{Type: redisType, Name: name, Region: region, Secret: redisSecret}})
	})
}

// RemoveRedis destroys the organisation's Redis of that name and all that is in it. One that is not there is no error.
func (c *Client) RemoveRedis(ctx context.Context, org, name string) error {
	return c.account(ctx, name, func(ch *Change) error {
		ch.observed.Org = org
		return ch.destroyAddon(ctx, plan.DestroyAddon{Addon: plan.Addon{Type: redisType, Name: name}})
	})
}
