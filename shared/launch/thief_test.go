package launch_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

// household is an organisation with FlyCD in it, and what a thief might want.
type household struct {
	t        *testing.T
	sim      *flysim.Server
	url      string
	launcher *launch.Launcher
	// machines by app.
	machines map[string]string
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{t: t, sim: flysim.New(flysim.Options{Tokens: []string{"boss"}}), machines: map[string]string{}}
	server := httptest.NewServer(h.sim)
	t.Cleanup(func() {
		server.Close()
		need(t, h.sim.Close())
	})
	h.url = server.URL
	for app, org := range map[string]string{"runners": "acme", "dispatcher": "acme", "web": "acme", "other": "acme", "images": "acme", "far": "elsewhere"} {
		h.must("POST", "/v1/apps", `{"app_name":"`+app+`","name":"`+app+`","org_slug":"`+org+`"}`)
		var m struct{ ID string }
		need(t, json.Unmarshal([]byte(h.must("POST", "/v1/apps/"+app+"/machines", `{"name":"m1","config":{"image":"x:1"}}`)), &m))
		h.machines[app] = m.ID
		h.must("POST", "/v1/apps/"+app+"/secrets/KEY", `{"value":"v"}`)
	}
	h.graph("boss", `mutation { createAddOn(input: {organizationId: "org-acme", name: "queue", type: upstash_redis, primaryRegion: "ams"}) { addOn { id } } }`)
	mint, err := h.sim.Mint("acme")
	need(t, err)
	h.launcher = &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: h.url, Token: "boss", Mint: mint, Own: []string{"dispatcher"}, HTTP: launch.NewHTTP()}
	return h
}

