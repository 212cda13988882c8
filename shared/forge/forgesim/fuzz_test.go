package forgesim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

// Whatever is asked, there is an answer.
func FuzzRequests(f *testing.F) {
	s, err := forgesim.New(forgesim.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	if _, err := s.SetRepo(forgesim.Repo{Repo: "acme/web"}); err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "/repos/acme/web/hooks", `{"config":{"url":"http://127.0.0.1:1/","content_type":"json"},"active":false}`)
	f.Add("PATCH", "/api/v3/repos/acme/web/hooks/1001", `{"events":["push"]}`)
	f.Add("POST", "/repos/acme/web/deployments", `{"ref":"main","required_contexts":[]}`)
	f.Add("GET", "/repos/acme/web/issues/comments/1?page=-1&per_page=x", "")
	f.Add("POST", "/acme/web.git/git-upload-pack", "0011want")
	f.Add("POST", "/acme/web.git/git-receive-pack", "0000")
	f.Add("PUT", "/_sim/faults", `[{"match":{},"do":{"status":500}}]`)
	f.Add("POST", "/_sim/commit", `{"repo":"acme/web","files":{"../x":"1"}}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		u, err := url.Parse(path)
		if err != nil || !strings.HasPrefix(path, "/") || strings.Contains(body, "delay_ms") {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://forge/", io.NopCloser(strings.NewReader(body)))
		r.Method, r.URL, r.ContentLength = method, u, int64(len(body))
		defer func() {
			if got := recover(); got != nil && got != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(got)
			}
			_ = s.SetFaults()
		}()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code < 200 {
			t.Errorf("%s %s: status %d", method, path, w.Code)
		}
	})
}
