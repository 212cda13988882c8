package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestTokensAreAskedFor(t *testing.T) {
	_, url := start(t, flysim.Options{Tokens: []string{"secret", "FlyV1 other"}, Foreign: []string{"theirs"}})
	newApp(t, url, "mine")
	for header, want := range map[string]int{
		"": 401, "Bearer wrong": 401, "Bearer secre": 401, "Basic secret": 401, "Bearer": 401, "Bearer fm2_AAAA": 401,
		"Bearer secret": 200, "bearer secret": 200, "FlyV1 secret": 200, "FlyV1 other": 200, "Bearer other": 200,
	} {
		if got, body := raw(t, http.MethodGet, url+"/v1/apps/mine", "", "Authorization", header); got != want {
			t.Errorf("%q: got %d %s, want %d", header, got, body, want)
		}
	}
	if got, body := raw(t, http.MethodGet, url+"/v1/apps/theirs", "", "Authorization", "Bearer secret"); got != 403 || !strings.Contains(body, "unauthorized") {
		t.Errorf("somebody else's app: %d %s", got, body)
	}
	c := client(t, url, "secret")
	_, err := c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "theirs", Org: "personal"})
	wantStatus(t, err, 422, "Name has already been taken")
	_, err = c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "mine", Org: "personal"})
	wantStatus(t, err, 422, "Name has already been taken")
}

// TestCaveatsAreObeyed attenuates with Fly's own library and asks with Fly's own client.
func TestCaveatsAreObeyed(t *testing.T) {
	s, url := start(t, flysim.Options{})
	apps := map[string]uint64{}
	setup := newApp(t, url, "one")
	_, err := setup.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "two", Org: "personal"})
	need(t, err)
	_, err = setup.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "far", Org: "elsewhere"})
	need(t, err)
	for _, a := range s.State().Apps {
		apps[a.Name] = a.NumericID
	}
	root, err := s.Mint("personal")
	need(t, err)
	only := func(action resset.Action, name string) macaroon.Caveat {
		return &flyio.Apps{Apps: resset.New(action, apps[name])}
	}
	hour := func(from, to time.Duration) macaroon.Caveat {
		return &macaroon.ValidityWindow{NotBefore: time.Now().Add(from).Unix(), NotAfter: time.Now().Add(to).Unix()}
	}
	present := &resset.IfPresent{Ifs: macaroon.NewCaveatSet(only(resset.ActionAll, "one")), Else: resset.ActionRead}
	for name, tc := range map[string]struct {
		caveats                              []macaroon.Caveat
		one, two, far, list, make_, writeOne int
	}{
		"root":         {nil, 200, 200, 403, 200, 201, 200},
		"one app":      {[]macaroon.Caveat{only(resset.ActionAll, "one")}, 200, 403, 403, 403, 403, 200},
		"reads of one": {[]macaroon.Caveat{only(resset.ActionRead, "one")}, 200, 403, 403, 403, 403, 403},
		"narrowed":     {[]macaroon.Caveat{only(resset.ActionAll, "one"), only(resset.ActionAll, "two")}, 403, 403, 403, 403, 403, 403},
		"valid":        {[]macaroon.Caveat{hour(-time.Hour, time.Hour)}, 200, 200, 403, 200, 201, 200},
		"expired":      {[]macaroon.Caveat{hour(-2*time.Hour, -time.Hour)}, 401, 401, 401, 401, 401, 401},
		"too early":    {[]macaroon.Caveat{hour(time.Hour, 2*time.Hour)}, 401, 401, 401, 401, 401, 401},
		"if present":   {[]macaroon.Caveat{present}, 200, 403, 403, 200, 403, 200},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := flyio.ParseBundle(root)
			need(t, err)
			need(t, tokens.Attenuate(tc.caveats...))
			ask := func(method, path, body string) int {
				status, _ := raw(t, method, url+path, body, "Authorization", tokens.Header())
				return status
			}
			for what, got := range map[string][2]int{
				"read one":  {ask("GET", "/v1/apps/one", ""), tc.one},
				"read two":  {ask("GET", "/v1/apps/two", ""), tc.two},
				"read far":  {ask("GET", "/v1/apps/far", ""), tc.far},
				"list":      {ask("GET", "/v1/apps?org_slug=personal", ""), tc.list},
				"create":    {ask("POST", "/v1/apps", `{"org_slug":"personal","name":"new-`+strings.ReplaceAll(name, " ", "-")+`"}`), tc.make_},
				"write one": {ask("POST", "/v1/apps/one/machines", oneMachine), tc.writeOne},
			} {
				if got[0] != got[1] {
					t.Errorf("%s: got %d, want %d", what, got[0], got[1])
				}
			}
		})
	}
}

func TestForgedMacaroonIsRefused(t *testing.T) {
	s, url := start(t, flysim.Options{Auth: true})
	other := flysim.New(flysim.Options{})
	t.Cleanup(func() { need(t, other.Close()) })
	forged, err := other.Mint("personal")
	need(t, err)
	if got, _ := raw(t, http.MethodGet, url+"/v1/apps?org_slug=personal", "", "Authorization", "FlyV1 "+forged); got != 401 {
		t.Errorf("a macaroon under another key: %d", got)
	}
	good, err := s.Mint("personal")
	need(t, err)
	if got, _ := raw(t, http.MethodGet, url+"/v1/apps?org_slug=personal", "", "Authorization", "FlyV1 "+good); got != 200 {
		t.Errorf("its own: %d", got)
	}
}

func TestDeployTokenIsForOneAppAndExpires(t *testing.T) {
	s, url := start(t, flysim.Options{Tokens: []string{"secret"}})
	newApp(t, url, "one")
	c := client(t, url, "secret")
	_, err := c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: "two", Org: "personal"})
	need(t, err)
	status, body := raw(t, http.MethodPost, url+"/v1/apps/one/deploy_token", `{"expiry":"1h"}`, "Authorization", "Bearer secret")
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	token := decode[struct{ Token string }](t, []byte(body)).Token
	narrow := client(t, url, token) // fly-go parses it
	_, err = narrow.GetApp(t.Context(), "one")
	need(t, err)
	_, err = narrow.GetApp(t.Context(), "two")
	wantStatus(t, err, 403, "unauthorized")
	s.Advance(2 * time.Hour)
	_, err = narrow.GetApp(t.Context(), "one")
	wantStatus(t, err, 401, "unauthorized")
}
