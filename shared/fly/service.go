package fly

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// service is an add-on as GraphQL tells it.
type service struct {
	ID, Name, Status, ErrorMessage, PublicURL string
	Environment                               map[string]any
	PrimaryRegion                             string
}

const servicesQuery = `query ListOrganizationAddOns($orgSlug: String!, $addOnType: AddOnType) {
	organization(slug: $orgSlug) {
		id
		addOns(type: $addOnType) { nodes { id name status errorMessage publicUrl environment primaryRegion } }
	}
}`

// serviceList lists the services of a type, and tells the organisation's id, which creating one needs.
func (c *Client) serviceList(ctx context.Context, org, kind string) (id string, list []service, err error) {
	op := fmt.Sprintf("list add-ons (%s) of %s", kind, org)
	err = c.look(ctx, func(ctx context.Context) error {
		var said struct {
			Organization *struct {
				ID     string
				AddOns struct{ Nodes []service }
			}
		}
		err := c.rest.query(ctx, servicesQuery, map[string]any{"orgSlug": org, "addOnType": providerOf(kind)}, &said)
		if err == nil && said.Organization == nil {
			err = reject(ErrRefused, fmt.Sprintf("%s: the organisation does not exist, or the token may not see it", op))
		}
		if err == nil {
			id, list = said.Organization.ID, said.Organization.AddOns.Nodes
		}
		return err
	})
	return id, list, c.explain(ctx, op, err)
}

func (c *Client) services(ctx context.Context, org string, wanted []machine.Addon) ([]plan.Addon, error) {
	_, list, err := c.serviceList(ctx, org, wanted[0].Type)
	if err != nil {
		return nil, err
	}
	var out []plan.Addon
	for _, w := range wanted {
		for _, s := range list {
			if s.Name == w.Name {
				out = append(out, c.observedService(s, w))
			}
		}
	}
	slices.SortFunc(out, func(a, b plan.Addon) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// observedService gives the add-on with the secrets that attach it. Without a state Fly has nothing to
// say against it.
func (c *Client) observedService(s service, w machine.Addon) plan.Addon {
	state := strings.ToLower(s.Status)
	if state == failedState && s.ErrorMessage != "" {
		state += ": " + c.clean(s.ErrorMessage)
	}
	a := plan.Addon{Type: w.Type, Name: s.Name, ID: s.ID, State: state, Ready: state == "" || state == "ready"}
	values := map[string]manifest.Secret{}
	if w.Type == redisType && s.PublicURL != "" && w.Secret != "" {
		values[w.Secret] = manifest.NewSecret(s.PublicURL)
	}
	if w.Type == tigrisType {
		for name, v := range s.Environment {
			if text, ok := v.(string); ok && text != "" {
				values[name] = manifest.NewSecret(text)
			}
		}
	}
	if len(values) > 0 {
		a.Values = values
		c.hide(values)
	}
	return a
}

const createServiceMutation = `mutation CreateAddOn($input: CreateAddOnInput!) {
	createAddOn(input: $input) { addOn { id name status errorMessage publicUrl environment primaryRegion } }
}`

func (ch *Change) createService(ctx context.Context, org string, a machine.Addon) error {
	id, _, err := ch.client.serviceList(ctx, org, a.Type)
	if err != nil {
		return err
	}
	input := map[string]any{"organizationId": id, "name": a.Name, "type": providerOf(a.Type)}
	if a.Region != "" {
		input["primaryRegion"] = a.Region
	}
	switch a.Type {
	case redisType:
		id, err := ch.client.servicePlan(ctx, a)
		if err != nil {
			return err
		}
		input["planId"], input["readRegions"], input["options"] = id, []string{}, map[string]any{}
	case tigrisType:
		input["appId"] = ch.app
		// Tigris expects the website, though there is none
		input["options"] = map[string]any{"public": false, "accelerate": false, "website": map[string]any{"domain_name": ""}}
	default:
		return reject(nil, fmt.Sprintf("create add-on %s: type %q is not known: expected redis, tigris or postgres", a.Name, a.Type))
	}
	var said struct {
		CreateAddOn struct{ AddOn service }
	}
	if err := ch.client.rest.mutate(ctx, createServiceMutation, map[string]any{"input": input}, &said); err != nil {
		return err
	}
	made := ch.client.observedService(said.CreateAddOn.AddOn, a)
	if made.Values != nil {
		ch.tell(a, made.Values)
	}
	return nil
}

// payAsYouGo is the id of the plan that flyctl takes where none is named.
const payAsYouGo = "ekQ85Yjkw155ohQ5ALYq0M"

const plansQuery = `query ListAddOnPlans($addOnType: AddOnType!) { addOnPlans(type: $addOnType) { nodes { id displayName } } }`

// servicePlan gives the id of the plan that is named by its id or by what it is called.
func (c *Client) servicePlan(ctx context.Context, a machine.Addon) (string, error) {
	if a.Plan == "" {
		return payAsYouGo, nil
	}
	var said struct {
		AddOnPlans struct {
			Nodes []struct{ ID, DisplayName string }
		}
	}
	op := "list plans of " + a.Type
	err := c.look(ctx, func(ctx context.Context) error {
		return c.rest.query(ctx, plansQuery, map[string]any{"addOnType": providerOf(a.Type)}, &said)
	})
	if err != nil {
		return "", c.explain(ctx, op, err)
	}
	plain := func(s string) string {
		return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(s))
	}
	var names []string
	for _, p := range said.AddOnPlans.Nodes {
		if p.ID == a.Plan || plain(p.DisplayName) == plain(a.Plan) {
			return p.ID, nil
		}
		names = append(names, p.DisplayName)
	}
	return "", reject(nil, fmt.Sprintf("create %s %s: plan %q is not known: expected one of %s", a.Type, a.Name, a.Plan, strings.Join(names, ", ")))
}
