package flysim_test

import (
	"net/http"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestAppsComeAndGo(t *testing.T) {
	_, url := start(t, flysim.Options{Orgs: []string{"personal", "team"}})
	c := newApp(t, url, "shop")
	need(t, c.WaitForApp(t.Context(), "shop"))
	a, err := c.GetApp(t.Context(), "shop")
	need(t, err)
	if a.Name != "shop" || a.Status != "pending" || a.Deployed() || a.Organization.Slug != "personal" || a.InternalNumericID == 0 || a.Network != "default" {
		t.Errorf("app %+v", a)
	}
	m := launch(t, c, "shop", flygo.LaunchMachineInput{Config: config("nginx")})
	waitFor(t, c, "shop", m.ID, "started")
	a, err = c.GetApp(t.Context(), "shop")
	need(t, err)
	if !a.Deployed() || a.MachineCount != 1 {
		t.Errorf("with a machine: %+v", a)
	}
	_, err = c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "api", Org: "team"})
	need(t, err)
	list, err := c.ListApps(t.Context(), flaps.ListAppsRequest{OrgSlug: "personal"})
	need(t, err)
	if len(list) != 1 || list[0].Name != "shop" {
		t.Errorf("list %+v", list)
	}
	for name, text := range map[string]string{"": "blank", "UPPER": "may only contain", "-x": "may only contain", strings.Repeat("x", 64): "too long"} {
		_, err = c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: name, Org: "personal"})
		wantStatus(t, err, http.StatusUnprocessableEntity, text)
	}
	_, err = c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "x", Org: "nobody"})
	wantStatus(t, err, http.StatusNotFound, "Could not find Organization")
	need(t, c.DeleteApp(t.Context(), "shop"))
	_, err = c.GetApp(t.Context(), "shop")
	wantStatus(t, err, http.StatusNotFound, "app not found")
	_, err = c.List(t.Context(), "shop", "")
	wantStatus(t, err, http.StatusNotFound, "app not found")
}

func TestMachineNamesAreUnique(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "names")
	m := launch(t, c, "names", flygo.LaunchMachineInput{Name: "r-1", Config: config("nginx")})
	_, err := c.Launch(t.Context(), "names", flygo.LaunchMachineInput{Name: "r-1", Region: "ams", Config: config("nginx")})
	wantStatus(t, err, http.StatusConflict, "machine ID "+m.ID+" already exists with name")
	need(t, c.Destroy(t.Context(), "names", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, ""))
	waitFor(t, c, "names", m.ID, "destroyed")
	launch(t, c, "names", flygo.LaunchMachineInput{Name: "r-1", Config: config("nginx")})
}

func TestBadConfigsAreRefused(t *testing.T) {
	_, url := start(t, flysim.Options{
		Capacity: map[string]int{"fra": 0}, Images: map[string]flysim.Behavior{"gone:1": {Missing: true}},
	})
	newApp(t, url, "bad")
	for body, want := range map[string]int{
		``: 400, `[`: 400, `{}`: 422, `{"config":{}}`: 422, `{"config":{"image":7}}`: 400,
		`{"config":{"image":"x","guest":{"cpus":3}}}`:                                             422,
		`{"config":{"image":"x","guest":{"memory_mb":100}}}`:                                      422,
		`{"config":{"image":"x","guest":{"cpu_kind":"huge"}}}`:                                    422,
		`{"config":{"image":"x","size":"huge"}}`:                                                  422,
		`{"config":{"image":"x","restart":{"policy":"maybe"}}}`:                                   422,
		`{"config":{"image":"x","schedule":"yearly"}}`:                                            422,
		`{"config":{"image":"x","services":[{"internal_port":0,"protocol":"tcp"}]}}`:              422,
		`{"config":{"image":"x","services":[{"internal_port":80,"protocol":"ipx"}]}}`:             422,
		`{"config":{"image":"x","services":[{"internal_port":80,"autostop":"later"}]}}`:           400,
		`{"config":{"image":"x","mounts":[{"volume":"vol_none","path":"/data"}]}}`:                422,
		`{"config":{"image":"x","mounts":[{"name":"data","path":"/data"}]}}`:                      422,
		`{"config":{"image":"x","mounts":[{"volume":"a","path":"/"},{"volume":"b","path":"/"}]}}`: 422,
		`{"config":{"image":"x","checks":{"c":{"type":"icmp"}}}}`:                                 422,
		`{"config":{"image":"x","stop_config":{"signal":"SIGNONE"}}}`:                             422,
		`{"config":{"image":"x"},"region":"moon"}`:                                                422,
		`{"config":{"image":"x"},"region":"fra"}`:                                                 412,
		`{"config":{"image":"gone:1"}}`:                                                           400,
		`{"config":{"image":"x"},"name":"no way"}`:                                                422,
		`{"config":{"image":"x"},"lease_ttl":-1}`:                                                 400,
		`{"config":{"image":"x"},"min_secrets_version":1}`:                                        412,
		`{"config":{"image":"gone:2"}}`:                                                           200,
	} {
		if got, text := raw(t, http.MethodPost, url+"/v1/apps/bad/machines", body); got != want {
			t.Errorf("%s: got %d %s, want %d", body, got, text, want)
		}
	}
}

