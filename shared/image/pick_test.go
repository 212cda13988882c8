package image_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestPolicyPicksByItsTagsAndGivesTheDigest(t *testing.T) {
	h := hear(t)
	digests := map[string]string{}
	for _, tag := range []string{"1.0.0", "1.2.0", "1.3.0-rc.1", "latest"} {
		digests[tag] = push(t, h.host+"/acme/web:"+tag, layers(t, 1), "")
	}
	h.said()
	for _, ref := range []string{h.host + "/acme/web", h.host + "/acme/web:1.0.0", " " + h.host + "/acme/web:nonsense"} {
		got, err := image.Registry{}.Pick(t.Context(), ref, manifest.ImagePolicy{Semver: ">=1.0"})
		if want := (image.Reference{Name: h.host + "/acme/web:1.2.0", Digest: digests["1.2.0"]}); err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", ref, got, err, want)
		}
		if diff := cmp.Diff([]string{"GET /v2/acme/web/tags/list", "HEAD /v2/acme/web/manifests/1.2.0"}, h.said()); diff != "" {
			t.Errorf("requests: %s", diff)
		}
	}
	for _, p := range []manifest.ImagePolicy{{}, {Digest: true}} {
		got, err := image.Registry{}.Pick(t.Context(), h.host+"/acme/web:latest", p)
		if want := (image.Reference{Name: h.host + "/acme/web:latest", Digest: digests["latest"]}); err != nil || got != want {
			t.Errorf("%+v: %+v %v, want %+v", p, got, err, want)
		}
		if diff := cmp.Diff([]string{"HEAD /v2/acme/web/manifests/latest"}, h.said()); diff != "" {
			t.Errorf("requests: %s", diff)
		}
	}
}

func TestPickReadsEveryPage(t *testing.T) {
	host := imagetest.Registry(t, "")
	img := layers(t, 1)
	for i := range 7 {
		push(t, fmt.Sprintf("%s/acme/web:r%d", host, i), img, "")
	}
	// two tags a page, whatever is asked for
	r := image.Registry{HTTP: roundTrip(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/tags/list") {
			q := req.URL.Query()
			q.Set("n", "2")
			req.URL.RawQuery = q.Encode()
		}
		return http.DefaultTransport.RoundTrip(req)
	})}
	got, err := r.Pick(t.Context(), host+"/acme/web", manifest.ImagePolicy{Regex: `^r(\d+)$`, Sort: "number"})
	if err != nil || got.Name != host+"/acme/web:r6" {
		t.Errorf("got %+v %v", got, err)
	}
}

func TestPickSaysWhatThereIs(t *testing.T) {
	h := hear(t)
	for _, tag := range []string{"1.0.0", "1.10.0", "1.9.0", "latest", "main", "0.1.0", "0.2.0"} {
		push(t, h.host+"/acme/web:"+tag, layers(t, 1), "")
	}
	digest := push(t, h.host+"/acme/web:1.0.0", layers(t, 1), "")
	pick := func(ref string, p manifest.ImagePolicy) error {
		_, err := image.Registry{}.Pick(t.Context(), ref, p)
		return err
	}
	err := pick(h.host+"/acme/web", manifest.ImagePolicy{Semver: ">=2", Regex: "^(.*)$"})
	imagetest.WantRejected(t, err, "no tag of "+h.host+"/acme/web matches source.policy (semver: >=2, regex: ^(.*)$); the newest are 1.10.0, 1.9.0, 1.0.0, 0.2.0, 0.1.0")
	imagetest.WantRejected(t, pick(h.host+"/acme/none", manifest.ImagePolicy{Semver: ">=2"}), "does not exist")
	imagetest.WantRejected(t, pick(h.host+"/acme/web@"+digest, manifest.ImagePolicy{Semver: ">=1"}), "names a digest, and source.policy would choose a tag")
	imagetest.WantRejected(t, pick(h.host+"/acme/web", manifest.ImagePolicy{Semver: "new"}), "source.policy.semver")
	imagetest.WantRejected(t, pick("Not An Image", manifest.ImagePolicy{Semver: ">=1"}), "is no image reference")
	h.failing(func(r *http.Request) int {
		if r.Method == http.MethodHead {
			return http.StatusNotFound
		}
		return 0
	})
	imagetest.WantRetry(t, pick(h.host+"/acme/web", manifest.ImagePolicy{Semver: ">=1"}), "lists the tag and has no image of it")
}

