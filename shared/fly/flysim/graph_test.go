package flysim_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// ask sends a GraphQL request as flyctl does and gives the data and the messages of the errors.
func ask(t *testing.T, url, query string, vars map[string]any) (string, []string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	need(t, err)
	status, text := raw(t, http.MethodPost, url+"/graphql", string(body))
	if status != http.StatusOK {
		t.Fatalf("GraphQL answers with 200, whatever its errors: %d %s", status, text)
	}
	out := decode[struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}](t, []byte(text))
	var messages []string
	for _, e := range out.Errors {
		messages = append(messages, e.Message)
	}
	return string(out.Data), messages
}

func TestQueryGetsWhatItSelects(t *testing.T) {
	_, url := start(t, flysim.Options{Orgs: []string{"personal", "acme"}})
	newApp(t, url, "one")
	newApp(t, url, "two")
	for _, tc := range []struct {
		query, want string
		vars        map[string]any
	}{
		{`{ app(name: "one") { called: name id } }`, `{"app":{"called":"one","id":"one"}}`, nil},
		{`query($n: String = "two") { app(name: $n) { __typename name } }`, `{"app":{"__typename":"App","name":"two"}}`, nil},
		{`query($n: String!) { a: app(name: $n) { ...F } } fragment F on App { name ... on App { network } ... on Machine { id } }`, `{"a":{"name":"one","network":"default"}}`, map[string]any{"n": "one"}},
		{`query($no: Boolean!) { app(name: "one") { name id @include(if: $no) network @skip(if: true) } }`, `{"app":{"name":"one"}}`, map[string]any{"no": false}},
		{`{ apps(first: 1) { nodes { name } totalCount pageInfo { hasNextPage } edges { node { name } } } }`, `{"apps":{"edges":[{"node":{"name":"one"}}],"nodes":[{"name":"one"}],"pageInfo":{"hasNextPage":true},"totalCount":2}}`, nil},
		{`{ app(name: "one") { organization { slug } } app(name: "one") { organization { type } } }`, `{"app":{"organization":{"slug":"personal","type":"PERSONAL"}}}`, nil},
		{`{ viewer { ... on User { email } ... on Principal { __typename } } }`, `{"viewer":{"__typename":"User","email":"anonymous@tokens.fly.io"}}`, nil},
		{`{ appNameAvailable(name: "one") other: appNameAvailable(name: "three") }`, `{"appNameAvailable":false,"other":true}`, nil},
		{`{ app(name: "one") { currentRelease { id } machines { nodes { id } } } }`, `{"app":{"currentRelease":null,"machines":{"nodes":[]}}}`, nil},
	} {
		got, errs := ask(t, url, tc.query, tc.vars)
		if tc.query == `{ viewer { ... on User { email } ... on Principal { __typename } } }` {
			got = strings.ReplaceAll(got, decode[struct{ Viewer struct{ Email string } }](t, []byte(got)).Viewer.Email, "anonymous@tokens.fly.io")
		}
		if got != tc.want || errs != nil {
			t.Errorf("%s\n got %s %q\nwant %s", tc.query, got, errs, tc.want)
		}
	}
}

