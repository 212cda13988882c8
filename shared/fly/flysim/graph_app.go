package flysim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// graphApp is an app for queries. Whoever gets it may read the app.
func (s *Server) graphApp(c *call, a *app) *object {
	v := a.view()
	o := &object{"App", fields{
		"id": a.name, "internalId": a.id, "internalNumericId": a.numeric, "name": a.name, "hostname": a.name + ".fly.dev",
		"appUrl": "https://" + a.name + ".fly.dev", "deployed": v.Status == "deployed", "status": v.Status, "state": "DEPLOYED",
		"version": len(a.releases), "platformVersion": "machines", "cnameTarget": v.CnameTarget, "network": a.network, "networkId": nil,
		"createdAt": a.created.UTC(), "currentLock": nil, "runtime": "FIRECRACKER", "services": []*object{}, "regions": []*object{}, "backupRegions": []*object{},
		"imageUpgradeAvailable": false, "imageVersionTrackingEnabled": false, "latestImageDetails": nil,
		"organization":        field(func(arguments) (any, error) { return s.graphOrg(c, a.org), nil }),
		"role":                field(func(arguments) (any, error) { return &object{"EmptyAppRole", fields{"name": a.role}}, nil }),
		"machines":            field(func(args arguments) (any, error) { return s.graphMachines(c, a)(args) }),
		"machine":             field(func(args arguments) (any, error) { return s.graphMachineBy(c, args.text("id")) }),
		"volumes":             field(func(args arguments) (any, error) { return s.graphVolumes(c, a)(args) }),
		"limitedAccessTokens": s.graphTokens(a.org, a),
		"addOns":              field(func(args arguments) (any, error) { return s.graphAddOns(c, nil, a)(args) }),
		"secrets":             field(func(arguments) (any, error) { return a.graphSecrets(), nil }),
		"hostIssues":          connection("Issue", nil),
		"image":               field(func(args arguments) (any, error) { return s.graphImage(args.text("ref")) }),
		"imageDetails":        field(func(arguments) (any, error) { return a.graphImageDetails(), nil }),
	}}
	maps.Copy(o.fields, a.graphReleases())
	maps.Copy(o.fields, a.graphAddresses())
	maps.Copy(o.fields, a.graphCertificates())
	return o
}

func (a *app) graphReleases() fields {
	list := func(kind string) []*object {
		var out []*object
		for _, r := range slices.Backward(a.releases) {
			out = append(out, r.graph(kind))
		}
		return out
	}
	current := func(kind string) field {
		return func(arguments) (any, error) {
			if r := a.current(); r != nil {
				return r.graph(kind), nil
			}
			return nil, nil //nolint:nilnil // an app without a release has none
		}
	}
	return fields{
		"currentRelease": current("Release"), "currentReleaseUnprocessed": current("ReleaseUnprocessed"),
		"releases": field(func(args arguments) (any, error) { return connection("Release", list("Release"))(args) }),
		"releasesUnprocessed": field(func(args arguments) (any, error) {
			return connection("ReleaseUnprocessed", list("ReleaseUnprocessed"))(args)
		}),
		"release": field(func(args arguments) (any, error) {
			n, _ := args.number("version")
			for _, r := range a.releases {
				if r.ID == args.text("id") || r.Version == n {
					return r.graph("Release"), nil
				}
			}
			return nil, notFound("Release")
		}),
		"config": field(func(arguments) (any, error) {
			var definition json.RawMessage
			if r := a.current(); r != nil {
				definition = r.Definition
			}
			return graphConfig(definition), nil
		}),
	}
}

func graphConfig(definition json.RawMessage) *object {
	if len(definition) == 0 {
		definition = json.RawMessage("{}")
	}
	return &object{"AppConfig", fields{"definition": definition, "errors": []string{}, "valid": true, "services": []*object{}}}
}

