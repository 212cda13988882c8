package flysim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/superfly/macaroon/resset"
)

// mutation is a change: it gets its input, or its arguments where it has no input, and answers the
// fields of its payload.
type mutation func(c *call, in arguments) (fields, error)

// mutations are the fields of the schema's Mutations type.
func (s *Server) mutations(c *call) *object {
	root := fields{}
	for _, group := range []map[string]mutation{s.appMutations(), s.addressMutations(), s.releaseMutations(), s.certificateMutations(), s.addonMutations(), plainMutations()} {
		for name, run := range group {
			root[name] = field(func(args arguments) (any, error) {
				in := args.object("input")
				if in == nil {
					in = args
				}
				payload, err := run(c.mutating(name), in)
				if err != nil {
					return nil, err
				}
				payload["clientMutationId"] = in["clientMutationId"]
				return &object{name + "Payload", payload}, nil
			})
		}
	}
	return &object{"Mutations", root}
}

// mutating is a call that answers one mutation, which caveats may name.
func (c *call) mutating(name string) *call {
	to := *c
	to.who.mutation = name
	return &to
}

// refused turns the refusal of a REST endpoint into an error.
func refused(a answer) error {
	if a.status < http.StatusBadRequest {
		return nil
	}
	why, _ := a.body.(problem)
	code := "UNPROCESSABLE"
	if a.status == http.StatusNotFound {
		code = "NOT_FOUND"
	}
	return &graphError{why.Error, code}
}

// as is a call with another body and the app that it is about.
func (c *call) as(a *app, body any) *call {
	text, _ := json.Marshal(body) // bodies here always marshal
	return &call{r: c.r, who: c.who, app: a, body: text}
}

// onApp is a mutation of one app.
func (s *Server) onApp(run func(c *call, a *app, in arguments) (fields, error)) mutation {
	return func(c *call, in arguments) (fields, error) {
		a, err := s.appBy(c.who, resset.ActionWrite, in.text("appId"))
		if err != nil {
			return nil, err
		}
		return run(c, a, in)
	}
}

func (s *Server) appMutations() map[string]mutation {
	return map[string]mutation{
		"createApp": func(c *call, in arguments) (fields, error) {
			o, err := s.orgBy(c.who, resset.ActionCreate, "", in.text("organizationId"))
			if err != nil {
				return nil, err
			}
			made := s.createApp(c.as(nil, map[string]string{"name": in.text("name"), "org_slug": o.slug, "network": in.text("network"), "app_role_id": in.text("appRoleId")}))
			if err := refused(made); err != nil {
				return nil, err
			}
			return fields{"app": s.graphApp(c, s.apps[in.text("name")])}, nil
		},
		"createLimitedAccessToken": s.createToken,
		"deleteLimitedAccessToken": s.deleteToken,
		"deleteApp": s.onApp(func(c *call, a *app, _ arguments) (fields, error) {
			s.deleteApp(c.as(a, nil))
			return fields{"organization": s.graphOrg(c, a.org)}, nil
		}),
		"setSecrets": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			values := map[string]*string{}
			list, _ := in["secrets"].([]any)
			for _, item := range list {
				pair, _ := item.(map[string]any)
				value := arguments(pair).text("value")
				values[arguments(pair).text("key")] = &value
			}
			return fields{"app": s.graphApp(c, a), "release": nil}, refused(s.updateSecrets(c.as(a, map[string]any{"values": values})))
		}),
		"unsetSecrets": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			values := map[string]*string{}
			for _, name := range in.texts("keys") {
				values[name] = nil
			}
			return fields{"app": s.graphApp(c, a), "release": nil}, refused(s.updateSecrets(c.as(a, map[string]any{"values": values})))
		}),
	}
}

// createToken mints a token to deploy an app or an organisation with, the two profiles that are
// simulated.
func (s *Server) createToken(c *call, in arguments) (fields, error) {
	expiry, err := time.ParseDuration(cmp.Or(in.text("expiry"), "175200h"))
	if err != nil || expiry <= 0 {
		return nil, invalidInput("Invalid expiry %q", in.text("expiry"))
	}
	made, text := issued{name: in.text("name"), expires: s.now().Add(expiry)}, ""
	switch profile := in.text("profile"); profile {
	case "deploy":
		if made.app, err = s.appBy(c.who, resset.ActionWrite, in.object("profileParams").text("app_id")); err == nil {
			made.org = made.app.org
			text, err = s.mintDeploy(made.org, made.app, expiry)
		}
	case "deploy_organization":
		if made.org, err = s.orgBy(c.who, resset.ActionWrite, "", in.text("organizationId")); err == nil {
			text, err = s.mintDeploy(made.org, nil, expiry)
		}
	default:
		err = notSimulated("tokens of the profile %q, only deploy and deploy_organization", profile)
	}
	if err != nil {
		return nil, err
	}
	o := s.issue(made, text).graph()
	o.fields["token"], o.fields["tokenHeader"] = text, "FlyV1 "+text
	return fields{"limitedAccessToken": o}, nil
}