func TestBadQueryIsToldWhy(t *testing.T) {
	_, url := start(t, flysim.Options{Orgs: []string{"personal"}, Foreign: []string{"theirs"}})
	newApp(t, url, "one")
	for _, tc := range []struct {
		query, data, want string
	}{
		{`{ app(`, `null`, "Parse error"},
		{`query A { viewer { __typename } } query B { viewer { __typename } }`, `null`, "No operation named"},
		{`query($n: String!) { app(name: $n) { id } }`, `null`, "Variable $n of type String! was provided invalid value"},
		{`{ app(name: "none") { id } }`, `{"app":null}`, "Could not find App"},
		{`{ app(name: "theirs") { id } }`, `{"app":null}`, "not authorized"},
		{`{ organization(slug: "none") { id } }`, `{"organization":null}`, "Could not find Organization"},
		{`{ app(name: "one") { id vms { nodes { id } } } }`, `{"app":{"id":"one","vms":null}}`, "flysim does not simulate the field App.vms"},
		{`{ app(name: "one") { organization } }`, `{"app":{"organization":null}}`, "must have selections"},
		{`{ app(name: "one") { id { x } } }`, `{"app":{"id":null}}`, "can't be made on scalars"},
		{`{ app(name: "one") { ...Gone } }`, `{"app":{}}`, "was used, but not defined"},
		{`{ nothing }`, `{"nothing":null}`, "flysim does not simulate the field Queries.nothing"},
		{`mutation { createLimitedAccessToken(input: {profile: "ssh"}) { clientMutationId } }`, `{"createLimitedAccessToken":null}`, "does not simulate tokens"},
		{`{ app(name: "one") { ...F } } fragment F on App { organization { apps { nodes { ...G } } } } fragment G on App { ...F }`, `null`, "infinite loop"},
		{`subscription { x }`, `null`, "does not simulate subscriptions"},
		{`mutation { createAddOn(input: {type: sentry, organizationId: "org-personal"}) { addOn { id } } }`, `{"createAddOn":null}`, `does not simulate add-ons of type "sentry"`},
		{`{ app(name: "one") { image(ref: "two words") { id } } }`, `{"app":{"image":null}}`, "Invalid image reference"},
	} {
		data, errs := ask(t, url, tc.query, nil)
		if data != tc.data || len(errs) != 1 || !strings.Contains(errs[0], tc.want) {
			t.Errorf("%s\n got %s %q\nwant %s %q", tc.query, data, errs, tc.data, tc.want)
		}
	}
	if status, _ := raw(t, http.MethodPost, url+"/graphql", `{"query":"{ viewer { __typename } }","variables":[]}`); status != http.StatusBadRequest {
		t.Errorf("variables that are a list: %d", status)
	}
}

func TestFlyGoReadsApps(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"gone:1": {Missing: true}}})
	c := newApp(t, url, "web")
	g := web(url)
	launch(t, c, "web", flygo.LaunchMachineInput{Config: config("nginx:1.27")})
	_, err := c.AssignIP(t.Context(), "web", flaps.AssignIPRequest{Type: "shared_v4"})
	need(t, err)
	compact, err := g.GetAppCompact(t.Context(), "web")
	need(t, err)
	if compact.Name != "web" || compact.Organization.Slug != "personal" || compact.PlatformVersion != "machines" || compact.Hostname != "web.fly.dev" {
		t.Errorf("compact %+v", compact)
	}
	whole, err := g.GetApp(t.Context(), "web")
	need(t, err)
	if len(whole.Machines.Nodes) != 1 || whole.SharedIPAddress == "" || whole.ImageDetails.Repository != "library/nginx" {
		t.Errorf("app %+v", whole)
	}
	image, err := g.ResolveImageForApp(t.Context(), "web", "nginx:1.27")
	need(t, err)
	if got := decode[flysimRef](t, machineIn(t, s, whole.Machines.Nodes[0].ID).ImageRef); image.Digest != got.Digest || image.Ref != "docker-hub-mirror.fly.io/library/nginx:1.27" {
		t.Errorf("image %+v, the machine's %+v", image, got)
	}
	if _, err := g.ResolveImageForApp(t.Context(), "web", "gone:1"); err == nil || !strings.Contains(err.Error(), "gone:1") {
		t.Errorf("a missing image: %v", err)
	}
	orgs, err := g.GetOrganizations(t.Context())
	need(t, err)
	if len(orgs) != 1 || orgs[0].Slug != "personal" {
		t.Errorf("organisations %+v", orgs)
	}
	regions, nearest, err := g.PlatformRegions(t.Context())
	need(t, err)
	if len(regions) < 10 || nearest == nil || nearest.Code != "ams" {
		t.Errorf("regions %+v, nearest %+v", regions, nearest)
	}
	if fine, err := g.CanPerformBluegreenDeployment(t.Context(), "web"); err != nil || !fine {
		t.Errorf("bluegreen %v %v", fine, err)
	}
}

type flysimRef struct{ Digest string }

