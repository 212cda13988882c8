package dispatcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/catalog"
)

const tagged = "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498"

// registryPayload reads a delivery of a registry.
func registryPayload(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "registry", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func told(ref, at, actor string) []catalog.ImagePush {
	img, _ := catalog.ParseImage(ref)
	return []catalog.ImagePush{{Image: img, At: at, Actor: actor}}
}

// changed gives the JSON with the value at a path replaced, or taken out where the value is empty.
func changed(tb testing.TB, body []byte, path, value string) []byte {
	tb.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		tb.Fatal(err)
	}
	at, keys := m, strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		at, _ = at[k].(map[string]any)
	}
	if at[keys[len(keys)-1]] = json.RawMessage(value); value == "" {
		delete(at, keys[len(keys)-1])
	}
	b, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRegistriesAreRead(t *testing.T) {
	hub := registryPayload(t, "dockerhub.json")
	for name, c := range map[string]struct {
		body, event string
		want        []catalog.ImagePush
	}{
		"Docker Hub":           {string(hub), byHub, told("docker.io/acme/web:1.2.3", "1417566161", "trustedbuilder")},
		"an official image":    {string(changed(t, hub, "repository.repo_name", `"nginx"`)), byHub, told("nginx:1.2.3", "1417566161", "trustedbuilder")},
		"a time as a float":    {string(changed(t, hub, "push_data.pushed_at", `1.417566161E9`)), byHub, told("acme/web:1.2.3", "1.417566161E9", "trustedbuilder")},
		"no time":              {string(changed(t, hub, "push_data.pushed_at", `{"x":1}`)), byHub, told("acme/web:1.2.3", "", "trustedbuilder")},
		"a registry":           {string(registryPayload(t, "distribution.json")), byRegistry, told("registry.example.com:5000/acme/web:1.2.3@"+tagged, "", "builder")},
		"Azure":                {string(registryPayload(t, "azure.json")), byRegistry, told("myregistry.azurecr.io/hello-world:v1@sha256:80f0d5c8786bb9e621a45ece0db56d11cdc624ad20da9fe62e9d25490f331d7d", "", "")},
		"image and tag":        {`{"image":"ghcr.io/acme/web","tag":"1.2"}`, byAnybody, told("ghcr.io/acme/web:1.2", "", "")},
		"image with tag":       {`{"image":"ghcr.io/acme/web:1.2","actor":"ci"}`, byAnybody, told("ghcr.io/acme/web:1.2", "", "ci")},
		"the same tag twice":   {`{"image":"ghcr.io/acme/web:1.2","tag":"1.2"}`, byAnybody, told("ghcr.io/acme/web:1.2", "", "")},
		"image with all":       {`{"image":"ghcr.io/acme/web:1.2@` + tagged + `"}`, byAnybody, told("ghcr.io/acme/web:1.2@"+tagged, "", "")},
		"image alone":          {`{"image":"ghcr.io/acme/web"}`, byAnybody, told("ghcr.io/acme/web:latest", "", "")},
		"image, tag, digest":   {`{"image":"nginx","tag":"1","digest":"` + tagged + `","more":[1]}`, byAnybody, told("nginx:1@"+tagged, "", "")},
		"two events, one tag":  {`{"events":[` + event1("a", 1) + `,` + event1("a", 2) + `]}`, byRegistry, told("r.io/a:1@sha256:"+fmt.Sprintf("%064d", 2), "", "")},
		"two events":           {`{"events":[` + event1("a", 1) + `,` + event1("b", 2) + `]}`, byRegistry, append(told("r.io/a:1@sha256:"+fmt.Sprintf("%064d", 1), "", ""), told("r.io/b:1@sha256:"+fmt.Sprintf("%064d", 2), "", "")...)},
		"a good and a bad one": {`{"events":[` + event1("../a", 1) + `,` + event1("b", 2) + `]}`, byRegistry, told("r.io/b:1@sha256:"+fmt.Sprintf("%064d", 2), "", "")},
	} {
		for _, kind := range []string{"application/json", "application/json; charset=utf-8", "application/vnd.docker.distribution.events.v2+json"} {
			got, err := parseRegistry(admitted{kind, []byte(c.body)})
			for i := range got.images {
				if got.images[i].Delivery != got.guid {
					t.Errorf("%s: the delivery is %q, its push is of %q", name, got.guid, got.images[i].Delivery)
				}
				got.images[i].Delivery = ""
			}
			if diff := cmp.Diff(c.want, got.images); err != nil || diff != "" || got.ignored != "" || got.name != c.event {
				t.Errorf("%s as %s: %v, event %q, ignored %q (-want +got):\n%s", name, kind, err, got.name, got.ignored, diff)
			}
		}
	}
}

