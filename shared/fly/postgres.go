package fly

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// cluster is a managed Postgres cluster. Clusters of the second version have paths of their own; the
// list has both.
type cluster struct {
	ID           string                  `json:"id"`
	Name         string                  `json:"name"`
	Version      int                     `json:"version"`
	Status       string                  `json:"status"`
	AttachedApps []struct{ Name string } `json:"attached_apps"`
}

func (c cluster) section() string {
	if c.Version == 1 {
		return "postgres"
	}
	return "postgresv2"
}

type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
	DBName   string `json:"dbname"`
	URL      string `json:"pgbouncer_uri"`
}

// connection is the URL that an app is given: the cluster's address with the default user and
// database, as flyctl attaches it.
func (c credentials) connection() string {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	if c.User != "" {
		u.User = url.UserPassword(c.User, c.Password)
	}
	if c.DBName != "" {
		u.Path = "/" + c.DBName
	}
	return u.String()
}

const slugQuery = `query GetOrganization($slug: String!) { organization(slug: $slug) { id slug rawSlug } }`

// rawSlug gives the organisation's own slug: personal is an alias that Postgres does not know.
func (c *Client) rawSlug(ctx context.Context, org string) (string, error) {
	if org != "personal" {
		return org, nil
	}
	var said struct {
		Organization struct{ RawSlug string }
	}
	err := c.look(ctx, func(ctx context.Context) error {
		return c.rest.query(ctx, slugQuery, map[string]any{"slug": org}, &said)
	})
	return cmp.Or(said.Organization.RawSlug, org), c.explain(ctx, "look at organisation "+org, err)
}

func (c *Client) clusterList(ctx context.Context, org string) ([]cluster, error) {
	raw, err := c.rawSlug(ctx, org)
	if err != nil {
		return nil, err
	}
	var said struct {
		Data []cluster `json:"data"`
	}
	err = c.look(ctx, func(ctx context.Context) error {
		return c.rest.uiexCall(ctx, endpoint{http.MethodGet, "/organizations/" + url.PathEscape(raw) + "/postgres"}, nil, &said)
	})
	return said.Data, c.explain(ctx, "list managed Postgres of "+org, err)
}

func (c *Client) clusters(ctx context.Context, org string, wanted []machine.Addon) ([]plan.Addon, error) {
	list, err := c.clusterList(ctx, org)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b cluster) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	out := make([]plan.Addon, 0, len(wanted))
	var values []func(context.Context) error
	for _, w := range wanted {
		at := slices.IndexFunc(list, func(c cluster) bool { return c.Name == w.Name })
		if at < 0 {
			continue
		}
		i, found, state := len(out), list[at], strings.ToLower(list[at].Status)
		out = append(out, plan.Addon{Type: w.Type, Name: w.Name, ID: found.ID, State: state, Ready: state == "ready"})
		if state == "ready" && w.Secret != "" {
			values = append(values, func(ctx context.Context) (err error) { out[i].Values, err = c.clusterValues(ctx, found, w); return err })
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, ask := range values {
		g.Go(func() error { return ask(gctx) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Client) clusterValues(ctx context.Context, found cluster, w machine.Addon) (map[string]manifest.Secret, error) {
	var said struct {
		Credentials credentials `json:"credentials"`
	}
	err := c.look(ctx, func(ctx context.Context) error {
		return c.rest.uiexCall(ctx, endpoint{http.MethodGet, "/" + found.section() + "/" + url.PathEscape(found.ID)}, nil, &said)
	})
	if err != nil {
		return nil, c.explain(ctx, "look at managed Postgres "+found.Name, err)
	}
	u := said.Credentials.connection()
	if u == "" {
		return nil, nil
	}
	c.secrets.add(said.Credentials.Password)
	values := map[string]manifest.Secret{w.Secret: manifest.NewSecret(u)}
	c.hide(values)
	return values, nil
}

// createCluster creates a managed Postgres cluster with flyctl's defaults: 10 GB, version 16, the
// basic plan.
func (ch *Change) createCluster(ctx context.Context, org string, a machine.Addon) error {
	raw, err := ch.client.rawSlug(ctx, org)
	if err != nil {
		return err
	}
	in := map[string]any{
		"name": a.Name, "region": a.Region, "org_slug": raw, "plan": strings.ToLower(cmp.Or(a.Plan, "basic")),
		"pg_major_version": "16", "storage_in_gb": 10, "postgis_enabled": false,
	}
	return ch.client.rest.uiexCall(ctx, endpoint{http.MethodPost, "/organizations/" + url.PathEscape(raw) + "/postgresv2"}, in, nil)
}

func (ch *Change) destroyCluster(ctx context.Context, org, id string) error {
	raw, err := ch.client.rawSlug(ctx, org)
	if err != nil {
		return err
	}
	list, err := ch.client.clusterList(ctx, org)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(c cluster) bool { return c.ID == id })
	if at < 0 {
		return nil
	}
	path := fmt.Sprintf("/organizations/%s/%s/%s", url.PathEscape(raw), list[at].section(), url.PathEscape(id))
	return ch.client.rest.uiexCall(ctx, endpoint{http.MethodDelete, path}, nil, nil)
}

// attach records that the app uses the cluster, once. It is for people to see: the secret is what
// attaches, so a failure counts for nothing, as it does for flyctl.
func (ch *Change) attach(ctx context.Context, e *addonCreation) error {
	if e.want.Type != postgresType {
		return nil
	}
	list, err := ch.client.clusterList(ctx, e.org)
	at := slices.IndexFunc(list, func(c cluster) bool { return c.ID == e.last.ID })
	if err != nil || at < 0 || slices.ContainsFunc(list[at].AttachedApps, func(a struct{ Name string }) bool { return a.Name == ch.app }) {
		return nil
	}
	wctx, cancel, err := ch.guard(ctx, "attach "+e.want.Name)
	if err != nil {
		return err
	}
	defer cancel()
	_ = ch.client.rest.uiexCall(wctx, endpoint{http.MethodPost, "/" + list[at].section() + "/" + url.PathEscape(e.last.ID) + "/attachments"},
		map[string]any{"app_name": ch.app}, nil)
	return nil
}
