package flysim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

// addon is a service of another company in an organisation: a Redis database of Upstash or a
// bucket of Tigris. What is written into it is not simulated, but for Redis where Options has one.
type addon struct {
	id, name, kind, plan, region string
	org                          *org
	app                          *app
	readRegions                  []string
	options, metadata            any
	created, ready               time.Time
	password                     string
	// database is which one of the Redis behind it is the add-on's.
	database int
}

// The kinds of add-ons that are simulated.
const (
	addonRedis  = "upstash_redis"
	addonBucket = "tigris"
)

// addonKind knows the kinds; the older name of Redis too.
func addonKind(name string) (string, error) {
	switch name {
	case addonRedis, "redis":
		return addonRedis, nil
	case addonBucket:
		return addonBucket, nil
	}
	return "", notSimulated("add-ons of type %q, only %s and %s", name, addonRedis, addonBucket)
}

// createAddon makes an add-on. It is ready some moments later.
func (s *Server) createAddon(who identity, in arguments) (*addon, error) {
	kind, err := addonKind(in.text("type"))
	if err != nil {
		return nil, err
	}
	fresh := &addon{
		id: s.token(10), name: in.text("name"), kind: kind, plan: in.text("planId"), region: cmp.Or(in.text("primaryRegion"), s.opts.Nearest),
		readRegions: in.texts("readRegions"), options: in["options"], created: s.now(), ready: s.now().Add(s.opts.Boot), password: s.token(16),
	}
	if ref := in.text("appId"); ref != "" {
		if fresh.app, err = s.appBy(who, resset.ActionWrite, ref); err != nil {
			return nil, err
		}
		fresh.org = fresh.app.org
	} else if fresh.org, err = s.orgBy(who, resset.ActionRead, "", in.text("organizationId")); err != nil {
		return nil, err
	}
	if _, no := s.authorizeAddons(who, resset.ActionCreate, fresh.org); no {
		return nil, &graphError{"You are not authorized to create add-ons", "UNAUTHORIZED"}
	}
	if fresh.name == "" {
		fresh.name = s.machineName()
	}
	if err := s.badAddon(fresh); err != nil {
		return nil, err
	}
	if kind == addonRedis {
		fresh.plan, fresh.database = cmp.Or(fresh.plan, redisPayAsYouGo), s.freeDatabase()
	}
	s.addons = append(s.addons, fresh)
	s.announce()
	return fresh, nil
}

func (s *Server) badAddon(a *addon) error {
	if !appName.MatchString(a.name) || len(a.name) > 63 {
		return invalidInput("Validation failed: Name may only contain numbers, lowercase letters and dashes")
	}
	if !knownRegion(a.region) {
		return invalidInput("Validation failed: Primary region %s not found", a.region)
	}
	if a.kind == addonRedis && a.plan != "" && !slices.ContainsFunc(graphPlans(addonRedis), func(p *object) bool { return p.fields["id"] == a.plan }) {
		return notFound("AddOnPlan")
	}
	for _, other := range s.addons {
		if other.kind != a.kind || other.name != a.name {
			continue
		}
		if a.kind == addonBucket { // names of buckets are everybody's
			return invalidInput("Bucket name %s is unavailable for creation", a.name)
		}
		if other.org == a.org {
			return invalidInput("Validation failed: Name has already been taken")
		}
	}
	return nil
}

func (s *Server) addonBy(who identity, action resset.Action, args arguments) (*addon, error) {
	for _, a := range s.addons {
		name, kind := args.text("name"), cmp.Or(args.text("provider"), a.kind)
		if kind == "redis" {
			kind = addonRedis
		}
		if a.id != cmp.Or(args.text("id"), args.text("addOnId")) && (name == "" || a.name != name || a.kind != kind) {
			continue
		}
		if _, refused := s.authorizeAddons(who, action, a.org); !refused {
			return a, nil
		}
	}
	return nil, notFound("AddOn")
}

func (s *Server) graphAddOnBy(c *call, args arguments) (any, error) {
	a, err := s.addonBy(c.who, resset.ActionRead, args)
	if err != nil {
		return nil, err
	}
	return s.graphAddOn(c, a), nil
}

// graphAddOns are the add-ons of an organisation or an app, or all that the caller may see.
func (s *Server) graphAddOns(c *call, o *org, a *app) field {
	return func(args arguments) (any, error) {
		kind := args.text("type")
		if kind == "redis" {
			kind = addonRedis
		}
		var list []*object
		for _, one := range s.addons {
			if kind != "" && kind != one.kind || o != nil && o != one.org || a != nil && a != one.app {
				continue
			}
			if _, refused := s.authorizeAddons(c.who, resset.ActionRead, one.org); !refused {
				list = append(list, s.graphAddOn(c, one))
			}
		}
		return connection("AddOn", list)(args)
	}
}

func (s *Server) addonStatus(a *addon) string {
	if s.now().Before(a.ready) {
		return "provisioning"
	}
	return "ready"
}