func event1(repository string, n int) string {
	return fmt.Sprintf(`{"action":"push","target":{"repository":%q,"tag":"1","digest":"sha256:%064d"},"request":{"host":"r.io"}}`, repository, n)
}

func TestDeliveriesOfRegistriesHaveIds(t *testing.T) {
	id := func(body string) string {
		e, err := parseRegistry(admitted{"application/json", []byte(body)})
		if err != nil || !plain(e.guid, 64) {
			t.Errorf("%s: id %q, %v", body, e.guid, err)
		}
		return e.guid
	}
	hub := string(registryPayload(t, "dockerhub.json"))
	if a, b := id(hub), id(hub); a == "" || a != b {
		t.Errorf("one delivery has the ids %q and %q", a, b)
	}
	if id(hub) == id(strings.Replace(hub, "1417566161", "1417566162", 1)) {
		t.Error("two deliveries have one id")
	}
	// A script says the same each time: it is not to be taken for a replay.
	if got := id(`{"image":"nginx","tag":"1"}`); got != "" {
		t.Errorf("a push without an id has the id %q", got)
	}
	if a, b := id(`{"image":"nginx","id":"1"}`), id(`{"id":"1","image":"nginx:2"}`); a == "" || a != b || a == id(`{"image":"nginx","id":"2"}`) {
		t.Errorf("one id gives %q and %q", a, b)
	}
}

