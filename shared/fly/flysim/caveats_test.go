package flysim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// TestEverySortOfCaveatIsObeyed: of features, machines, volumes, commands, metadata and mutations.
func TestEverySortOfCaveatIsObeyed(t *testing.T) {
	s, url := start(t, flysim.Options{Tokens: []string{"boss"}})
	boss := func(method, path, body string) string {
		status, text := raw(t, method, url+path, body, "Authorization", "Bearer boss")
		if status > 299 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return text
	}
	boss("POST", "/v1/apps", `{"name":"one","app_name":"one","org_slug":"personal"}`)
	var ids [2]string
	for i := range ids {
		ids[i] = decode[struct{ ID string }](t, []byte(boss("POST", "/v1/apps/one/machines", oneMachine))).ID
		boss("GET", "/v1/apps/one/machines/"+ids[i]+"/wait?state=started", "")
	}
	volume := decode[struct{ ID string }](t, []byte(boss("POST", "/v1/apps/one/volumes", `{"name":"data","region":"ams","size_gb":1}`))).ID
	root, err := s.Mint("personal")
	need(t, err)
	set := func(ids ...string) resset.ResourceSet[string, resset.Action] {
		return resset.New(resset.ActionAll, ids...)
	}
	graph := func(query string) string {
		body, err := json.Marshal(map[string]string{"query": query})
		need(t, err)
		return string(body)
	}
	asks := []struct{ name, method, path, body string }{
		{"machine 0", "GET", "/v1/apps/one/machines/" + ids[0], ""},
		{"machine 1", "GET", "/v1/apps/one/machines/" + ids[1], ""},
		{"volume", "GET", "/v1/apps/one/volumes/" + volume, ""},
		{"echo", "POST", "/v1/apps/one/machines/" + ids[0] + "/exec", `{"cmd":"echo hi"}`},
		{"false", "POST", "/v1/apps/one/machines/" + ids[0] + "/exec", `{"cmd":"false"}`},
		{"metadata", "GET", "/v1/apps/one/machines/" + ids[0] + "/metadata", ""},
		{"app", "GET", "/v1/apps/one", ""},
		{"organisation", "GET", "/v1/apps?org_slug=personal", ""},
		{"add-on", "POST", "/graphql", graph(`mutation { createAddOn(input: {organizationId: "org-personal", type: upstash_redis, primaryRegion: "ams"}) { addOn { id } } }`)},
		{"secrets", "POST", "/graphql", graph(`mutation { setSecrets(input: {appId: "one", secrets: []}) { app { name } } }`)},
		{"clusters", "GET", "/api/v1/organizations/personal/postgres", ""},
	}
	for name, tc := range map[string]struct {
		caveat  macaroon.Caveat
		allowed string
	}{
		"machines":         {&flyio.Machines{Machines: set(ids[0])}, "machine 0,echo,false,metadata"},
		"volumes":          {&flyio.Volumes{Volumes: set(volume)}, "volume"},
		"commands":         {&flyio.Commands{{Args: []string{"echo"}}}, "echo"},
		"machine features": {&flyio.MachineFeatureSet{Features: set("metadata")}, "metadata"},
		"features":         {&flyio.FeatureSet{Features: set("addon")}, ""}, // whoever asks for add-ons reads the organisation too
		"other features":   {&flyio.FeatureSet{Features: set("wg")}, ""},
		"mutations":        {&flyio.Mutations{Mutations: []string{"createAddOn"}}, "add-on"},
		"source":           {&flyio.FromMachine{ID: ids[0]}, ""},
		"read": {
			&resset.IfPresent{Ifs: macaroon.NewCaveatSet(&flyio.FeatureSet{Features: set("addon")}), Else: resset.ActionRead},
			"machine 0,machine 1,volume,metadata,app,organisation,add-on,clusters",
		},
	} {
		tokens, err := flyio.ParseBundle(root)
		need(t, err)
		need(t, tokens.Attenuate(tc.caveat))
		var got []string
		for _, a := range asks {
			status, text := raw(t, a.method, url+a.path, a.body, "Authorization", tokens.Header())
			if status < 300 && !strings.Contains(text, `"errors"`) {
				got = append(got, a.name)
			}
		}
		if strings.Join(got, ",") != tc.allowed {
			t.Errorf("%s: allowed %v, want %s", name, got, tc.allowed)
		}
	}
}

func TestOnlyMachinesThatAreThereGetTokens(t *testing.T) {
	s, url := start(t, flysim.Options{})
	newApp(t, url, "one")
	_, text := raw(t, http.MethodPost, url+"/v1/apps/one/machines", oneMachine)
	id := decode[struct{ ID string }](t, []byte(text)).ID
	if token, err := s.MachineToken("one", id, ""); err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("%q, %v", token, err)
	}
	if _, err := s.MachineToken("two", id, ""); err == nil {
		t.Error("under another app's name it gets one")
	}
	if status, text := raw(t, http.MethodDelete, url+"/v1/apps/one/machines/"+id+"?force=true", ""); status != http.StatusOK {
		t.Fatal(text)
	}
	s.Advance(1 << 40)
	if _, err := s.MachineToken("one", id, ""); err == nil {
		t.Error("it gets one after its end")
	}
}
