package flysim

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/superfly/macaroon/resset"
)

// queries are the fields of the schema's Queries type.
func (s *Server) queries(c *call) *object {
	root := fields{
		"app": field(func(args arguments) (any, error) {
			a, err := s.appBy(c.who, resset.ActionRead, cmp.Or(args.text("name"), args.text("internalId")))
			if err != nil {
				return nil, err
			}
			return s.graphApp(c, a), nil
		}),
		"apps":             field(func(args arguments) (any, error) { return s.graphApps(c, args) }),
		"appNameAvailable": field(func(args arguments) (any, error) { return s.nameFree(args.text("name")), nil }),
		"canPerformBluegreenDeployment": field(func(args arguments) (any, error) {
			_, err := s.appBy(c.who, resset.ActionRead, args.text("name"))
			return err == nil, err
		}),
		"organization":  field(func(args arguments) (any, error) { return s.graphOrgBy(c, args.text("slug"), args.text("id")) }),
		"organizations": field(func(args arguments) (any, error) { return s.graphOrgs(c)(args) }),
		"viewer":        field(func(arguments) (any, error) { return c.who.viewer(), nil }),
		"currentUser":   field(func(arguments) (any, error) { return c.who.viewer(), nil }),
		"platform":      &object{"PlatformInformation", fields{"requestRegion": s.opts.Nearest, "regions": graphRegions(), "vmSizes": field(func(arguments) (any, error) { return nil, notSimulated("VM sizes") })}},
		"nearestRegion": s.nearest(),
		"addOn":         field(func(args arguments) (any, error) { return s.graphAddOnBy(c, args) }),
		"addOns":        field(func(args arguments) (any, error) { return s.graphAddOns(c, nil, nil)(args) }),
		"addOnPlans":    field(func(args arguments) (any, error) { return connection("AddOnPlan", graphPlans(args.text("type")))(args) }),
		"addOnProvider": field(func(args arguments) (any, error) { return graphProvider(args.text("name")) }),
		"machine":       field(func(args arguments) (any, error) { return s.graphMachineBy(c, args.text("machineId")) }),
		"volume":        field(func(args arguments) (any, error) { return s.graphVolumeBy(c, args.text("id")) }),
		// only Fly's own images have newer versions
		"latestImageDetails": field(func(arguments) (any, error) { return nil, &graphError{"Unknown repository", "NOT_FOUND"} }),
	}
	return &object{"Queries", root}
}

func (s *Server) nameFree(name string) bool {
	return badAppName(name) == "" && !s.foreign[name] && s.apps[name] == nil
}

// appBy finds an app by its name or one of its ids, if the caller may do that to it.
func (s *Server) appBy(who identity, action resset.Action, ref string) (*app, error) {
	if s.foreign[ref] {
		return nil, &graphError{"You are not authorized to access this app", "UNAUTHORIZED"}
	}
	a := s.apps[ref]
	for _, other := range s.apps {
		if a == nil && other.id == ref {
			a = other
		}
	}
	if a == nil {
		return nil, notFound("App")
	}
	if _, refused := s.authorize(who, action, a.org, a); refused {
		return nil, &graphError{"You are not authorized to access this app", "UNAUTHORIZED"}
	}
	return a, nil
}

// orgBy finds an organisation by slug or id, if the caller may do that to it.
func (s *Server) orgBy(who identity, action resset.Action, slug, id string) (*org, error) {
	slug = cmp.Or(slug, strings.TrimPrefix(id, "org-"))
	if slug == "" {
		return nil, notFound("Organization")
	}
	o, a, refused := s.orgFor(who, action, slug)
	if refused {
		why, _ := a.body.(problem)
		if a.status == 404 {
			return nil, notFound("Organization")
		}
		return nil, &graphError{why.Error, "UNAUTHORIZED"}
	}
	return o, nil
}

func (s *Server) graphOrgBy(c *call, slug, id string) (any, error) {
	o, err := s.orgBy(c.who, resset.ActionRead, slug, id)
	if err != nil {
		return nil, err
	}
	return s.graphOrg(c, o), nil
}

