package flysim_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestRecordingLooksLikeTheRealOnes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recorded")
	s, url := start(t, flysim.Options{Record: dir})
	c := newApp(t, url, "app01")
	_, err := c.AssignIP(t.Context(), "app01", flaps.AssignIPRequest{Type: "v6", Organization: "personal"})
	need(t, err)
	_, err = c.SetAppSecret(t.Context(), "app01", "KEY", "topsecret")
	need(t, err)
	m := launch(t, c, "app01", flygo.LaunchMachineInput{Config: config("nginx:1.27"), LeaseTTL: 300})
	need(t, c.ReleaseLease(t.Context(), "app01", m.ID, m.LeaseNonce))
	l, err := c.AcquireLease(t.Context(), "app01", m.ID, ptr(13))
	need(t, err)
	_, err = c.Update(t.Context(), "app01", flygo.LaunchMachineInput{ID: m.ID, Region: "ams", Config: config("nginx:1.28")}, l.Data.Nonce)
	need(t, err)
	waitFor(t, c, "app01", m.ID, "started")
	need(t, s.SetFaults(flysim.Fault{Match: flysim.Match{Method: "DELETE"}, Do: flysim.Effect{Drop: "before"}}))
	raw(t, http.MethodPost, url+"/graphql", `{"query":"query ($appName: String!) {\n app(name: $appName) {\n id\n image(ref: $imageRef) { id digest }\n }\n}","variables":{"appName":"app01"}}`)
	_ = c.Destroy(t.Context(), "app01", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, l.Data.Nonce)

	raw(t, http.MethodPost, url+"/graphql", `{"query":"mutation($input: SetSecretsInput!) { setSecrets(input: $input) { app { name } } }","variables":{"input":{"appId":"app01","secrets":[{"key":"OTHER","value":"topsecret2"}]}}}`)
	need(t, s.Close())

	sequence, err := os.ReadFile(filepath.Join(dir, "sequence.txt"))
	need(t, err)
	want := `POST   /v1/apps?wait=true -> 201 {"app_role_id": "", "name": "app01", "network": "", "org_slug": "personal"}
POST   /v1/apps/app01/ip_assignments -> 200 {"network": "", "org_slug": "personal", "region": "", "service_name": "", "type": "v6"}
POST   /v1/apps/app01/secrets/KEY -> 201 {"value": "\u2026"}
POST   /v1/apps/app01/machines -> 200 {"config": "\u2026", "lease_ttl": 300, "region": "ams", "skip_secrets": false}
DELETE /v1/apps/app01/machines/MACHINE_1/lease [nonce NONCE_1] -> 200
POST   /v1/apps/app01/machines/MACHINE_1/lease?ttl=13 -> 201
POST   /v1/apps/app01/machines/MACHINE_1 [nonce NONCE_2] -> 200 {"config": "\u2026", "region": "ams", "skip_secrets": false}
GET    /v1/apps/app01/machines/MACHINE_1/wait?state=started&timeout=10 -> 200
POST   /graphql -> 200 query app{id image} vars={"appName": "app01"}
DELETE /v1/apps/app01/machines/MACHINE_1?kill=true [nonce NONCE_2] -> dropped
POST   /graphql -> 200 mutation setSecrets{app} vars="\u2026"
`
	if got := string(sequence); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	need(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		need(t, err)
		if regexp.MustCompile(`topsecret|` + m.ID).Match(text) {
			t.Errorf("%s holds a secret or an id", e.Name())
		}
	}
	if want := []string{"01-ip.json", "02-create.app.json", "03-update.app.MACHINE_1.json", "04-destroy.MACHINE_1.json", "final-state.json", "sequence.txt"}; !slices.Equal(names, want) {
		t.Errorf("got files %v, want %v", names, want)
	}
}

func TestRecordFailureIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	need(t, os.WriteFile(file, nil, 0o600))
	s := flysim.New(flysim.Options{Record: filepath.Join(file, "sub")})
	url, err := s.Listen("127.0.0.1:0")
	need(t, err)
	raw(t, http.MethodGet, url+"/v1/apps?org_slug=personal", "")
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "record") {
		t.Errorf("got %v", err)
	}
}

// TestFlyctlDeploysHere plays what flyctl asks of the other APIs, in the words that were recorded.
func TestFlyctlDeploysHere(t *testing.T) {
	s, url := start(t, flysim.Options{})
	newApp(t, url, "app01")
	for _, tc := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"GET", "/api/v1/organizations/personal", "", `"organization":{"id":"org-personal"`, 200},
		{"POST", "/api/v1/builds", `{"app_name":"app01","builder_type":"depot.dev"}`, `"build_id":`, 200},
		{"POST", "/graphql", `{"query":"query($appName: String!, $imageRef: String!){app(name: $appName){id image(ref: $imageRef){id digest ref}}}","variables":{"appName":"app01","imageRef":"nginx:1.27"}}`, `"ref":"docker-hub-mirror.fly.io/library/nginx:1.27"`, 200},
		{"POST", "/graphql", `{"query":"query($appName: String!){app(name: $appName){egressIpAddresses{nodes{id ip}}}}","variables":{"appName":"app01"}}`, `"egressIpAddresses":{"nodes":[]}`, 200},
		{"POST", "/graphql", `{"query":"query($name: String!){canPerformBluegreenDeployment(name:$name)}","variables":{"name":"app01"}}`, `true`, 200},
		{"POST", "/graphql", `{"query":"query($appName: String!){app(name: $appName){id}}","variables":{"appName":"none"}}`, `NOT_FOUND`, 200},
		{"POST", "/api/v1/builds/finish", `{"build_id":9001,"status":"completed"}`, `completed`, 200},
		{"POST", "/api/v1/releases", `{"app_name":"app01","build_id":9001,"definition":{"app":"app01"},"image":"nginx","strategy":"ROLLING"}`, `"version":1`, 201},
		{"POST", "/api/v1/releases", `{"app_name":"none"}`, `app not found`, 404},
		{"PATCH", "/api/v1/releases/none", `{}`, `release not found`, 404},
	} {
		if status, text := raw(t, tc.method, url+tc.path, tc.body); status != tc.status || !strings.Contains(text, tc.want) {
			t.Errorf("%s %s: got %d %s, want %d with %s", tc.method, tc.path, status, text, tc.status, tc.want)
		}
	}
	id := decode[[]struct{ ID string }](t, s.State().Apps[0].Releases)[0].ID
	if status, text := raw(t, http.MethodPatch, url+"/api/v1/releases/"+id, `{"status":"complete","metadata":null}`); status != 200 || !strings.Contains(text, `"stable":true`) {
		t.Errorf("complete: %d %s", status, text)
	}
}