func TestMetadataIsPartOfTheConfig(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "meta")
	m := launch(t, c, "meta", flygo.LaunchMachineInput{Config: config("nginx")})
	need(t, c.SetMetadata(t.Context(), "meta", m.ID, "flycd_digest", "abc"))
	need(t, c.DeleteMetadata(t.Context(), "meta", m.ID, "fly_platform_version"))
	values, err := c.GetMetadata(t.Context(), "meta", m.ID)
	need(t, err)
	if len(values) != 2 || values["flycd_digest"] != "abc" || values["fly_process_group"] != "app" {
		t.Errorf("metadata %v", values)
	}
	if got := get(t, c, "meta", m.ID); got.Config.Metadata["flycd_digest"] != "abc" || got.InstanceID != m.InstanceID {
		t.Errorf("config %v, version %s → %s", got.Config.Metadata, m.InstanceID, got.InstanceID)
	}
	at := url + "/v1/apps/meta/machines/" + m.ID + "/metadata"
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/flycd_digest", "", 200},
		{"GET", "/none", "", 404},
		{"PATCH", "", `{"metadata":{"a":"1","flycd_digest":null}}`, 204},
		{"PATCH", "", `{"metadata":{"a":"2"},"machine_version":"old"}`, 412},
		{"PUT", "", `{"metadata":{"b":"2"}}`, 204},
		{"POST", "/x", `{}`, 400},
	} {
		if got, text := raw(t, tc.method, at+tc.path, tc.body); got != tc.want {
			t.Errorf("%s %s %s: got %d %s, want %d", tc.method, tc.path, tc.body, got, text, tc.want)
		}
	}
	values, err = c.GetMetadata(t.Context(), "meta", m.ID)
	need(t, err)
	if len(values) != 1 || values["b"] != "2" {
		t.Errorf("after PUT: %v", values)
	}
}

func TestAddresses(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "ips")
	for _, kind := range []string{"v6", "shared_v4", "v4", "private_v6", "shared_v4"} {
		_, err := c.AssignIP(t.Context(), "ips", flaps.AssignIPRequest{Type: kind, Organization: "personal"})
		need(t, err)
	}
	_, err := c.AssignIP(t.Context(), "ips", flaps.AssignIPRequest{Type: "v5"})
	wantStatus(t, err, http.StatusUnprocessableEntity, "unknown address type")
	res, err := c.GetIPAssignments(t.Context(), "ips")
	need(t, err)
	if len(res.IPs) != 4 || !res.IPs[1].Shared || !res.IPs[3].IsFlycast() || res.IPs[0].IsFlycast() {
		t.Errorf("ips %+v", res.IPs)
	}
	need(t, c.DeleteIPAssignment(t.Context(), "ips", res.IPs[0].IP))
	wantStatus(t, c.DeleteIPAssignment(t.Context(), "ips", res.IPs[0].IP), http.StatusNotFound, "not found")
}