func (r *release) graph(kind string) *object {
	var definition any
	if len(r.Definition) > 0 {
		definition = r.Definition
	}
	user := &object{"User", fields{"id": "user-" + r.User, "email": r.User, "name": r.User}}
	return &object{kind, fields{
		"id": r.ID, "version": r.Version, "status": r.Status, "stable": r.Stable, "inProgress": r.InProgress, "description": "Release",
		"reason": "deploy", "revertedTo": nil, "imageRef": r.ImageRef, "deploymentStrategy": r.Strategy, "createdAt": r.CreatedAt, "updatedAt": r.CreatedAt,
		"evaluationId": nil, "user": user, "configDefinition": definition, "config": graphConfig(r.Definition), "metadata": r.Metadata,
	}}
}

func (a *app) graphSecrets() []*object {
	list := []*object{}
	for _, v := range a.secretViews(false) {
		list = append(list, &object{"Secret", fields{"id": v.Name, "name": v.Name, "digest": v.Digest, "createdAt": v.CreatedAt}})
	}
	return list
}

func (a *app) graphAddresses() fields {
	kind := func(ip *ipAssignment) string {
		switch {
		case ip.Shared:
			return "shared_v4"
		case strings.HasPrefix(ip.IP, "fdaa:"):
			return "private_v6"
		case strings.Contains(ip.IP, ":"):
			return "v6"
		}
		return "v4"
	}
	var own []*object
	var shared any
	for _, ip := range a.ips {
		if ip.Shared {
			shared = ip.IP
			continue
		}
		own = append(own, &object{"IPAddress", fields{
			"id": "ip_" + ip.IP, "address": ip.IP, "type": kind(ip), "region": ip.Region, "createdAt": ip.CreatedAt,
			"serviceName": ip.ServiceName, "network": nil,
		}})
	}
	var egress []*object
	for _, ip := range a.egress {
		if ip.Machine == "" {
			egress = append(egress, ip.graph())
		}
	}
	return fields{"ipAddresses": connection("IPAddress", own), "sharedIpAddress": shared, "egressIpAddresses": connection("EgressIPAddress", egress)}
}

func (ip *egressIP) graph() *object {
	return &object{"EgressIPAddress", fields{"id": ip.ID, "ip": ip.IP, "version": ip.Version, "region": ip.Region, "updatedAt": ip.UpdatedAt}}
}

func (a *app) graphCertificates() fields {
	return fields{
		"certificates": field(func(args arguments) (any, error) {
			var list []*object
			for _, host := range slices.Sorted(maps.Keys(a.certificates)) {
				list = append(list, a.graphCertificate(a.certificates[host]))
			}
			return connection("AppCertificate", list)(args)
		}),
		"certificate": field(func(args arguments) (any, error) {
			if cert := a.certificates[args.text("hostname")]; cert != nil {
				return a.graphCertificate(cert), nil
			}
			return nil, notFound("AppCertificate")
		}),
	}
}

func (a *app) graphCertificate(cert *certificate) *object {
	v := a.certificateView(cert)
	status := "Awaiting configuration"
	var issued []*object
	for _, c := range v.Certificates {
		for _, i := range c.Issued {
			issued = append(issued, &object{"Certificate", fields{"type": i.Type, "expiresAt": i.ExpiresAt, "hostname": cert.hostname}})
		}
		status = "Ready"
	}
	need := v.DNSRequirements
	return &object{"AppCertificate", fields{
		"id": "cert-" + cert.hostname, "hostname": cert.hostname, "clientStatus": status, "createdAt": cert.created.UTC(), "configured": v.Configured,
		"acmeDnsConfigured": v.Configured, "acmeAlpnConfigured": v.Configured, "certificateAuthority": "lets_encrypt", "certificateRequestedAt": cert.created.UTC(),
		"dnsProvider": v.DNSProvider, "dnsValidationHostname": need.Challenge.Name, "dnsValidationTarget": need.Challenge.Target,
		"dnsValidationInstructions": "CNAME " + need.Challenge.Name + " => " + need.Challenge.Target, "source": "fly",
		"isApex": strings.Count(cert.hostname, ".") == 1, "isWildcard": strings.HasPrefix(cert.hostname, "*."),
		"issued": connection("Certificate", issued), "validationErrors": []*object{},
	}}
}