func TestEgressAddressesComeInPairs(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "out")
	g := web(url)
	m := launch(t, c, "out", flygo.LaunchMachineInput{Config: config("nginx")})
	v4, v6, err := g.AllocateAppScopedEgressIPAddress(t.Context(), "out", "ams")
	need(t, err)
	again, _, err := g.AllocateAppScopedEgressIPAddress(t.Context(), "out", "ams")
	need(t, err)
	if v4.To4() == nil || v6.To4() != nil || !again.Equal(v4) {
		t.Errorf("egress %s %s, again %s", v4, v6, again)
	}
	_, _, err = g.AllocateAppScopedEgressIPAddress(t.Context(), "out", "moon")
	if err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a region that is none: %v", err)
	}
	own, _, err := g.AllocateEgressIPAddress(t.Context(), "out", m.ID)
	need(t, err)
	byRegion, err := g.GetAppScopedEgressIPAddresses(t.Context(), "out")
	need(t, err)
	byMachine, err := g.GetEgressIPAddresses(t.Context(), "out")
	need(t, err)
	if len(byRegion["ams"]) != 2 || len(byMachine[m.ID]) != 2 || own.Equal(v4) {
		t.Errorf("by region %+v, by machine %+v", byRegion, byMachine)
	}
	if status, text := raw(t, http.MethodPost, url+"/api/v1/apps/out/egress_ips/"+own.String()+"/promote", ""); status != http.StatusOK {
		t.Errorf("promote: %d %s", status, text)
	}
	need(t, g.ReleaseAppScopedEgressIPAddress(t.Context(), "out", v4.String()))
	if err := g.ReleaseAppScopedEgressIPAddress(t.Context(), "out", v4.String()); err == nil {
		t.Error("an address was released twice")
	}
	need(t, c.Destroy(t.Context(), "out", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, ""))
	waitFor(t, c, "out", m.ID, "destroyed")
	var left []string
	for _, ip := range decode[[]struct{ IP string }](t, s.State().Apps[0].Egress) {
		left = append(left, ip.IP)
	}
	if want := []string{v6.String(), own.String()}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v: what belonged to the machine goes with it", left, want)
	}
}

func TestReleaseOfGraphQLIsThatOfREST(t *testing.T) {
	_, url := start(t, flysim.Options{})
	newApp(t, url, "rel")
	g := web(url)
	made, err := g.CreateRelease(t.Context(), flygo.CreateReleaseInput{
		AppId: "rel", Definition: map[string]any{"app": "rel", "env": map[string]any{"A": "1"}}, Image: "nginx:1", PlatformVersion: "machines", Strategy: flygo.DeploymentStrategyRolling,
	})
	need(t, err)
	id := made.CreateRelease.Release.Id
	_, err = g.UpdateRelease(t.Context(), flygo.UpdateReleaseInput{ReleaseId: id, Status: "complete"})
	need(t, err)
	status, text := raw(t, http.MethodGet, url+"/api/v1/apps/rel/releases/current", "")
	if status != http.StatusOK || !strings.Contains(text, id) || !strings.Contains(text, `"stable":true`) {
		t.Errorf("current %d %s", status, text)
	}
	image, err := g.LatestImage(t.Context(), "rel")
	need(t, err)
	current, err := g.GetAppCurrentReleaseMachines(t.Context(), "rel")
	need(t, err)
	if image != "nginx:1" || current.Version != 1 || current.Status != "complete" {
		t.Errorf("image %s, current %+v", image, current)
	}
	got, errs := ask(t, url, `query($appName: String!) { app(name: $appName) { currentReleaseUnprocessed { configDefinition } } }`, map[string]any{"appName": "rel"})
	if want := `{"app":{"currentReleaseUnprocessed":{"configDefinition":{"app":"rel","env":{"A":"1"}}}}}`; got != want || errs != nil {
		t.Errorf("definition %s %q, want %s", got, errs, want)
	}
}

func TestCertificateOfGraphQLIsThatOfREST(t *testing.T) {
	s, url := start(t, flysim.Options{})
	newApp(t, url, "certs")
	g := web(url)
	cert, check, err := g.AddCertificate(t.Context(), "certs", "www.example.com")
	need(t, err)
	if cert.Configured || cert.ClientStatus != "Awaiting configuration" || cert.DNSValidationTarget == "" || check == nil {
		t.Errorf("asked for %+v %+v", cert, check)
	}
	s.Issue("WWW.example.com", true)
	list, err := g.GetAppCertificates(t.Context(), "certs")
	need(t, err)
	if len(list) != 1 || list[0].ClientStatus != "Ready" {
		t.Errorf("issued %+v", list)
	}
	s.Issue("www.example.com", false)
	cert, _, err = g.CheckAppCertificate(t.Context(), "certs", "www.example.com")
	need(t, err)
	if cert.Configured {
		t.Errorf("withdrawn %+v", cert)
	}
	control(t, http.MethodPost, url+"/_sim/certificates/www.example.com/withdraw", "")
	for path, want := range map[string]int{"/_sim/certificates/none.example.com/issue": 404, "/_sim/certificates/www.example.com/burn": 404} {
		if status, text := raw(t, http.MethodPost, url+path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
