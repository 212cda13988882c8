package flysim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

// certificate is a hostname of an app with its certificates. Its DNS records are not there until
// somebody says so (Issue).
type certificate struct {
	hostname     string
	acme, custom bool
	configured   bool
	created      time.Time
}

type certificateEntry struct {
	Source    string       `json:"source"`
	Status    string       `json:"status"`
	CreatedAt time.Time    `json:"created_at"`
	ExpiresAt time.Time    `json:"expires_at"`
	Issuer    string       `json:"issuer"`
	Issued    []issuedView `json:"issued"`
}

type issuedView struct {
	Type      string    `json:"type"`
	ExpiresAt time.Time `json:"expires_at"`
	Authority string    `json:"certificate_authority"`
}

type certificateView struct {
	Hostname        string             `json:"hostname"`
	Configured      bool               `json:"configured"`
	AcmeRequested   bool               `json:"acme_requested"`
	Status          string             `json:"status"`
	DNSProvider     string             `json:"dns_provider"`
	Certificates    []certificateEntry `json:"certificates"`
	Validation      validationView     `json:"validation"`
	DNSRequirements requirementsView   `json:"dns_requirements"`
}

type validationView struct {
	DNS  bool `json:"dns_configured"`
	ALPN bool `json:"alpn_configured"`
	HTTP bool `json:"http_configured"`
	TXT  bool `json:"ownership_txt_configured"`
}

type requirementsView struct {
	A         []string      `json:"a"`
	AAAA      []string      `json:"aaaa"`
	CNAME     string        `json:"cname"`
	Challenge challengeView `json:"acme_challenge"`
	Ownership ownershipView `json:"ownership"`
}

type challengeView struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}

type ownershipView struct {
	Name     string `json:"name"`
	AppValue string `json:"app_value"`
	OrgValue string `json:"org_value"`
}

func (s *Server) certificateRoutes() []route {
	const all = " /v1/apps/{app}/certificates"
	const one = all + "/{hostname}"
	on := func(pattern string, action resset.Action, run func(*call, *certificate) answer) route {
		return route{pattern: pattern, action: action, scope: toApp, run: func(c *call) answer {
			cert := c.app.certificates[c.r.PathValue("hostname")]
			if cert == nil {
				return fail(http.StatusNotFound, "not_found: certificate not found")
			}
			return run(c, cert)
		}}
	}
	show := func(c *call, cert *certificate) answer { return ok(c.app.certificateView(cert)) }
	return []route{
		{pattern: "GET" + all, action: resset.ActionRead, scope: toApp, run: s.listCertificates},
		{pattern: "POST" + all + "/acme", action: resset.ActionWrite, scope: toApp, run: s.createCertificate},
		{pattern: "POST" + all + "/custom", action: resset.ActionWrite, scope: toApp, run: s.createCertificate},
		on("GET"+one, resset.ActionRead, show),
		on("POST"+one+"/check", resset.ActionWrite, show),
		on("DELETE"+one, resset.ActionWrite, func(c *call, cert *certificate) answer {
			delete(c.app.certificates, cert.hostname)
			return empty(http.StatusNoContent)
		}),
		on("DELETE"+one+"/acme", resset.ActionWrite, func(c *call, cert *certificate) answer {
			cert.acme = false
			return show(c, cert)
		}),
		on("DELETE"+one+"/custom", resset.ActionWrite, func(c *call, cert *certificate) answer {
			cert.custom = false
			return show(c, cert)
		}),
	}
}

// Issue makes the DNS records of a hostname appear (or disappear) in the simulated world, whichever
// app it is of: its certificate is issued. It reports whether the hostname is known.
func (s *Server) Issue(hostname string, issued bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	for _, a := range s.apps {
		if cert := a.certificates[strings.ToLower(hostname)]; cert != nil {
			cert.configured = issued
			s.announce()
			return true
		}
	}
	return false
}