func (s *Server) graphMachines(c *call, a *app) field {
	var list []*object
	for _, m := range a.machines {
		if m.alive() {
			list = append(list, s.graphMachine(c, m))
		}
	}
	return connection("Machine", list)
}

func (s *Server) graphMachine(c *call, m *machine) *object {
	var egress []*object
	for _, ip := range m.app.egress {
		if ip.Machine == m.id {
			egress = append(egress, ip.graph())
		}
	}
	ip := &object{"MachineIP", fields{"family": "v6", "kind": "privatenet", "ip": m.ip, "maskSize": 112}}
	return &object{"Machine", fields{
		"id": m.id, "name": m.name, "state": m.state, "region": m.region, "instanceId": m.instance, "config": m.config,
		"createdAt": m.created.UTC().Truncate(time.Second), "updatedAt": m.updated.UTC().Truncate(time.Second),
		"app": field(func(arguments) (any, error) { return s.graphApp(c, m.app), nil }), "ips": connection("MachineIP", []*object{ip}),
		"host": &object{"Host", fields{"id": fmt.Sprintf("host-%s", m.region)}}, "egressIpAddresses": connection("EgressIPAddress", egress),
	}}
}

func (s *Server) graphVolumes(c *call, a *app) field {
	var list []*object
	for _, v := range a.lastingVolumes() {
		list = append(list, s.graphVolume(c, a, v))
	}
	return connection("Volume", list)
}

func (s *Server) graphVolume(c *call, a *app, v *volume) *object {
	var shots []*object
	for _, shot := range v.snapshots {
		shots = append(shots, &object{"VolumeSnapshot", fields{
			"id": shot.ID, "size": shot.Size, "digest": shot.Digest, "createdAt": shot.CreatedAt, "retentionDays": shot.RetentionDays,
		}})
	}
	return &object{"Volume", fields{
		"id": v.ID, "name": v.Name, "state": v.State, "sizeGb": v.SizeGB, "region": v.Region, "encrypted": v.Encrypted, "createdAt": v.CreatedAt,
		"snapshots": connection("VolumeSnapshot", shots), "app": field(func(arguments) (any, error) { return s.graphApp(c, a), nil }),
	}}
}

// graphImage resolves a reference as Fly does: Docker Hub through its mirror.
func (s *Server) graphImage(ref string) (any, error) {
	if ref == "" || strings.ContainsAny(ref, " \t\n") {
		return nil, invalidInput("Invalid image reference %q", ref)
	}
	if s.fate(ref).Missing {
		return nil, notFound("image \"" + ref + "\"")
	}
	r := parseImage(ref)
	host := r.Registry
	if host == dockerHub {
		host = hubMirror
	}
	full := host + "/" + r.Repository
	absolute := full + "@" + r.Digest
	if r.Tag != "" {
		full += ":" + r.Tag
	} else {
		full = absolute
	}
	return &object{"Image", fields{
		"id": "img_" + digest(host, absolute)[:14], "digest": r.Digest, "ref": full, "absoluteRef": absolute, "registry": host,
		"repository": r.Repository, "tag": r.Tag, "label": r.Tag, "compressedSize": 70 << 20, "compressedSizeFull": fmt.Sprint(70 << 20),
		"manifest": map[string]any{"schemaVersion": 2}, "config": map[string]any{}, "configDigest": nil, "createdAt": s.now().UTC(),
	}}, nil
}

func (a *app) graphImageDetails() *object {
	for _, m := range a.machines {
		if m.alive() {
			return graphImageVersion(&m.image)
		}
	}
	return nil
}

func graphImageVersion(r *imageRef) *object {
	return &object{"ImageVersion", fields{"registry": r.Registry, "repository": r.Repository, "tag": r.Tag, "digest": r.Digest, "version": nil}}
}
