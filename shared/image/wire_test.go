package image_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

// What tests of registries share.

// heard is a registry that writes down what it is asked, and fails as it is told.
type heard struct {
	host string
	mu   sync.Mutex
	log  []string
	// fail answers a request instead of the registry; it gives 0 where it does not.
	fail func(r *http.Request) int
}

func hear(t *testing.T, opts ...registry.Option) *heard {
	t.Helper()
	h := &heard{}
	inner := registry.New(append(opts, registry.Logger(log.New(io.Discard, "", 0)))...)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if r.URL.Path != "/v2/" {
			h.log = append(h.log, r.Method+" "+r.URL.Path)
		}
		fail := h.fail
		h.mu.Unlock()
		if fail != nil {
			if status := fail(r); status != 0 {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	h.host = strings.TrimPrefix(srv.URL, "http://")
	return h
}

// said gives what was asked since the last time.
func (h *heard) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.log
	h.log = nil
	return out
}

func (h *heard) failing(fail func(r *http.Request) int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = fail
}

func count(said []string, method, part string) int {
	n := 0
	for _, s := range said {
		if strings.HasPrefix(s, method+" ") && strings.Contains(s, part) {
			n++
		}
	}
	return n
}

// push puts an image or an index under a name and gives its digest.
func push(t *testing.T, ref string, what remote.Taggable, password string) string {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Push(tag, what, remote.WithAuth(&authn.Basic{Username: "u", Password: password})); err != nil {
		t.Fatal(err)
	}
	return digestOf(t, what)
}

func digestOf(t *testing.T, what any) string {
	t.Helper()
	h, err := what.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func layers(t *testing.T, n int64) v1.Image {
	t.Helper()
	img, err := random.Image(2000, n)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// holds is an image's digest in a registry, and all of its layers are there.
func holds(t *testing.T, ref image.Reference, password string) {
	t.Helper()
	auth := remote.WithAuth(&authn.Basic{Username: "u", Password: password})
	for _, s := range []string{ref.Name, ref.String()} {
		parsed, err := name.ParseReference(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Get(parsed, auth)
		if err != nil || got.Digest.String() != ref.Digest {
			t.Fatalf("%s is %v, %v", s, got, err)
		}
		if got.MediaType.IsIndex() {
			continue
		}
		img, err := got.Image()
		if err != nil {
			t.Fatal(err)
		}
		imagetest.FilesOf(t, img)
	}
}

// platforms makes an index with an image for each platform; "none" is one that does not say.
func platforms(t *testing.T, kinds ...string) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(10, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		desc := v1.Descriptor{}
		if kind != "none" {
			if desc.Platform, err = v1.ParsePlatform(kind); err != nil {
				t.Fatal(err)
			}
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: layers(t, 1), Descriptor: desc})
	}
	return index
}
