package buildkit_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

// steps counts the steps of a build that ran, and those that came from a cache.
func steps(tb testing.TB, b *buildkit.Builder, req image.Request) (ran, cached int) {
	tb.Helper()
	var log bytes.Buffer
	req.Log = &log
	mustBuild(tb, b, req)
	names, found := map[int]bool{}, map[int]bool{}
	for line := range strings.Lines(log.String()) {
		var number int
		var rest string
		if _, err := fmt.Sscanf(line, "#%d %s", &number, &rest); err != nil {
			continue
		}
		if strings.Contains(line, "] RUN ") || strings.Contains(line, "] COPY ") {
			names[number] = true
		}
		// what the registry's cache holds is fetched where it is needed, and extracted
		if rest == "CACHED" || strings.HasPrefix(rest, "sha256:") || rest == "extracting" {
			found[number] = true
		}
	}
	for number := range names {
		if found[number] {
			cached++
		}
	}
	return len(names) - cached, cached
}

// Every machine is new: what it finds is what the last one left in the registry.
func TestNewMachineFindsTheCacheOfTheLast(t *testing.T) {
	t.Parallel()
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	files := map[string]string{
		"Dockerfile": "FROM " + base(t, r) + " AS made\nRUN [\"/step\", \"write\", \"/out/made\", \"x\"]\nCOPY f /\n" +
			"RUN [\"/step\", \"copy\", \"/f\", \"/out/f\"]\nFROM scratch\nCOPY --from=made /out /\n",
		"f": "f",
	}
	for mode, want := range map[string][2]int{"": {0, 4}, "min": {3, 1}, "off": {4, 0}} {
		req := asked(t, files)
		req.Cache = mode
		if ran, cached := steps(t, builder(t, r), req); ran != 4 || cached != 0 {
			t.Errorf("cache %q, first build: %d steps ran, %d were cached, want 4 and 0", mode, ran, cached)
		}
		// min keeps what the image holds: the last stage's step is found where nothing below it has to be
		if ran, cached := steps(t, builder(t, r), req); cached != want[1] && (mode != "min" || cached == 0) {
			t.Errorf("cache %q, second build: %d steps ran, %d were cached, want %v", mode, ran, cached, want)
		}
		if mode != "" {
			continue
		}
		req.Dir = imagetest.Folder(t, map[string]string{"Dockerfile": files["Dockerfile"], "f": "changed"})
		if ran, cached := steps(t, builder(t, r), req); ran != 3 || cached != 1 {
			t.Errorf("with another file: %d steps ran, %d were cached, want 3 and 1", ran, cached)
		}
	}
}

func TestCacheThatCannotBeReadOrWrittenFailsNoBuild(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	origin, err := url.Parse("http://" + r)
	if err != nil {
		t.Fatal(err)
	}
	denied := 0
	through := httputil.NewSingleHostReverseProxy(origin)
	through.ModifyResponse = func(res *http.Response) error {
		if l := res.Header.Get("Location"); l != "" {
			res.Header.Set("Location", strings.TrimPrefix(l, origin.String()))
		}
		return nil
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.Contains(q.URL.Path, "/manifests/cache-") {
			denied++
			w.WriteHeader(http.StatusForbidden)
			return
		}
		through.ServeHTTP(w, q)
	}))
	defer front.Close()
	b := builder(t, r)
	b.Registry = strings.TrimPrefix(front.URL, "http://")
	b.Allow = append(b.Allow, netip.MustParseAddrPort(b.Registry))
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	req.Cache = ""
	pushed(t, mustBuild(t, b, req))
	if denied < 2 {
		t.Errorf("the registry was asked %d times for the cache: nothing is proven", denied)
	}
}