func TestRegistryEventsOfOtherSortsAreIgnored(t *testing.T) {
	hub := registryPayload(t, "dockerhub.json")
	for body, want := range map[string]string{
		`{"events":[]}`:   "no tag was pushed",
		`{"events":null}`: "no tag was pushed",
		`{"events":[{"action":"pull","target":{"repository":"a","tag":"1"},"request":{"host":"r.io"}}]}`: "no tag was pushed",
		`{"action":"ping","id":"1"}`:                             "no tag was pushed",
		string(changed(t, hub, "push_data.tag", `null`)):         "docker.io/acme/web was pushed without a tag",
		`{"image":"ghcr.io/acme/web","digest":"` + tagged + `"}`: "ghcr.io/acme/web@" + tagged + " was pushed without a tag",
		`{"image":"ghcr.io/acme/web@` + tagged + `","id":"1"}`:   "ghcr.io/acme/web@" + tagged + " was pushed without a tag",
	} {
		got, err := parseRegistry(admitted{"application/json", []byte(body)})
		if err != nil || !strings.HasPrefix(got.ignored, want) || len(got.images) > 0 {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
}

// hostile are bodies that no registry sends.
func hostile(tb testing.TB) map[string][]byte {
	tb.Helper()
	hub, deep := registryPayload(tb, "dockerhub.json"), func(n int, open, end string) string { return strings.Repeat(open, n) + "1" + strings.Repeat(end, n) }
	many := make([]string, maxPushes+1)
	for i := range many {
		many[i] = event1(fmt.Sprint("a", i), 1)
	}
	return map[string][]byte{
		"nothing":                 nil,
		"no JSON":                 []byte("hello"),
		"null":                    []byte("null"),
		"a list":                  []byte("[]"),
		"two objects":             []byte(`{"image":"nginx"}{}`),
		"half an object":          []byte(`{"image":"nginx"`),
		"an empty object":         []byte("{}"),
		"other members":           []byte(`{"Image":"nginx","updated_tags":["a"]}`),
		"a number as image":       []byte(`{"image":1}`),
		"a list as image":         []byte(`{"image":["nginx"]}`),
		"an object as tag":        []byte(`{"image":"nginx","tag":{}}`),
		"null as image":           []byte(`{"image":null}`),
		"an empty image":          []byte(`{"image":""}`),
		"an image with a space":   []byte(`{"image":"ngi nx"}`),
		"an image with a NUL":     []byte(`{"image":"nginx\u0000"}`),
		"a login in the image":    []byte(`{"image":"me:hunter2@ghcr.io/a"}`),
		"a URL as image":          []byte(`{"image":"https://ghcr.io/a"}`),
		"a path as tag":           []byte(`{"image":"nginx","tag":"a/b"}`),
		"a digest as tag":         []byte(`{"image":"nginx","tag":"1@` + tagged + `"}`),
		"two tags":                []byte(`{"image":"nginx:1","tag":"2"}`),
		"two digests":             []byte(`{"image":"nginx@` + tagged + `","digest":"` + tagged[:70] + `0"}`),
		"a short digest":          []byte(`{"image":"nginx","tag":"1","digest":"sha256:1"}`),
		"a long tag":              []byte(`{"image":"nginx","tag":"` + strings.Repeat("x", 1<<20) + `"}`),
		"a long image":            []byte(`{"image":"` + strings.Repeat("x/", 1<<20) + `"}`),
		"a long bad member":       []byte(`{"image":{"` + strings.Repeat("x", 1<<20) + `":1}}`),
		"deep lists":              []byte(`{"image":` + deep(1<<20, "[", "]") + `}`),
		"deep objects":            []byte(`{"events":` + deep(1<<18, `[{"a":`, "}]") + `}`),
		"deep and unread":         []byte(`{"image":"nginx","x":` + deep(1<<20, "[", "]") + `}`),
		"push_data as a list":     changed(tb, hub, "push_data", "[]"),
		"push_data as a text":     changed(tb, hub, "push_data", `"x"`),
		"no repository":           changed(tb, hub, "repository", "null"),
		"a text as repository":    changed(tb, hub, "repository", `"acme/web"`),
		"a number as name":        changed(tb, hub, "repository.repo_name", "7"),
		"a tag in the name":       changed(tb, hub, "repository.repo_name", `"acme/web:1"`),
		"a path out of the name":  changed(tb, hub, "repository.repo_name", `"../../web"`),
		"a number as tag":         changed(tb, hub, "push_data.tag", "7"),
		"events as an object":     []byte(`{"events":{}}`),
		"events of texts":         []byte(`{"events":["push"]}`),
		"an event without host":   []byte(`{"events":[{"action":"push","target":{"repository":"a","tag":"1"}}]}`),
		"an event without a name": []byte(`{"events":[{"action":"push","target":{"tag":"1"},"request":{"host":"r.io"}}]}`),
		"target as a text":        []byte(`{"action":"push","target":"x"}`),
		"too many events":         []byte(`{"events":[` + strings.Join(many, ",") + `]}`),
	}
}

func TestWhatNoRegistrySendsIsNotUnderstood(t *testing.T) {
	for name, body := range hostile(t) {
		e, err := parseRegistry(admitted{"application/json", body})
		if !errors.Is(err, errNotUnderstood) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: the error repeats the body: %d characters", name, len(err.Error()))
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/+xml", ";"} {
		if _, err := parseRegistry(admitted{kind, []byte(`{"image":"nginx"}`)}); !errors.Is(err, errContentType) {
			t.Errorf("%q: got %v", kind, err)
		}
	}
}

// judge holds what a parser of foreign bytes gave to what everything behind it relies on.
func judge(t *testing.T, e event, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, errNotUnderstood) && !errors.Is(err, errContentType) {
			t.Errorf("an error of no sort: %v", err)
		}
		return
	}
	if (len(e.images) == 0) != (e.ignored != "") {
		t.Errorf("%d pushes, ignored %q", len(e.images), e.ignored)
	}
	if !plain(e.guid, 64) || len(e.images) > maxPushes || len(e.ignored) > 1000 {
		t.Errorf("delivery %q, %d pushes, ignored %.100q", e.guid, len(e.images), e.ignored)
	}
	for _, p := range e.images {
		if again, ok := catalog.ParseImage(p.Image.String()); !ok || again != p.Image || p.Image.Tag == "" || len(p.At) > 40 || len(p.Actor) > 100 {
			t.Errorf("no push: %+v", p)
		}
	}
}

// FuzzRegistry looks for a body that brings the parsers of registries' deliveries down, or makes half a push.
func FuzzRegistry(f *testing.F) {
	for _, body := range hostile(f) {
		if len(body) < 10_000 {
			f.Add("application/json", body)
		}
	}
	f.Add("application/vnd.docker.distribution.events.v2+json", registryPayload(f, "distribution.json"))
	for _, s := range []string{`{"image":"ghcr.io/acme/web","tag":"1.2","digest":"` + tagged + `","id":"1","actor":"ci"}`, `{"events":[` + event1("a", 1) + `]}`} {
		f.Add("application/json", []byte(s))
	}
	f.Add("application/json", registryPayload(f, "dockerhub.json"))
	f.Add("application/json", registryPayload(f, "azure.json"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		e, err := parseRegistry(admitted{kind, body})
		judge(t, e, err)
	})
}