func (s *Server) graphAddOn(c *call, a *addon) *object {
	o := &object{"AddOn", fields{
		"id": a.id, "name": a.name, "addOnPlanName": a.plan, "primaryRegion": a.region, "readRegions": a.readRegions, "options": a.options, "metadata": a.metadata,
		"status": s.addonStatus(a), "errorMessage": nil, "createdAt": a.created.UTC(), "updatedAt": a.created.UTC(), "ssoLink": nil, "stats": nil,
		"environment": nil, "hostname": nil, "password": nil, "privateIp": nil, "publicUrl": nil,
		"organization": field(func(arguments) (any, error) { return s.graphOrg(c, a.org), nil }),
		"app": field(func(arguments) (any, error) {
			if a.app == nil {
				return nil, nil //nolint:nilnil // it belongs to the organisation
			}
			return s.graphApp(c, a.app), nil
		}),
		"addOnProvider": field(func(arguments) (any, error) { return graphProvider(a.kind) }),
		"addOnPlan":     field(func(arguments) (any, error) { return planOf(a), nil }),
	}}
	if a.kind == addonRedis && s.opts.Redis != "" {
		at, err := s.redisOf(a.database)
		if err != nil {
			o.fields["errorMessage"] = err.Error()
			return o
		}
		password, _ := at.User.Password()
		maps.Copy(o.fields, fields{"hostname": at.Hostname(), "password": password, "privateIp": at.Hostname(), "publicUrl": at.String()})
	} else if a.kind == addonRedis {
		host := "fly-" + a.name + ".upstash.io"
		maps.Copy(o.fields, fields{
			"hostname": host, "password": a.password, "privateIp": "fdaa:0:1::" + a.id[:4], "publicUrl": "redis://default:" + a.password + "@" + host + ":6379",
		})
	}
	return o
}

// environment is what a bucket tells once, when it is made.
func (a *addon) environment() any {
	if a.kind != addonBucket {
		return nil
	}
	return map[string]string{
		"AWS_ACCESS_KEY_ID": "tid_" + a.id, "AWS_SECRET_ACCESS_KEY": "tsec_" + a.password, "AWS_ENDPOINT_URL_S3": "https://fly.storage.tigris.dev",
		"AWS_REGION": "auto", "BUCKET_NAME": a.name,
	}
}

const redisPayAsYouGo = "ekQ85Yjkw155ohQ5ALYq0M"

func graphPlans(kind string) []*object {
	if kind != addonRedis && kind != "redis" {
		return nil
	}
	plan := func(id, name, about, size string, price int) *object {
		return &object{"AddOnPlan", fields{
			"id": id, "name": strings.ToLower(strings.ReplaceAll(name, " ", "_")), "displayName": name, "description": about, "maxDataSize": size, "pricePerMonth": price,
		}}
	}
	return []*object{
		plan(redisPayAsYouGo, "Pay-as-you-go", "Pay as you go: $0.20 per 100K commands", "100 GB", 0),
		plan("flysim-fixed-250mb", "Fixed 250MB", "250 MB at a fixed price", "250 MB", 1000),
		plan("flysim-fixed-1gb", "Fixed 1GB", "1 GB at a fixed price", "1 GB", 2000),
	}
}

func planOf(a *addon) *object {
	for _, p := range graphPlans(a.kind) {
		if p.fields["id"] == a.plan {
			return p
		}
	}
	return &object{"AddOnPlan", fields{"id": cmp.Or(a.plan, "default"), "name": "default", "displayName": "Default", "description": "", "maxDataSize": "", "pricePerMonth": 0}}
}

// graphProvider is what flyctl asks before it makes an add-on.
func graphProvider(name string) (any, error) {
	kind, err := addonKind(name)
	if err != nil {
		return nil, err
	}
	display, resource := "Upstash", "Redis database"
	if kind == addonBucket {
		display, resource = "Tigris", "object storage bucket"
	}
	return &object{"AddOnProvider", fields{
		"id": "provider-" + kind, "name": kind, "displayName": display, "resourceName": resource, "tosUrl": "", "tosAgreement": "", "asyncProvisioning": true,
		"autoProvision": false, "selectName": true, "selectRegion": kind == addonRedis, "selectReplicaRegions": kind == addonRedis, "detectPlatform": false,
		"nameSuffix": "", "beta": false, "internal": false, "provisioningInstructions": "", "excludedRegions": []*object{}, "regions": graphRegions(),
	}}, nil
}

func (s *Server) addonMutations() map[string]mutation {
	return map[string]mutation{
		"createAddOn": func(c *call, in arguments) (fields, error) {
			made, err := s.createAddon(c.who, in)
			if err != nil {
				return nil, err
			}
			o := s.graphAddOn(c, made)
			o.fields["environment"] = made.environment()
			return fields{"addOn": o}, nil
		},
		"updateAddOn": func(c *call, in arguments) (fields, error) {
			a, err := s.addonBy(c.who, resset.ActionWrite, in)
			if err != nil {
				return nil, err
			}
			if plan := in.text("planId"); plan != "" {
				a.plan = plan
			}
			if v, given := in["options"]; given {
				a.options = v
			}
			if v, given := in["metadata"]; given {
				a.metadata = v
			}
			if _, given := in["readRegions"]; given {
				a.readRegions = in.texts("readRegions")
			}
			s.announce()
			return fields{"addOn": s.graphAddOn(c, a)}, nil
		},
		"deleteAddOn": func(c *call, in arguments) (fields, error) {
			a, err := s.addonBy(c.who, resset.ActionDelete, in)
			if err != nil {
				return nil, err
			}
			if err := s.emptied(a); err != nil {
				return nil, err
			}
			s.addons = slices.DeleteFunc(slices.Clone(s.addons), func(other *addon) bool { return other == a })
			s.announce()
			return fields{"deletedAddOnName": a.name}, nil
		},
		"resetAddOnPassword": func(c *call, in arguments) (fields, error) {
			a, err := s.addonBy(c.who, resset.ActionWrite, in)
			if err != nil {
				return nil, err
			}
			a.password = s.token(16)
			s.announce()
			return fields{"addOn": s.graphAddOn(c, a)}, nil
		},
	}
}