func TestCertificates(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "certs")
	asked, err := c.CreateACMECertificate(t.Context(), "certs", flygo.CreateCertificateRequest{Hostname: "www.example.com"})
	need(t, err)
	if asked.Configured || len(asked.Certificates) != 0 || asked.DNSRequirements.CNAME == "" || asked.DNSRequirements.ACMEChallenge.Target == "" {
		t.Errorf("a certificate waits for its records: %+v", asked)
	}
	control(t, http.MethodPost, url+"/_sim/certificates/www.example.com/issue", "")
	if s.Issue("nobody.example.com", true) {
		t.Error("a hostname that nobody asked for was issued")
	}
	got, err := c.CheckCertificate(t.Context(), "certs", "www.example.com")
	need(t, err)
	if !got.Configured || len(got.Certificates) != 1 || got.DNSRequirements.CNAME == "" {
		t.Errorf("certificate %+v", got)
	}
	pending, err := c.CreateACMECertificate(t.Context(), "certs", flygo.CreateCertificateRequest{Hostname: "www.example.invalid"})
	need(t, err)
	if pending.Configured || len(pending.Certificates) != 0 {
		t.Errorf("without DNS: %+v", pending)
	}
	_, err = c.CreateACMECertificate(t.Context(), "certs", flygo.CreateCertificateRequest{Hostname: "nodots"})
	wantStatus(t, err, http.StatusUnprocessableEntity, "invalid")
	_, err = c.CreateCustomCertificate(t.Context(), "certs", flygo.ImportCertificateRequest{Hostname: "www.example.com", Fullchain: "-----BEGIN CERTIFICATE-----", PrivateKey: "-----BEGIN PRIVATE KEY-----"})
	need(t, err)
	_, err = c.CheckCertificate(t.Context(), "certs", "www.example.com")
	need(t, err)
	need(t, c.DeleteACMECertificate(t.Context(), "certs", "www.example.com"))
	left, err := c.GetCertificate(t.Context(), "certs", "www.example.com")
	need(t, err)
	if left.AcmeRequested || len(left.Certificates) != 1 || left.Certificates[0].Source != "custom" {
		t.Errorf("left %+v", left)
	}
	need(t, c.DeleteCustomCertificate(t.Context(), "certs", "www.example.com"))
	list, err := c.ListCertificates(t.Context(), "certs", &flaps.ListCertificatesOpts{Filter: "example"})
	need(t, err)
	if len(list.Certificates) != 2 {
		t.Errorf("list %+v", list)
	}
	need(t, c.DeleteCertificate(t.Context(), "certs", "www.example.com"))
	_, err = c.GetCertificate(t.Context(), "certs", "www.example.com")
	wantStatus(t, err, http.StatusNotFound, "not found")
}

func TestPlatform(t *testing.T) {
	_, url := start(t, flysim.Options{Capacity: map[string]int{"fra": 1}})
	c := newApp(t, url, "where")
	all, err := c.GetRegions(t.Context())
	need(t, err)
	if len(all.Regions) < 10 || all.Nearest == "" {
		t.Errorf("regions %+v", all)
	}
	places, err := c.GetPlacements(t.Context(), &flaps.GetPlacementsRequest{Region: "fra,ams", Count: 3, Org: "personal"})
	need(t, err)
	if len(places) != 2 || places[0].Count != 1 || places[1].Count != 2 {
		t.Errorf("placements %+v", places)
	}
	m := launch(t, c, "where", flygo.LaunchMachineInput{Region: "fra", Config: config("nginx")})
	_, err = c.Launch(t.Context(), "where", flygo.LaunchMachineInput{Region: "fra", Config: config("nginx")})
	wantStatus(t, err, http.StatusPreconditionFailed, "insufficient_capacity")
	if status := flaps.GetErrorStatusCode(err); status != nil && *status != "insufficient_capacity" {
		t.Errorf("fly-go reads %v", *status)
	}
	waitFor(t, c, "where", m.ID, "started")
	need(t, c.Kill(t.Context(), "where", m.ID))
	if e := get(t, c, "where", m.ID).GetLatestEventOfType("exit"); e == nil || e.Request.ExitEvent.Signal != 9 {
		t.Errorf("kill: %+v", e)
	}
	for path, want := range map[string]int{
		"/v1/orgs/personal/machines": 200, "/v1/orgs/personal/volumes": 200, "/v1/tokens/current": 200, "/v1/nothing": 501, "/v2": 501,
		"/v1/apps": 400, "/v1/apps/where/machines/" + m.ID + "/events?limit=1": 200, "/v1/apps/where/machines/" + m.ID + "/events?limit=99": 400,
		"/v1/apps/where/machines/" + m.ID + "/versions": 200, "/v1/apps/where/machines/" + m.ID + "/memory": 200,
		"/v1/apps/where/machines?state=started&region=fra": 200, "/v1/apps/where/machines?include_deleted=true": 200, "/_sim/nothing": 404, "/_sim/faults": 200,
	} {
		if got, text := raw(t, http.MethodGet, url+path, ""); got != want {
			t.Errorf("%s: got %d %s, want %d", path, got, text, want)
		}
	}
}