func (s *Server) addressMutations() map[string]mutation {
	return map[string]mutation{
		"allocateIpAddress": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			made := s.assignIP(c.as(a, map[string]string{"type": in.text("type"), "region": in.text("region"), "service_name": in.text("serviceName")}))
			if err := refused(made); err != nil {
				return nil, err
			}
			ip, _ := made.body.(*ipAssignment)
			return fields{"app": s.graphApp(c, a), "ipAddress": &object{"IPAddress", fields{
				"id": "ip_" + ip.IP, "address": ip.IP, "type": in.text("type"), "region": ip.Region, "createdAt": ip.CreatedAt, "serviceName": ip.ServiceName, "network": nil,
			}}}, nil
		}),
		"releaseIpAddress": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			before := len(a.ips)
			a.ips = slices.DeleteFunc(slices.Clone(a.ips), func(ip *ipAssignment) bool { return ip.IP == in.text("ip") || "ip_"+ip.IP == in.text("ipAddressId") })
			if len(a.ips) == before {
				return nil, notFound("IPAddress")
			}
			s.announce()
			return fields{"app": s.graphApp(c, a)}, nil
		}),
		"allocateEgressIpAddress": s.onApp(func(_ *call, a *app, in arguments) (fields, error) {
			pair, err := s.allocateEgress(a, in.text("machineId"), in.text("region"))
			if err != nil {
				return nil, err
			}
			return fields{"v4": pair[0].IP, "v6": pair[1].IP}, nil
		}),
		"releaseEgressIpAddress": s.onApp(func(_ *call, a *app, in arguments) (fields, error) {
			gone, err := s.releaseEgress(a, in.text("machineId"), in.text("ip"))
			return fields{"v4": nilIfEmpty(gone[0]), "v6": nilIfEmpty(gone[1])}, err
		}),
	}
}

func nilIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (s *Server) releaseMutations() map[string]mutation {
	return map[string]mutation{
		"createRelease": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			definition, err := json.Marshal(in["definition"])
			if err != nil {
				return nil, invalidInput("definition: %v", err)
			}
			r := s.newRelease(a, c.who, release{Strategy: in.text("strategy"), ImageRef: in.text("image"), Definition: definition})
			return fields{"app": s.graphApp(c, a), "release": r.graph("Release")}, nil
		}),
		"updateRelease": func(c *call, in arguments) (fields, error) {
			a, r := s.releaseOf(in.text("releaseId"))
			if r == nil {
				return nil, notFound("Release")
			}
			if _, err := s.appBy(c.who, resset.ActionWrite, a.name); err != nil {
				return nil, err
			}
			r.end(in.text("status"), nil)
			return fields{"release": r.graph("Release")}, nil
		},
		"createBuild": func(*call, arguments) (fields, error) {
			s.builds++
			return fields{"id": fmt.Sprint(9000 + s.builds), "status": "started"}, nil
		},
		"finishBuild": func(_ *call, in arguments) (fields, error) {
			return fields{"id": in["buildId"], "status": in["status"], "wallclockTimeMs": 0}, nil
		},
	}
}

func (s *Server) certificateMutations() map[string]mutation {
	found := func(c *call, a *app, in arguments) (fields, error) {
		cert := a.certificates[in.text("hostname")]
		if cert == nil {
			return nil, notFound("AppCertificate")
		}
		need := a.certificateView(cert).DNSRequirements
		return fields{"app": s.graphApp(c, a), "certificate": a.graphCertificate(cert), "check": &object{"HostnameCheck", fields{
			"aRecords": []string{}, "aaaaRecords": []string{}, "cnameRecords": []string{}, "soa": nil, "dnsProvider": nil,
			"dnsVerificationRecord": need.Challenge.Target, "resolvedAddresses": []string{},
		}}}, nil
	}
	return map[string]mutation{
		"addCertificate": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			on := c.as(a, map[string]string{"hostname": in.text("hostname")})
			if err := refused(s.createCertificate(on)); err != nil {
				return nil, err
			}
			return found(c, a, in)
		}),
		"checkCertificate": s.onApp(found),
		"deleteCertificate": s.onApp(func(c *call, a *app, in arguments) (fields, error) {
			payload, err := found(c, a, in)
			delete(a.certificates, in.text("hostname"))
			s.announce()
			return payload, err
		}),
	}
}

// plainMutations are agreements, which everybody has given, and WireGuard, of which there is none:
// no peer is valid.
func plainMutations() map[string]mutation {
	return map[string]mutation{
		"createExtensionTosAgreement": func(*call, arguments) (fields, error) { return fields{}, nil },
		"validateWireGuardPeers": func(_ *call, in arguments) (fields, error) {
			return fields{"invalidPeerIps": in.texts("peerIps"), "validPeerIps": []string{}}, nil
		},
	}
}
