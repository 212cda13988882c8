package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestPostgresClusterIsReadyAfterAWhile(t *testing.T) {
	s, url := start(t, flysim.Options{Boot: time.Minute, Orgs: []string{"personal"}})
	s.Freeze()
	newApp(t, url, "shop")
	status, text := raw(t, http.MethodPost, url+"/api/v1/organizations/personal/postgresv2", `{"name":"db","region":"ams","org_slug":"personal","plan":"basic","pg_major_version":"17","storage_in_gb":20}`)
	made := decode[struct {
		OK   bool
		Data struct{ ID, Status string }
	}](t, []byte(text))
	if status != http.StatusCreated || !made.OK || made.Data.Status != "initializing" {
		t.Fatalf("%d %s", status, text)
	}
	at := url + "/api/v1/postgresv2/" + made.Data.ID
	s.Advance(time.Minute)
	_, text = raw(t, http.MethodGet, at, "")
	seen := decode[struct {
		Data        struct{ Name, Status, Plan string }
		Credentials struct {
			Status, User, Password string
			URI                    string `json:"pgbouncer_uri"`
		}
	}](t, []byte(text))
	if seen.Data.Status != "ready" || seen.Data.Name != "db" || !strings.Contains(seen.Credentials.URI, "postgresql://fly-user:"+seen.Credentials.Password+"@") {
		t.Errorf("seen %s", text)
	}
	for _, tc := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"POST", at + "/attachments", `{"app_name":"shop"}`, "attached_at", 201},
		{"POST", at + "/attachments", `{"app_name":"none"}`, "app not found", 404},
		{"POST", at + "/users", `{"username":"bob","role":"reader"}`, `"name":"bob"`, 201},
		{"POST", at + "/users", `{"username":"bob"}`, "exists", 422},
		{"POST", at + "/users", `{"username":"eve","role":"god"}`, "must be", 422},
		{"GET", at + "/users", "", `"role":"reader"`, 200},
		{"GET", at + "/users/bob/credentials", "", `"username":"bob"`, 200},
		{"GET", at + "/users/none/credentials", "", "not found", 404},
		{"DELETE", at + "/users/bob", "", "", 204},
		{"DELETE", at + "/users/fly-user", "", "stays", 422},
		{"POST", at + "/databases", `{"name":"other"}`, `"name":"other"`, 201},
		{"GET", at + "/databases", "", `"name":"fly-db"`, 200},
		{"GET", url + "/v1/postgres/" + made.Data.ID, "", `"pooler":{"host":"pgbouncer.`, 200},
		{"GET", url + "/api/v1/organizations/personal/postgres", "", `"attached_apps":[{"name":"shop"`, 200},
		{"GET", url + "/api/v1/organizations/personal/postgresv2/regions", "", `"code":"ams"`, 200},
		{"GET", at + "/backups", "", "flysim does not simulate GET /api/v1/postgresv2/", 501},
		{"DELETE", at + "/attachments/shop", "", "detached", 200},
		{"DELETE", at + "/attachments/shop", "", "not found", 404},
		{"DELETE", url + "/api/v1/organizations/other/postgresv2/" + made.Data.ID, "", "not found", 404},
		{"DELETE", url + "/api/v1/organizations/personal/postgresv2/" + made.Data.ID, "", "", 204},
		{"GET", at, "", "cluster not found", 404},
		{"GET", url + "/api/v1/organizations/personal/postgres", "", `"data":[]`, 200},
		{"GET", url + "/api/v1/organizations/personal/postgres/deleted", "", `"status":"deleted"`, 200},
	} {
		if status, text := raw(t, tc.method, tc.path, tc.body); status != tc.status || !strings.Contains(text, tc.want) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", tc.method, tc.path, tc.body, status, text, tc.status, tc.want)
		}
	}
	if got := s.State().Postgres; len(got) != 1 || got[0].DiskGB != 20 || strings.Contains(string(raw2(t, got)), seen.Credentials.Password) {
		t.Errorf("state %+v", got)
	}
}

func TestImpossiblePostgresIsRefused(t *testing.T) {
	_, url := start(t, flysim.Options{Orgs: []string{"personal"}})
	for body, want := range map[string]int{
		`{"org_slug":"personal","region":"ams","plan":"huge"}`:                          422,
		`{"org_slug":"personal","region":"moon","plan":"basic"}`:                        422,
		`{"org_slug":"personal","region":"ams","plan":"basic","pg_major_version":"9"}`:  422,
		`{"org_slug":"personal","region":"ams","plan":"basic","disk_size_gb":9999}`:     422,
		`{"org_slug":"none","region":"ams","plan":"basic"}`:                             404,
		`{"org_slug":"personal","region":"ams","plan":"Basic","pg_major_version":"16"}`: 201,
	} {
		if got, text := raw(t, http.MethodPost, url+"/v1/postgres", body); got != want {
			t.Errorf("%s: %d %s, want %d", body, got, text, want)
		}
	}
}