func (s *Server) graphOrgs(c *call) field {
	var list []*object
	for _, o := range s.orgsOf(c.who) {
		list = append(list, s.graphOrg(c, o))
	}
	return connection("Organization", list)
}

func (s *Server) graphOrg(c *call, o *org) *object {
	kind := "SHARED"
	if o.slug == "personal" {
		kind = "PERSONAL"
	}
	return &object{"Organization", fields{
		"id": o.id(), "internalNumericId": strconv.FormatUint(o.numeric, 10), "slug": o.slug, "rawSlug": o.slug, "name": o.slug, "type": kind, "paidPlan": true,
		"billable": true, "billingStatus": "CURRENT", "viewerRole": "admin", "provisionsBetaExtensions": false, "addOnSsoLink": nil,
		"extensionSsoLink": nil, "remoteBuilderApp": nil, "remoteBuilderImage": "", "settings": nil,
		"agreedToProviderTos": field(func(arguments) (any, error) { return true, nil }),
		"addOns":              field(func(args arguments) (any, error) { return s.graphAddOns(c, o, nil)(args) }),
		"limitedAccessTokens": s.graphTokens(o, nil),
		"members":             field(func(arguments) (any, error) { return c.who.members(), nil }),
		"apps": field(func(args arguments) (any, error) {
			return s.graphApps(c, arguments{"organizationId": o.id(), "first": args["first"]})
		}),
	}}
}

func (s *Server) graphApps(c *call, args arguments) (any, error) {
	role, id := args.text("role"), args.text("organizationId")
	var list []*object
	for _, a := range s.sortedApps() {
		if _, refused := s.authorize(c.who, resset.ActionRead, a.org, a); refused {
			continue
		}
		if (role == "" || role == a.role) && (id == "" || strings.TrimPrefix(id, "org-") == a.org.slug) {
			list = append(list, s.graphApp(c, a))
		}
	}
	return connection("App", list)(args)
}

// viewer is the caller: a user, or a macaroon.
func (who identity) viewer() *object {
	kind := "User"
	if !who.all {
		kind = "Macaroon"
	}
	return &object{kind, fields{
		"id": "user-" + strings.TrimSuffix(who.owner, "@tokens.fly.io"), "email": who.email(), "name": "flysim", "enablePaidHobby": true,
		"agreedToProviderTos": field(func(arguments) (any, error) { return true, nil }),
	}}
}

// members of an organisation: the caller is all that the simulator knows of.
func (who identity) members() *object {
	me := &object{"OrganizationMembershipsEdge", fields{"cursor": "0", "node": who.viewer(), "joinedAt": nil, "role": "ADMIN"}}
	return &object{"OrganizationMembershipsConnection", fields{"edges": []*object{me}, "nodes": []*object{who.viewer()}, "totalCount": 1}}
}

func graphRegion(r regionView) *object {
	return &object{"Region", fields{
		"code": r.Code, "name": r.Name, "latitude": r.Latitude, "longitude": r.Longitude, "gatewayAvailable": r.Gateway,
		"requiresPaidPlan": false, "deprecated": false, "processGroup": nil,
	}}
}

func (s *Server) nearest() *object {
	for _, r := range regions() {
		if r.Code == s.opts.Nearest {
			return graphRegion(r)
		}
	}
	return nil
}

func graphRegions() []*object {
	var list []*object
	for _, r := range regions() {
		list = append(list, graphRegion(r))
	}
	return list
}

func (s *Server) graphMachineBy(c *call, id string) (any, error) {
	m := s.anyMachine(id)
	if m == nil || m.id != id {
		return nil, notFound("Machine")
	}
	if _, err := s.appBy(c.who, resset.ActionRead, m.app.name); err != nil {
		return nil, err
	}
	return s.graphMachine(c, m), nil
}

func (s *Server) graphVolumeBy(c *call, id string) (any, error) {
	for _, a := range s.sortedApps() {
		v := a.volume(id)
		if v == nil {
			continue
		}
		if _, err := s.appBy(c.who, resset.ActionRead, a.name); err != nil {
			return nil, err
		}
		return s.graphVolume(c, a, v), nil
	}
	return nil, notFound("Volume")
}