// TestWhyNoTagIsTakenIsSaidOfATagThatMatches says what is wrong with the policy where the tags are right.
func TestWhyNoTagIsTakenIsSaidOfATagThatMatches(t *testing.T) {
	for _, c := range []struct {
		tags, says string
		policy     manifest.ImagePolicy
	}{
		{
			"main-998 main-2 9.9", `(regex: ^main-\d+$, sort: number): main-998 matches regex, but what it captures ("main-998") is no number: put a group around the number`,
			manifest.ImagePolicy{Regex: `^main-\d+$`, Sort: "number"},
		},
		{
			"main-998", `main-998 matches regex, but what it captures ("main") is no number: let the first group take the number alone`,
			manifest.ImagePolicy{Regex: `^(main)?(.*)$`, Sort: "number"},
		},
		{
			"web-v1.2.0 2.0.0", `web-v1.2.0 matches regex, but what it captures ("web-v1.2.0") is no version: put a group around the version`,
			manifest.ImagePolicy{Regex: `^web-v`, Semver: ">=1"},
		},
		{"web-1.2 9.0.0 8.0.0 web-2.0 main", "; the newest are web-2.0, web-1.2, 9.0.0, 8.0.0, main: correct", manifest.ImagePolicy{Regex: `^web-(.+)$`, Semver: ">=3"}},
		{
			"t-0d209763e5f8aabb c-0d209763e5f8aabb0d209763e5f8aabb cache-web t-shirt 1.0.0", "; the newest are 1.0.0, t-shirt: correct",
			manifest.ImagePolicy{Semver: ">=2"},
		},
		{"t-0d209763e5f8aabb cache-web", "(semver: >=2): it has no tags but those that FlyCD made; correct", manifest.ImagePolicy{Semver: ">=2"}},
	} {
		host := imagetest.Registry(t, "")
		img := layers(t, 1)
		for tag := range strings.FieldsSeq(c.tags) {
			push(t, host+"/acme/web:"+tag, img, "")
		}
		_, err := image.Registry{}.Pick(t.Context(), host+"/acme/web", c.policy)
		imagetest.WantRejected(t, err, "no tag of "+host+"/acme/web matches source.policy", c.says)
	}
}

func TestEndlessTagsAreRefused(t *testing.T) {
	page := func(tags int) string {
		list := make([]string, tags)
		for i := range list {
			list[i] = fmt.Sprintf("1.0.%d", i)
		}
		text, _ := json.Marshal(map[string]any{"name": "acme/web", "tags": list})
		return string(text)
	}
	full, none := page(1000), page(0)
	for what, answer := range map[string]func(w http.ResponseWriter){
		"pages without an end": func(w http.ResponseWriter) {
			w.Header().Set("Link", `</v2/acme/web/tags/list?n=1000&last=x>; rel="next"`)
			fmt.Fprint(w, full)
		},
		"empty pages without an end": func(w http.ResponseWriter) {
			w.Header().Set("Link", `</v2/acme/web/tags/list?n=1000&last=x>; rel="next"`)
			fmt.Fprint(w, none)
		},
		"one page without an end": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"tags":[`)
			for {
				if _, err := fmt.Fprint(w, `"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",`); err != nil {
					return
				}
			}
		},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				answer(w)
			}
		}))
		_, err := image.Registry{}.Pick(t.Context(), strings.TrimPrefix(srv.URL, "http://")+"/acme/web", manifest.ImagePolicy{Semver: ">=1"})
		t.Log(what)
		imagetest.WantRejected(t, err, "more than 10000 tags")
		srv.Close()
	}
}

func TestIndexIsItsImageForFly(t *testing.T) {
	for what, c := range map[string]struct {
		kinds []string
		takes int
		says  string
	}{
		"among others":           {kinds: []string{"linux/arm64", "linux/amd64", "windows/amd64"}, takes: 1},
		"beside an attestation":  {kinds: []string{"linux/amd64", "unknown/unknown"}, takes: 0},
		"the plain one":          {kinds: []string{"linux/amd64/v3", "linux/amd64"}, takes: 1},
		"the plain one first":    {kinds: []string{"linux/amd64", "linux/amd64/v3"}, takes: 0},
		"one that does not say":  {kinds: []string{"none"}, takes: 0},
		"none of them":           {kinds: []string{"linux/arm64/v8", "windows/amd64"}, says: "has no image for linux/amd64, and Fly's machines are of that kind; it has linux/arm64/v8, windows/amd64"},
		"nothing but statements": {kinds: []string{"unknown/unknown"}, says: "an index without images"},
	} {
		t.Run(what, func(t *testing.T) {
			h := hear(t, registry.WithReferrersSupport(true))
			index := platforms(t, c.kinds...)
			digest := push(t, h.host+"/acme/web:1", index, "")
			h.said()
			got, err := image.Registry{}.Resolve(t.Context(), h.host+"/acme/web:1")
			if diff := cmp.Diff([]string{"HEAD /v2/acme/web/manifests/1", "GET /v2/acme/web/manifests/" + digest}, h.said()); diff != "" {
				t.Errorf("requests: %s", diff)
			}
			if c.says != "" {
				imagetest.WantRejected(t, err, c.says)
				return
			}
			m, _ := index.IndexManifest()
			if want := (image.Reference{Name: h.host + "/acme/web:1", Digest: m.Manifests[c.takes].Digest.String()}); err != nil || got != want {
				t.Errorf("got %+v %v, want %+v", got, err, want)
			}
			again, there, err := image.Registry{}.Exists(t.Context(), h.host+"/acme/web:1")
			if err != nil || !there || again != got {
				t.Errorf("Exists = %+v %v %v", again, there, err)
			}
		})
	}
}