func (a *app) certificateView(cert *certificate) certificateView {
	configured := cert.configured
	v := certificateView{
		Hostname: cert.hostname, Configured: configured, AcmeRequested: cert.acme, Status: "pending_ownership", DNSProvider: "unknown",
		Certificates: []certificateEntry{}, Validation: validationView{DNS: configured, ALPN: configured, HTTP: configured},
		DNSRequirements: requirementsView{
			A: []string{}, AAAA: []string{}, CNAME: a.view().CnameTarget,
			Challenge: challengeView{Name: "_acme-challenge." + cert.hostname, Target: cert.hostname + "." + a.id + ".flydns.net"},
			Ownership: ownershipView{Name: "_fly-ownership." + cert.hostname, AppValue: "app-" + a.id, OrgValue: "org-" + a.org.slug},
		},
	}
	for _, ip := range a.ips {
		if strings.Contains(ip.IP, ":") {
			v.DNSRequirements.AAAA = append(v.DNSRequirements.AAAA, ip.IP)
		} else {
			v.DNSRequirements.A = append(v.DNSRequirements.A, ip.IP)
		}
	}
	entry := func(source, issuer string) {
		expires := cert.created.Add(90 * 24 * time.Hour).UTC()
		v.Certificates = append(v.Certificates, certificateEntry{
			Source: source, Status: "active", CreatedAt: cert.created.UTC(), ExpiresAt: expires, Issuer: issuer,
			Issued: []issuedView{{"ecdsa", expires, issuer}},
		})
	}
	if cert.custom {
		entry("custom", "custom")
	}
	if cert.acme && configured {
		entry("fly", "lets_encrypt")
	}
	if configured {
		v.Status = "active"
	}
	return v
}

func (s *Server) listCertificates(c *call) answer {
	type summary struct {
		Hostname   string    `json:"hostname"`
		Configured bool      `json:"configured"`
		Acme       bool      `json:"acme_requested"`
		Status     string    `json:"status"`
		DNS        string    `json:"dns_provider"`
		Custom     bool      `json:"has_custom_certificate"`
		Fly        bool      `json:"has_fly_certificate"`
		CreatedAt  time.Time `json:"created_at"`
		UpdatedAt  time.Time `json:"updated_at"`
	}
	list := []summary{}
	filter := c.r.URL.Query().Get("filter")
	for _, host := range slices.Sorted(maps.Keys(c.app.certificates)) {
		if !strings.Contains(host, filter) {
			continue
		}
		cert := c.app.certificates[host]
		v := c.app.certificateView(cert)
		list = append(list, summary{host, v.Configured, cert.acme, v.Status, v.DNSProvider, cert.custom, cert.acme && v.Configured, cert.created.UTC(), cert.created.UTC()})
	}
	return ok(struct {
		Certificates []summary `json:"certificates"`
		TotalCount   int       `json:"total_count"`
	}{list, len(list)})
}

func (s *Server) createCertificate(c *call) answer {
	var in struct {
		Hostname   string `json:"hostname"`
		Fullchain  string `json:"fullchain"`
		PrivateKey string `json:"private_key"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	host := strings.ToLower(strings.TrimSuffix(in.Hostname, "."))
	custom := strings.HasSuffix(c.r.URL.Path, "/custom")
	switch {
	case !strings.Contains(host, ".") || strings.ContainsAny(host, " /:"):
		return failf(http.StatusUnprocessableEntity, "invalid_argument: hostname %q is invalid", in.Hostname)
	case custom && (!strings.Contains(in.Fullchain, "BEGIN CERTIFICATE") || !strings.Contains(in.PrivateKey, "PRIVATE KEY")):
		return fail(http.StatusUnprocessableEntity, "invalid_argument: fullchain and private_key must be PEM")
	}
	for _, a := range s.apps {
		if a != c.app && a.certificates[host] != nil {
			return failf(http.StatusUnprocessableEntity, "Validation failed: Hostname %s has already been taken", host)
		}
	}
	cert := c.app.certificates[host]
	if cert == nil {
		cert = &certificate{hostname: host, created: s.now().Truncate(time.Second)}
		c.app.certificates[host] = cert
	}
	cert.acme, cert.custom = cert.acme || !custom, cert.custom || custom
	s.announce()
	return created(c.app.certificateView(cert))
}
