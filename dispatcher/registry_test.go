package dispatcher_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// naming is an app that names an image.
func naming(app, image string, policy catalog.ImagePolicy) catalog.Entry {
	return catalog.Entry{App: app, Dir: app, Auto: true, Image: image, Policy: policy}
}

// told is a delivery of a registry that signs nothing.
func (h *house) told(token string, body []byte) *http.Request {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.door.URL+"/webhook/registry/"+token, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (h *house) tell(body string) reply {
	h.t.Helper()
	return h.send(h.told(regToken, []byte(body)))
}

// published is GitHub's event of a tag of ghcr.io/acme/web at a digest.
func published(tb testing.TB, tag string, n int) []byte {
	tb.Helper()
	body := bytes.ReplaceAll(payload(tb, "package.published.json"), []byte("1.2.3"), []byte(tag))
	return bytes.ReplaceAll(body, []byte("3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498"), fmt.Appendf(nil, "%064x", n))
}

func recorded(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "registry", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (r reply) apps() []string {
	var apps []string
	for _, j := range r.Jobs {
		apps = append(apps, string(j.Kind)+" "+j.App)
	}
	slices.Sort(apps)
	return apps
}

// TestPushToARegistryDeploysWhatFollowsIt is the main way, for every sort of registry.
func TestPushToARegistryDeploysWhatFollowsIt(t *testing.T) {
	for name, c := range map[string]struct {
		image string
		send  func(*house) reply
	}{
		"GitHub, a package": {"ghcr.io/Acme/web", func(h *house) reply { return h.send(h.signed("package", "guid", published(t, "1.2.3", 1))) }},
		"GitHub, the older name": {"ghcr.io/acme/web:1", func(h *house) reply {
			return h.send(h.signed("registry_package", "guid", bytes.Replace(published(t, "1.2.3", 1), []byte(`"package": {`), []byte(`"registry_package": {`), 1)))
		}},
		"GitHub, its own place": {"ghcr.io/acme/web", func(h *house) reply {
			req := h.signed("package", "guid", published(t, "1.2.3", 1))
			req.URL.Path = "/webhook/registry"
			return h.send(req)
		}},
		"GitHub, a form": {"ghcr.io/acme/web", func(h *house) reply {
			req := h.signed("package", "guid", []byte(url.Values{"payload": {string(published(t, "1.2.3", 1))}}.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return h.send(req)
		}},
		"Docker Hub": {"index.docker.io/acme/web", func(h *house) reply { return h.send(h.told(regToken, recorded(t, "dockerhub.json"))) }},
		"a registry": {"registry.example.com:5000/acme/web", func(h *house) reply {
			return h.send(h.told(regToken, recorded(t, "distribution.json")))
		}},
		"the other token": {"nginx", func(h *house) reply {
			return h.send(h.told("another-"+regToken, []byte(`{"image":"nginx","tag":"1.2.3"}`)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.entries(naming("web", c.image, catalog.ImagePolicy{Semver: ">=1.2"}), naming("other", "ghcr.io/acme/other", catalog.ImagePolicy{Digest: true}))
			got := c.send(h)
			if got.status != http.StatusAccepted || len(got.Jobs) != 1 || got.Jobs[0].App != "web" || got.Jobs[0].State != queue.Waiting || got.Ignored != "" {
				t.Fatalf("got %d %s", got.status, got.text)
			}
			r := h.job(got.Jobs[0].ID)
			if r.State != queue.Launching || r.Job.Half != (job.Half{}) || r.Job.Reason != job.ByPush || len(h.machines()) != 1 {
				t.Errorf("job %+v, machines %v", r, h.machines())
			}
			if strings.HasPrefix(name, "GitHub") && (r.Job.Delivery != "guid" || r.Job.Actor != "github-actions[bot]") {
				t.Errorf("of delivery %q by %q", r.Job.Delivery, r.Job.Actor)
			}
		})
	}
}

// TestRegistryAnswersAreSentences holds what a hook is told of each app that it does not deploy.
func TestRegistryAnswersAreSentences(t *testing.T) {
	h := open(t)
	held := naming("held", "ghcr.io/acme/held", catalog.ImagePolicy{Digest: true})
	held.Auto = false
	h.entries(
		naming("web", "ghcr.io/acme/web", catalog.ImagePolicy{Semver: ">=1.2"}), naming("stay", "ghcr.io/acme/stay:1.2", catalog.ImagePolicy{}),
		naming("prod", "ghcr.io/acme/stay:prod", catalog.ImagePolicy{Digest: true}), held, naming("main", "acme/main", catalog.ImagePolicy{Regex: "^main-"}),
	)
	tagless := bytes.ReplaceAll(published(t, "1.2.3", 1), []byte(`"name": "1.2.3"`), []byte(`"name": ""`))
	tagless = bytes.ReplaceAll(tagless, []byte("acme/web:1.2.3"), []byte("acme/web:"))
	for name, c := range map[string]struct {
		req    *http.Request
		status int
		text   string
	}{
		"nobody follows":     {h.told(regToken, []byte(`{"image":"ghcr.io/acme/none:1"}`)), 200, `"no app follows ghcr.io/acme/none"`},
		"no policy":          {h.told(regToken, []byte(`{"image":"ghcr.io/acme/stay:1.2"}`)), 200, "app stay names ghcr.io/acme/stay:1.2 without source.policy; set source.policy.digest to follow it"},
		"another tag":        {h.told(regToken, []byte(`{"image":"ghcr.io/acme/stay:dev"}`)), 200, "tag dev is not prod, which app prod follows"},
		"no such version":    {h.signed("package", "1", published(t, "nightly", 1)), 200, "tag nightly does not match \\u003e=1.2 of app web"},
		"no match":           {h.told(regToken, []byte(`{"image":"acme/main","tag":"dev-1"}`)), 200, "tag dev-1 does not match ^main- of app main"},
		"no auto-sync":       {h.told(regToken, []byte(`{"image":"ghcr.io/acme/held"}`)), 200, "app held has sync.auto: false"},
		"one does, one not":  {h.told(regToken, []byte(`{"image":"ghcr.io/acme/stay:prod"}`)), 202, `"ignored":"app stay names ghcr.io/acme/stay:1.2 without`},
		"no tag":             {h.signed("package", "2", tagless), 200, "ghcr.io/acme/web was pushed without a tag"},
		"deleted":            {h.signed("package", "3", bytes.ReplaceAll(published(t, "1.2.3", 1), []byte(`"published"`), []byte(`"deleted"`))), 200, `nothing is done at the action \"deleted\"`},
		"a ping":             {to(h.signed("ping", "4", payload(t, "ping.payload.json")), "/webhook/registry"), 200, "the webhook is set up"},
		"a push of code":     {to(h.signed("push", "5", payload(t, "push.branch.json")), "/webhook/registry"), 200, "no app and no config tree follows"},
		"a pull":             {h.told(regToken, []byte(`{"events":[]}`)), 200, "no tag was pushed"},
		"no JSON":            {h.told(regToken, []byte(`hello`)), 400, "no JSON object"},
		"another payload":    {h.told(regToken, []byte(`{"name":"x"}`)), 400, "expected {"},
		"too large":          {h.told(regToken, make([]byte, 25<<20+1)), 413, "25 MB"},
		"a form":             {typed(h.told(regToken, []byte(`image=nginx`)), "application/x-www-form-urlencoded"), 415, "application/json"},
		"a GET with a token": {methodOf(h.told(regToken, nil), http.MethodGet), 405, "/webhook/registry/TOKEN takes POST"},
		"a GET":              {methodOf(to(h.told(regToken, nil), "/webhook/registry"), http.MethodGet), 405, "/webhook/registry takes POST"},
		"a longer path":      {h.told(regToken+"/x", []byte(`{"image":"nginx"}`)), 404, "/webhook"},
		"unsigned":           {to(h.told(regToken, published(t, "1.2.3", 1)), "/webhook/registry"), 401, "X-Hub-Signature-256); a registry that signs nothing tells POST /webhook/registry/TOKEN, with a token of FLYCD_REGISTRY_TOKENS"},
	} {
		got := h.send(c.req)
		if got.status != c.status || !strings.Contains(got.text, c.text) {
			t.Errorf("%s: got %d %s, want %d and %s", name, got.status, got.text, c.status, c.text)
		}
		if strings.Contains(got.text, regToken) {
			t.Errorf("%s: the answer tells the token: %s", name, got.text)
		}
	}
}

func to(r *http.Request, path string) *http.Request { r.URL.Path = path; return r }

func methodOf(r *http.Request, method string) *http.Request { r.Method = method; return r }

func typed(r *http.Request, kind string) *http.Request {
	r.Header.Set("Content-Type", kind)
	return r
}

func TestForgedRegistryHookTouchesNothing(t *testing.T) {
	h := open(t)
	h.entries(naming("web", "ghcr.io/acme/web", catalog.ImagePolicy{Semver: ">=1.2"}))
	body := published(t, "1.2.3", 1)
	for name, req := range map[string]*http.Request{
		"unsigned":             to(h.told("", body), "/webhook/registry"),
		"signed by another":    signedAs(h.signed("package", "1", body), signWith("other", body)),
		"signed for another":   signedAs(h.signed("package", "2", body), signWith(secret, []byte("{}"))),
		"signed with nothing":  signedAs(h.signed("package", "3", body), signWith("", body)),
		"signed by a token":    signedAs(h.signed("package", "4", body), signWith(regToken, body)),
		"another token":        h.told(strings.Repeat("x", 32), []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
		"half a token":         h.told(regToken[:20], []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
		"a longer token":       h.told(regToken+"x", []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
		"a webhook secret":     h.told(secret, []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
		"an escaped token":     h.told("%00"+regToken, []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
		"ugly and no token":    typed(h.told(strings.Repeat("x", 32), []byte("\x00")), ";"),
		"signed, wrong token":  to(h.signed("package", "5", body), "/webhook/registry/"+strings.Repeat("x", 32)),
		"large and no token":   h.told(strings.Repeat("x", 32), make([]byte, 1<<20)),
		"two tokens":           h.told(regToken+","+regToken, []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
		"a token in the query": h.told("x?token="+regToken, []byte(`{"image":"ghcr.io/acme/web:1.2.3"}`)),
	} {
		got := h.send(req)
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s", name, got.status, got.text)
		}
	}
	h.nothingHappened()
}

func signedAs(r *http.Request, signature string) *http.Request {
	r.Header.Set("X-Hub-Signature-256", signature)
	return r
}

// TestBodyOfAStrangerIsNotRead holds that who has no token costs nothing but a connection.
func TestBodyOfAStrangerIsNotRead(t *testing.T) {
	h := open(t)
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	req := h.told("stranger", nil)
	req.Body, req.ContentLength = r, -1
	if got := h.send(req); got.status != http.StatusUnauthorized {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

func TestWithoutTokensNoRegistryIsLetIn(t *testing.T) {
	h := open(t, func(h *house) { h.d.RegistryTokens = []string{""} })
	for _, token := range []string{regToken, "%20", strings.Repeat("x", 32)} {
		if got := h.send(h.told(token, []byte(`{"image":"nginx"}`))); got.status != http.StatusUnauthorized {
			t.Errorf("%q: got %d %s", token, got.status, got.text)
		}
	}
}

func TestEachAppOfAnImageIsDeployed(t *testing.T) {
	h := open(t)
	var entries []catalog.Entry
	var want []string
	for i := range 8 {
		app := fmt.Sprint("app-", i)
		entries, want = append(entries, naming(app, "nginx:stable", catalog.ImagePolicy{Digest: true})), append(want, "deploy "+app)
	}
	h.entries(entries...)
	if got := h.tell(`{"image":"docker.io/library/nginx","tag":"stable"}`); !slices.Equal(got.apps(), want) {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

func TestWithoutRedisNoRegistryIsAccepted(t *testing.T) {
	h := open(t, at("redis://127.0.0.1:1"))
	for _, got := range []reply{h.tell(`{"image":"nginx"}`), h.send(h.signed("package", "guid", published(t, "1.2.3", 1)))} {
		if got.status != http.StatusServiceUnavailable || strings.Contains(got.text, "127.0.0.1") {
			t.Errorf("got %d %s", got.status, got.text)
		}
	}
}

// TestPanicTellsNoToken holds the log free of what stands in the path.
func TestPanicTellsNoToken(t *testing.T) {
	h := open(t)
	h.d.Queue = nil
	if got := h.tell(`{"image":"nginx"}`); got.status != http.StatusInternalServerError {
		t.Errorf("got %d %s", got.status, got.text)
	}
	if !strings.Contains(h.logs.String(), "/webhook/registry/TOKEN") {
		t.Errorf("the log says %s", h.logs.String())
	}
}

// TestRegistryCommandsStayWithinTheBudget counts what is sent to Redis for a push to a registry.
func TestRegistryCommandsStayWithinTheBudget(t *testing.T) {
	redis := queuetest.Redis(t)
	count := counting(t, redis)
	h := open(t, at("redis://"+count.addr))
	h.entries(naming("web", "ghcr.io/acme/web:prod", catalog.ImagePolicy{Digest: true}))
	h.send(h.signed("package", "guid-0", published(t, "prod", 1)))
	for _, r := range h.active() {
		h.finish(r)
	}
	before := count.commands.Load()
	if got := h.send(h.signed("package", "guid-1", published(t, "prod", 2))); len(got.Jobs) != 1 {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	if n := count.commands.Load() - before; n > 6 {
		t.Errorf("%d commands, want at most 6", n)
	}
}
