package image_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// startRegistry runs go-containerregistry's registry with one image and gives its host and the digest.
// With a password it asks for it.
func startRegistry(t *testing.T, password string) (host, digest string) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); password != "" && got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	host = strings.TrimPrefix(srv.URL, "http://")
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/acme/web:1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: "u", Password: password})); err != nil {
		t.Fatal(err)
	}
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return host, h.String()
}

func TestTagBecomesItsDigest(t *testing.T) {
	host, digest := startRegistry(t, "")
	want := image.Reference{Name: host + "/acme/web:1.0", Digest: digest}
	for _, ref := range []string{host + "/acme/web:1.0", host + "/acme/web:1.0@" + digest} {
		got, err := image.Registry{}.Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", ref, got, want)
		}
	}
	got, there, err := image.Registry{}.Exists(t.Context(), host+"/acme/web:1.0")
	if err != nil || !there || got != want {
		t.Errorf("Exists = %+v %v %v", got, there, err)
	}
}

func TestMissingImageIsRejected(t *testing.T) {
	host, _ := startRegistry(t, "")
	_, err := image.Registry{}.Resolve(t.Context(), host+"/acme/web:2.0")
	imagetest.WantRejected(t, err, "does not exist")
	_, there, err := image.Registry{}.Exists(t.Context(), host+"/acme/web:2.0")
	if there || err != nil {
		t.Errorf("Exists = %v %v, want false and no error", there, err)
	}
	_, err = image.Registry{}.Resolve(t.Context(), "Not An Image")
	imagetest.WantRejected(t, err, "is no image reference")
}

func TestDeniedImageIsRejectedAndLoginOpensIt(t *testing.T) {
	host, digest := startRegistry(t, "hunter2")
	ref := host + "/acme/web:1.0"
	_, err := image.Registry{}.Resolve(t.Context(), ref)
	imagetest.WantRejected(t, err, "denies access")
	wrong := image.Registry{Logins: map[string]image.Login{host: {Username: "u", Password: manifest.NewSecret("wrong-secret")}}}
	_, err = wrong.Resolve(t.Context(), ref)
	imagetest.WantRejected(t, err, "denies access")
	if strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("error tells the password: %v", err)
	}
	right := image.Registry{Logins: map[string]image.Login{host: {Username: "u", Password: manifest.NewSecret("hunter2")}}}
	got, err := right.Resolve(t.Context(), ref)
	if err != nil || got.Digest != digest {
		t.Errorf("got %+v %v, want %s", got, err, digest)
	}
}

func TestRegistryThatIsDownMayBeTriedAgain(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer broken.Close()
	limited := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }))
	defer limited.Close()
	for _, srv := range []*httptest.Server{down, broken, limited} {
		_, err := image.Registry{}.Resolve(t.Context(), strings.TrimPrefix(srv.URL, "http://")+"/acme/web:1.0")
		if err == nil || errors.Is(err, job.ErrRejected) {
			t.Errorf("error = %v, want one that may be tried again", err)
		}
	}
}

func TestCancelledResolveEnds(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := image.Registry{}.Resolve(ctx, strings.TrimPrefix(srv.URL, "http://")+"/acme/web:1.0")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want the context's", err)
	}
}

func TestFactChecksTheRequestAndDerivesTheDigest(t *testing.T) {
	dir := t.TempDir()
	req := image.Request{Dir: dir, App: "web", Tag: "t-1"}
	_, err := image.Fact{}.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "there is no Dockerfile")
	if err := os.WriteFile(dir+"/Dockerfile", []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	req.Log = &log
	one, err := image.Fact{}.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := image.Fact{}.Build(t.Context(), req)
	req.Tag = "t-2"
	other, _ := image.Fact{}.Build(t.Context(), req)
	if one != again || one.Digest == other.Digest || one.Name != "registry.fly.io/web:t-1" {
		t.Errorf("got %v, %v and %v", one, again, other)
	}
	if !strings.Contains(log.String(), "simulated") {
		t.Errorf("log = %q, want it to say that the registry is simulated", log.String())
	}
	req.Dockerfile = "../Dockerfile"
	_, err = image.Fact{}.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "leaves the folder")
}

func TestMissingBuilderSaysWhatToSetUp(t *testing.T) {
	_, err := image.Missing{}.Build(t.Context(), image.Request{App: "web"})
	imagetest.WantRejected(t, err, "set BUILDKIT_HOST")
	imagetest.WantRejected(t, err, "install flyctl")
}

var (
	_ image.Builder = image.Buildctl{}
	_ image.Builder = image.Flyctl{}
	_ image.Builder = image.Missing{}
	_ image.Builder = image.Fact{}
)