func (h *household) ask(token, method, path, body string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	need(h.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	need(h.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	need(h.t, err)
	return resp.StatusCode, string(text)
}

func (h *household) must(method, path, body string) string {
	h.t.Helper()
	status, text := h.ask("boss", method, path, body)
	if status > 299 {
		h.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// graph asks GraphQL, and gives 200 where there are no errors, else 403.
func (h *household) graph(token, query string) int {
	h.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	need(h.t, err)
	status, text := h.ask(token, "POST", "/graphql", string(body))
	if status == http.StatusOK && strings.Contains(text, `"errors"`) {
		return http.StatusForbidden
	}
	return status
}

func (h *household) grant(j job.Job, e *catalog.Entry) string {
	h.t.Helper()
	token, err := h.launcher.GrantFor(within(h.t, 10*time.Second), j, e, time.Now().Add(time.Hour))
	need(h.t, err)
	return token
}

func (h *household) client(token string) *flaps.Client {
	h.t.Helper()
	h.t.Setenv("FLY_FLAPS_BASE_URL", h.url)
	c, err := flaps.NewWithOptions(h.t.Context(), flaps.NewClientOpts{UserAgent: "test", Tokens: tokens.Parse(token)})
	need(h.t, err)
	return c
}

func deployOf(app string) (job.Job, *catalog.Entry) {
	return job.Job{ID: theID, Kind: job.Deploy, App: app}, &catalog.Entry{App: app, Org: "acme"}
}

// TestStolenTokenReachesItsAppAndNothingElse tries with the token of every kind of job what a thief would try.
func TestStolenTokenReachesItsAppAndNothingElse(t *testing.T) {
	h := newHousehold(t)
	deploy, entry := deployOf("web")
	withAddons, withShare := *entry, *entry
	withAddons.Looks.Addons = true
	withShare.Shares = []string{"images", "far2", "missing"}
	plan := job.Job{ID: theID, Kind: job.Plan, App: "web"}
	pull := job.Job{ID: theID, Kind: job.Plan, Config: job.Config{Repo: "https://example.com/c"}, Pull: 1}
	fork := pull
	fork.Untrusted = true
	columns := []struct{ name, token string }{
		{"deploy", h.grant(deploy, entry)},
		{"deploy with add-ons", h.grant(deploy, &withAddons)},
		{"deploy that shares", h.grant(deploy, &withShare)},
		{"destroy", h.grant(job.Job{ID: theID, Kind: job.Destroy, App: "web"}, nil)},
		{"plan", h.grant(plan, entry)},
		{"pull", h.grant(pull, nil)},
		{"fork", h.grant(fork, nil)},
	}
	const yes, no = 200, 403
	rest := func(method, path, body string) func(string) int {
		return func(token string) int {
			status, _ := h.ask(token, method, path, body)
			if status < 300 || status == http.StatusConflict { // who is told that somebody else has the lease may ask
				return yes
			}
			return status
		}
	}
	graph := func(query string) func(string) int { return func(token string) int { return h.graph(token, query) } }
	lease := func(app string) func(string) int {
		return rest("POST", "/v1/apps/"+app+"/machines/"+h.machines[app]+"/lease", `{"ttl":1}`)
	}
	launched := `{"config":{"image":"evil:1"}}`
	for _, c := range []struct {
		what string
		do   func(token string) int
		want [7]int // as columns
	}{
		{"look at its app", rest("GET", "/v1/apps/web", ""), [7]int{yes, yes, yes, yes, yes, yes, yes}},
		{"look at another app", rest("GET", "/v1/apps/other", ""), [7]int{no, no, no, no, no, yes, yes}},
		{"look at another organisation's", rest("GET", "/v1/apps/far", ""), [7]int{no, no, no, no, no, no, no}},
		{"list another app's machines", rest("GET", "/v1/apps/other/machines", ""), [7]int{no, no, no, no, no, yes, yes}},
		{"make a machine in its app", rest("POST", "/v1/apps/web/machines", launched), [7]int{yes, yes, yes, yes, no, no, no}},
		{"make a machine in another app", rest("POST", "/v1/apps/other/machines", launched), [7]int{no, no, no, no, no, no, no}},
		{"make a runner", rest("POST", "/v1/apps/runners/machines", launched), [7]int{no, no, no, no, no, no, no}},
		{"change the dispatcher", rest("POST", "/v1/apps/dispatcher/machines/"+h.machines["dispatcher"], launched), [7]int{no, no, no, no, no, no, no}},
		{"run a command in the dispatcher", rest("POST", "/v1/apps/dispatcher/machines/"+h.machines["dispatcher"]+"/exec", `{"cmd":"echo"}`), [7]int{no, no, no, no, no, no, no}},
		{"read the runner app's machines", rest("GET", "/v1/apps/runners/machines", ""), [7]int{no, no, no, no, no, yes, yes}},
		{"list the runner app's secrets", rest("GET", "/v1/apps/runners/secrets?show_secrets=true", ""), [7]int{no, no, no, no, no, yes, yes}},
		{"set another app's secret", rest("POST", "/v1/apps/other/secrets/KEY", `{"value":"w"}`), [7]int{no, no, no, no, no, no, no}},
		{"set its app's secret", rest("POST", "/v1/apps/web/secrets/KEY", `{"value":"w"}`), [7]int{yes, yes, yes, yes, no, no, no}},
		{"lease another app's machine", lease("other"), [7]int{no, no, no, no, no, no, no}},
		{"lease its app's machine", lease("web"), [7]int{yes, yes, yes, yes, no, no, no}},
		{"push into the app that it shares", rest("POST", "/v1/apps/images/secrets/KEY", `{"value":"w"}`), [7]int{no, no, yes, no, no, no, no}},
		{"destroy the app that it shares", rest("DELETE", "/v1/apps/images/machines/"+h.machines["images"]+"?force=true", ""), [7]int{no, no, no, no, no, no, no}},
		{"make an app", rest("POST", "/v1/apps", `{"name":"evil","org_slug":"acme"}`), [7]int{no, no, no, no, no, no, no}},
		{"make an app by GraphQL", graph(`mutation { createApp(input: {organizationId: "org-acme", name: "evil2"}) { app { name } } }`), [7]int{no, no, no, no, no, no, no}},
		{"read the queue's password", graph(`{ addOn(name: "queue", provider: "upstash_redis") { publicUrl } }`), [7]int{no, yes, no, no, no, yes, no}},
		{"make an add-on", graph(`mutation { createAddOn(input: {organizationId: "org-acme", type: upstash_redis, primaryRegion: "ams"}) { addOn { id } } }`), [7]int{no, yes, no, no, no, no, no}},
		{"make a token that lasts", graph(`mutation { createLimitedAccessToken(input: {name: "evil", organizationId: "org-acme", profile: "deploy", profileParams: {app_id: "web"}, expiry: "9999h"}) { limitedAccessToken { tokenHeader } } }`), [7]int{no, no, no, no, no, no, no}},
		{"make the organisation's token", graph(`mutation { createLimitedAccessToken(input: {name: "evil", organizationId: "org-acme", profile: "deploy_organization", expiry: "9999h"}) { limitedAccessToken { tokenHeader } } }`), [7]int{no, no, no, no, no, no, no}},
	} {
		for i, col := range columns {
			if got := c.do(col.token); got != c.want[i] {
				t.Errorf("%s with the token of a %s: %d, want %d", c.what, col.name, got, c.want[i])
			}
		}
	}
}

// TestStolenTokenEndsWithItsJob uses a token before and after its end, with Fly's own client.
func TestStolenTokenEndsWithItsJob(t *testing.T) {
	h := newHousehold(t)
	thief := h.client(h.grant(deployOf("web")))
	if _, err := thief.GetApp(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	made, err := thief.Launch(t.Context(), "web", flygo.LaunchMachineInput{Config: &flygo.MachineConfig{Image: "x:1"}})
	need(t, err)
	var refused *flaps.FlapsError
	if _, err := thief.Launch(t.Context(), "runners", flygo.LaunchMachineInput{Config: &flygo.MachineConfig{Image: "x:1"}}); !errors.As(err, &refused) || refused.ResponseStatusCode != http.StatusForbidden {
		t.Errorf("a runner: %v, want a refusal", err)
	}
	if _, err := thief.ListAppSecrets(t.Context(), "runners", nil, true); !errors.As(err, &refused) || refused.ResponseStatusCode != http.StatusForbidden {
		t.Errorf("the runners' secrets: %v, want a refusal", err)
	}
	h.sim.Advance(time.Hour + time.Minute)
	if _, err := thief.GetApp(t.Context(), "web"); !errors.As(err, &refused) || refused.ResponseStatusCode != http.StatusUnauthorized {
		t.Errorf("after its time: %v, want a refusal", err)
	}
	if err := thief.Destroy(t.Context(), "web", flygo.RemoveMachineInput{ID: made.ID, Kill: true}, ""); !errors.As(err, &refused) || refused.ResponseStatusCode != http.StatusUnauthorized {
		t.Errorf("after its time: %v, want a refusal", err)
	}
}

// TestNarrowedTokenIsNotWidened adds a wider scope to a narrowed token.
func TestNarrowedTokenIsNotWidened(t *testing.T) {
	h := newHousehold(t)
	stolen := h.grant(deployOf("web"))
	wide, err := launch.Narrow(stolen, launch.Scope{
		Apps: map[uint64]launch.Access{0: launch.All}, Features: map[string]launch.Access{launch.FeatureAddons: launch.All}, AnyMutation: true, Until: time.Now().Add(9999 * time.Hour),
	})
	need(t, err)
	if status, _ := h.ask(wide, "GET", "/v1/apps/other", ""); status != http.StatusForbidden {
		t.Errorf("another app: %d", status)
	}
	h.sim.Advance(2 * time.Hour)
	if status, _ := h.ask(wide, "GET", "/v1/apps/web", ""); status != http.StatusUnauthorized {
		t.Errorf("after the first end: %d", status)
	}
}

// TestGrantsOfBuildsByFlyReachItsBuilders: they are let through only where the setting says so, and the app is built.
func TestGrantsOfBuildsByFlyReachItsBuilders(t *testing.T) {
	h := newHousehold(t)
	h.launcher.RemoteBuilds = true
	j, e := deployOf("web")
	if got := h.graph(h.grant(j, e), `mutation { setSecrets(input: {appId: "web", secrets: []}) { app { name } } }`); got != http.StatusOK {
		t.Errorf("a mutation for the app: %d", got)
	}
	e.Image = "nginx:1"
	if got := h.graph(h.grant(j, e), `mutation { setSecrets(input: {appId: "web", secrets: []}) { app { name } } }`); got != http.StatusForbidden {
		t.Errorf("without a build: %d", got)
	}
}
