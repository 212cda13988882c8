package image_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestCopyKeepsTheDigestAndCostsOneHeadWhenItIsThere(t *testing.T) {
	from, to := hear(t), hear(t)
	digest := push(t, from.host+"/acme/web:1", layers(t, 3), "")
	source := image.Reference{Name: from.host + "/acme/web:1", Digest: digest}
	for target, want := range map[string]string{
		to.host + "/app:v1": to.host + "/app:v1",
		to.host + "/app":    to.host + "/app:copy-" + digest[7:39],
	} {
		got, err := image.Registry{}.Copy(t.Context(), source, target)
		if err != nil || got != (image.Reference{Name: want, Digest: digest}) {
			t.Fatalf("copied to %s: %+v %v", target, got, err)
		}
		holds(t, got, "")
		from.said()
		to.said()
		again, err := image.Registry{}.Copy(t.Context(), source, target)
		if err != nil || again != got {
			t.Errorf("again: %+v %v", again, err)
		}
		_, tag, _ := strings.Cut(strings.TrimPrefix(want, to.host), ":")
		if diff := cmp.Diff([]string{"HEAD /v2/app/manifests/" + tag}, append(from.said(), to.said()...)); diff != "" {
			t.Errorf("requests of a copy that is there:\n%s", diff)
		}
	}
}

func TestCopyMovesATagThatNamesAnotherImage(t *testing.T) {
	h := hear(t)
	push(t, h.host+"/app:v1", layers(t, 1), "")
	digest := push(t, h.host+"/acme/web:1", layers(t, 1), "")
	got, err := image.Registry{}.Copy(t.Context(), image.Reference{Name: h.host + "/acme/web:1", Digest: digest}, h.host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, got, "")
}

func TestCopyWithinARegistryMountsTheLayers(t *testing.T) {
	host := imagetest.Registry(t, "pass-word")
	digest := push(t, host+"/acme/web:1", layers(t, 3), "pass-word")
	var sent sync.Map
	r := image.Registry{
		Logins: map[string]image.Login{host: {Username: "u", Password: manifest.NewSecret("pass-word")}},
		HTTP: roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.ContentLength > 0 && strings.Contains(req.URL.Path, "/blobs/") {
				sent.Store(req.Method+req.URL.Path, req.ContentLength)
			}
			return http.DefaultTransport.RoundTrip(req)
		}),
	}
	got, err := r.Copy(t.Context(), image.Reference{Name: host + "/acme/web:1", Digest: digest}, host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, got, "pass-word")
	sent.Range(func(what, n any) bool {
		t.Errorf("%v sent %v bytes that the registry had", what, n)
		return true
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestCopyThatWasBrokenOffGoesOn(t *testing.T) {
	from, to := hear(t), hear(t)
	digest := push(t, from.host+"/acme/web:1", layers(t, 6), "")
	source := image.Reference{Name: from.host + "/acme/web:1", Digest: digest}
	// the manifest is refused, so the layers are there when the copy fails
	to.failing(func(r *http.Request) int {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			return http.StatusForbidden
		}
		return 0
	})
	_, err := image.Registry{}.Copy(t.Context(), source, to.host+"/app:v1")
	imagetest.WantRetry(t, err, "see that the repository exists, and that FlyCD's login may push")
	to.failing(nil)
	to.said()
	got, err := image.Registry{}.Copy(t.Context(), source, to.host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, got, "")
	if n := count(to.said(), "POST", "/blobs/uploads/"); n != 0 {
		t.Errorf("%d layers were sent again", n)
	}
}

func TestCopyOutlivesPassingFailures(t *testing.T) {
	from, to := hear(t), hear(t)
	digest := push(t, from.host+"/acme/web:1", layers(t, 2), "")
	var mu sync.Mutex
	seen := map[string]bool{}
	// each kind of question fails once, but for the one for the manifest's name: that it is not there is an answer
	once := func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		what := r.Method + " " + strings.Join(strings.Split(r.URL.Path, "/")[:3], "/")
		if r.URL.Path == "/v2/" || r.Method == http.MethodHead || seen[what] {
			return 0
		}
		seen[what] = true
		return http.StatusServiceUnavailable
	}
	from.failing(once)
	to.failing(once)
	got, err := image.Registry{}.Copy(t.Context(), image.Reference{Name: from.host + "/acme/web:1", Digest: digest}, to.host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	from.failing(nil)
	to.failing(nil)
	holds(t, got, "")
}

func TestCopyBlamesWhoIsToBlame(t *testing.T) {
	locked := imagetest.Registry(t, "pass-word")
	open := hear(t)
	digest := push(t, locked+"/acme/web:1", layers(t, 1), "pass-word")
	private := image.Reference{Name: locked + "/acme/web:1", Digest: digest}
	_, err := image.Registry{}.Copy(t.Context(), private, open.host+"/app:v1")
	imagetest.WantRejected(t, err, "registry "+locked+" denies access")
	public := image.Reference{Name: open.host + "/acme/web:1", Digest: push(t, open.host+"/acme/web:1", layers(t, 1), "")}
	_, err = image.Registry{}.Copy(t.Context(), public, locked+"/app:v1")
	imagetest.WantRetry(t, err, "registry "+locked+" answered 401")
	_, err = image.Registry{}.Copy(t.Context(), image.Reference{Name: open.host + "/acme/none:1", Digest: digest}, open.host+"/app:v1")
	imagetest.WantRejected(t, err, "does not exist")
	_, err = image.Registry{}.Copy(t.Context(), public, open.host+"/app@"+digest)
	imagetest.WantRejected(t, err, "not a digest")
	_, err = image.Registry{}.Copy(t.Context(), image.Reference{Name: "nginx"}, open.host+"/app:1")
	if err == nil || errors.Is(err, job.ErrRejected) {
		t.Errorf("error = %v, want one that says that the digest is not known", err)
	}

	r := image.Registry{Logins: map[string]image.Login{locked: {Username: "u", Password: manifest.NewSecret("pass-word")}}}
	got, err := r.Copy(t.Context(), private, open.host+"/app:v2")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, got, "")
	if got, err = r.Copy(t.Context(), public, locked+"/app:v1"); err != nil {
		t.Fatal(err)
	}
	holds(t, got, "pass-word")
}

func TestPinnedIndexIsCopiedAsAWhole(t *testing.T) {
	from, to := hear(t), imagetest.Registry(t, "")
	index := platforms(t, "linux/amd64", "linux/arm64")
	digest := push(t, from.host+"/acme/web:1", index, "")
	got, err := image.Registry{}.Copy(t.Context(), image.Reference{Name: from.host + "/acme/web:1", Digest: digest}, to+"/app")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, got, "")
	children, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children.Manifests {
		ref, err := name.ParseReference(fmt.Sprintf("%s/app@%s", to, c.Digest))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Image(ref); err != nil {
			t.Errorf("the image for %s: %v", c.Platform, err)
		}
	}
}
