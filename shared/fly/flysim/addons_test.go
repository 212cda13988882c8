package flysim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

func TestAddOnIsMadeOnceAndTellsItsSecretsOnce(t *testing.T) {
	s, url := start(t, flysim.Options{Boot: time.Second})
	s.Freeze()
	newApp(t, url, "shop")
	create := `mutation($input: CreateAddOnInput!) { createAddOn(input: $input) { addOn { id name publicUrl environment primaryRegion status } } }`
	get := `query($name: String, $provider: String) { addOn(name: $name, provider: $provider) { name status environment publicUrl password addOnPlan { id displayName } addOnProvider { name } app { name } organization { slug } metadata } }`
	redis := map[string]any{"input": map[string]any{"type": "upstash_redis", "name": "cache", "organizationId": "org-personal", "primaryRegion": "fra", "planId": "ekQ85Yjkw155ohQ5ALYq0M"}}
	bucket := map[string]any{"input": map[string]any{"type": "tigris", "name": "pictures", "appId": "shop", "organizationId": "org-personal"}}
	made, errs := ask(t, url, create, redis)
	if errs != nil || !strings.Contains(made, `"publicUrl":"redis://default:`) || !strings.Contains(made, `"status":"provisioning"`) || !strings.Contains(made, `"primaryRegion":"fra"`) {
		t.Errorf("redis %s %q", made, errs)
	}
	made, errs = ask(t, url, create, bucket)
	if errs != nil || !strings.Contains(made, `"BUCKET_NAME":"pictures"`) || !strings.Contains(made, `"AWS_SECRET_ACCESS_KEY":"tsec_`) {
		t.Errorf("bucket %s %q", made, errs)
	}
	for _, twice := range []map[string]any{redis, bucket} {
		if _, errs := ask(t, url, create, twice); len(errs) != 1 || !strings.Contains(errs[0], "taken") && !strings.Contains(errs[0], "unavailable") {
			t.Errorf("made twice: %q", errs)
		}
	}
	s.Advance(time.Second)
	seen, errs := ask(t, url, get, map[string]any{"name": "pictures", "provider": "tigris"})
	if errs != nil || !strings.Contains(seen, `"environment":null`) || !strings.Contains(seen, `"status":"ready"`) || !strings.Contains(seen, `"app":{"name":"shop"}`) {
		t.Errorf("seen %s %q", seen, errs)
	}
	if _, errs = ask(t, url, get, map[string]any{"name": "pictures", "provider": "redis"}); len(errs) != 1 || errs[0] != "Could not find AddOn" {
		t.Errorf("a bucket is no Redis: %q", errs)
	}
	list, errs := ask(t, url, `query($t: AddOnType) { addOns(type: $t) { nodes { name } } organization(slug: "personal") { addOns(type: tigris) { nodes { name } } } app(name: "shop") { addOns(type: tigris) { nodes { name } } } }`, map[string]any{"t": "upstash_redis"})
	if want := `{"addOns":{"nodes":[{"name":"cache"}]},"app":{"addOns":{"nodes":[{"name":"pictures"}]}},"organization":{"addOns":{"nodes":[{"name":"pictures"}]}}}`; errs != nil || list != want {
		t.Errorf("lists %s %q", list, errs)
	}
	if got := s.State().Addons; len(got) != 2 || got[0].Status != "ready" || strings.Contains(string(raw2(t, got)), "tsec_") {
		t.Errorf("state %+v", got)
	}
	gone, errs := ask(t, url, `mutation($n: String, $p: String) { deleteAddOn(input: {name: $n, provider: $p}) { deletedAddOnName } }`, map[string]any{"n": "cache", "p": "upstash_redis"})
	if errs != nil || gone != `{"deleteAddOn":{"deletedAddOnName":"cache"}}` || len(s.State().Addons) != 1 {
		t.Errorf("gone %s %q", gone, errs)
	}
}

func raw2(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	need(t, err)
	return text
}

func TestTokenOfOneAppSeesNoOther(t *testing.T) {
	s, url := start(t, flysim.Options{})
	newApp(t, url, "mine")
	newApp(t, url, "yours")
	made, errs := ask(t, url, `mutation { createLimitedAccessToken(input: {name: "x", profile: "deploy", profileParams: {app_id: "mine"}, expiry: "1h"}) { limitedAccessToken { tokenHeader } } }`, nil)
	token := decode[struct {
		CreateLimitedAccessToken struct {
			LimitedAccessToken struct{ TokenHeader string }
		}
	}](t, []byte(made)).CreateLimitedAccessToken.LimitedAccessToken.TokenHeader
	if errs != nil || !strings.HasPrefix(token, "FlyV1 fm2_") {
		t.Fatalf("%s %q", made, errs)
	}
	_, err := s.Mint("personal") // from now on, everybody needs a token
	need(t, err)
	query := `{"query":"mutation($a: ID!) { unsetSecrets(input: {appId: $a, keys: [\"K\"]}) { app { name } } }","variables":{"a":"`
	for app, want := range map[string]string{"mine": `"name":"mine"`, "yours": "not authorized"} {
		status, text := raw(t, http.MethodPost, url+"/graphql", query+app+`"}}`, "Authorization", token)
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", app, status, text, want)
		}
	}
	if status, _ := raw(t, http.MethodPost, url+"/graphql", query+`mine"}}`); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
}

func TestRedisAddOnsHaveARealRedisBehindThem(t *testing.T) {
	behind := queuetest.Redis(t)
	_, url := start(t, flysim.Options{Redis: behind})
	make := func(name string) string {
		made, errs := ask(t, url, `mutation($n: String!) { createAddOn(input: {type: upstash_redis, name: $n, organizationId: "org-personal"}) { addOn { publicUrl } } }`, map[string]any{"n": name})
		if errs != nil {
			t.Fatal(errs)
		}
		return decode[struct {
			CreateAddOn struct{ AddOn struct{ PublicURL string } }
		}](t, []byte(made)).CreateAddOn.AddOn.PublicURL
	}
	remove := func(name string) {
		if _, errs := ask(t, url, `mutation($n: String!) { deleteAddOn(input: {name: $n, provider: "upstash_redis"}) { deletedAddOnName } }`, map[string]any{"n": name}); errs != nil {
			t.Fatal(errs)
		}
	}
	keys := func(at string) int64 {
		opts, err := redis.ParseURL(at)
		need(t, err)
		c := redis.NewClient(opts)
		defer func() { _ = c.Close() }()
		need(t, c.Incr(t.Context(), "key-of-"+at).Err())
		n, err := c.DBSize(t.Context()).Result()
		need(t, err)
		return n
	}
	first, second := make("first"), make("second")
	if first != behind || first == second {
		t.Fatalf("first %s, second %s, behind %s", first, second, behind)
	}
	if one, two := keys(first), keys(second); one != 1 || two != 1 {
		t.Errorf("they see %d and %d keys, want their own", one, two)
	}
	remove("first")
	if again := make("again"); again != first || keys(again) != 1 {
		t.Errorf("the data of a deleted one is there again at %s", again)
	}
	if n := keys(second); n != 1 {
		t.Errorf("another one has lost its data: %d keys", n)
	}
}
