package deploytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/source"
)

// Token is what the simulated Fly accepts.
const Token = "the-token-of-the-test-world"

// World is what surrounds one test. It ends with the test.
type World struct {
	TB testing.TB
	// Sim is Fly; FlyURL is where it listens.
	Sim    *flysim.Server
	FlyURL string
	// Registry is the host of the registry, for image references.
	Registry string
	// GitURL is where the repositories are.
	GitURL string
	// FlyRequests, GitRequests and RegistryRequests are what was asked of each.
	FlyRequests, GitRequests, RegistryRequests *Requests

	root string
}

// New makes a world. The options' tokens are replaced by Token.
func New(tb testing.TB, o flysim.Options) *World {
	tb.Helper()
	o.Tokens = []string{Token}
	w := &World{TB: tb, Sim: flysim.New(o), FlyRequests: &Requests{}, GitRequests: &Requests{}, RegistryRequests: &Requests{}, root: tb.TempDir()}
	tb.Cleanup(func() { _ = w.Sim.Close() })
	w.FlyURL = w.serve(w.FlyRequests.count(w.Sim))
	w.GitURL = w.serve(w.GitRequests.count(&source.Server{Dir: filepath.Join(w.root, "bare")}))
	quiet := registry.Logger(log.New(io.Discard, "", 0)) //nolint:forbidigo // the registry takes no slog
	w.Registry = strings.TrimPrefix(w.serve(w.RegistryRequests.count(registry.New(quiet))), "http://")
	return w
}

func (w *World) serve(h http.Handler) string {
	s := httptest.NewServer(h)
	w.TB.Cleanup(s.Close)
	return s.URL
}

// Fly gives a client that does not wait as long as production has to.
func (w *World) Fly() *fly.Client {
	w.TB.Helper()
	c, err := fly.New(w.TB.Context(), FlyOptions(w.FlyURL))
	if err != nil {
		w.TB.Fatal(err)
	}
	return c
}

// FlyOptions are the settings of Fly's client for a simulated Fly.
func FlyOptions(url string) fly.Options {
	return fly.Options{Token: Token, BaseURL: url, Smoke: -1, Poll: 10 * time.Millisecond, Lag: 300 * time.Millisecond, LeaseWait: 5 * time.Second}
}

// Source gives a client whose folders end with the test. It remembers no ls-remote.
func (w *World) Source() *source.Client {
	c := &source.Client{Dir: filepath.Join(w.root, "trees"), Memory: -1}
	w.TB.Cleanup(func() { _ = c.Close() })
	return c
}

// Images asks the registry of the world.
func (w *World) Images() image.Registry { return image.Registry{} }

// Image pushes a new image under a name and gives the reference, such as 127.0.0.1:4000/web:1. Pushing
// again moves the tag.
func (w *World) Image(nameTag string) string {
	w.TB.Helper()
	full := w.Registry + "/" + nameTag
	ref, err := name.ParseReference(full)
	if err != nil {
		w.TB.Fatal(err)
	}
	img, err := random.Image(64, 1)
	if err != nil {
		w.TB.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		w.TB.Fatal(err)
	}
	return full
}

// Repo makes a repository.
func (w *World) Repo(repo string) *Repo {
	w.TB.Helper()
	dir, bare := filepath.Join(w.root, "work", repo), filepath.Join(w.root, "bare", repo+".git")
	for _, d := range []string{dir, filepath.Dir(bare)} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			w.TB.Fatal(err)
		}
	}
	m, err := source.NewMirror(dir, bare)
	if err != nil {
		w.TB.Fatal(err)
	}
	return &Repo{tb: w.TB, mirror: m, Dir: dir, URL: w.GitURL + "/" + repo + ".git"}
}

// Repo is a repository with one branch, main.
type Repo struct {
	// Dir is its work tree, URL what to clone.
	Dir, URL string

	tb     testing.TB
	mirror *source.Mirror
}

// Commit writes files, removes those whose text is empty, and gives the commit before and after.
func (r *Repo) Commit(files map[string]string) source.Change {
	r.tb.Helper()
	for file, text := range files {
		full := filepath.Join(r.Dir, filepath.FromSlash(file))
		if text == "" {
			if err := os.Remove(full); err != nil {
				r.tb.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
			r.tb.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			r.tb.Fatal(err)
		}
	}
	c, err := r.mirror.Commit(r.tb.Context(), "change")
	if err != nil {
		r.tb.Fatal(err)
	}
	return c
}

// Requests counts what a server was asked.
type Requests struct {
	mu   sync.Mutex
	list []request
}

// request is one by its method and URI; read says that it changes nothing.
type request struct {
	line string
	read bool
}

func (q *Requests) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read := r.Method == http.MethodGet || r.Method == http.MethodHead || asks(r)
		q.mu.Lock()
		q.list = append(q.list, request{fmt.Sprintf("%s %s", r.Method, r.URL.RequestURI()), read})
		q.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// asks reports whether a request is a query of GraphQL.
func asks(r *http.Request) bool {
	if r.URL.Path != "/graphql" {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		Query string `json:"query"`
	}
	return err == nil && json.Unmarshal(body, &in) == nil && strings.HasPrefix(strings.TrimSpace(in.Query), "query")
}

// Reset forgets what was asked.
func (q *Requests) Reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = nil
}

// Writes gives the requests that may change something.
func (q *Requests) Writes() []string {
	return q.lines(func(r request) bool { return !r.read })
}

// Matching gives the requests that a test is after.
func (q *Requests) Matching(keep func(method, uri string) bool) []string {
	return q.lines(func(r request) bool {
		method, uri, _ := strings.Cut(r.line, " ")
		return keep(method, uri)
	})
}

func (q *Requests) lines(keep func(request) bool) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for _, r := range q.list {
		if keep(r) {
			out = append(out, r.line)
		}
	}
	return out
}

// Fetches counts the packs that were made.
func (q *Requests) Fetches() int {
	return len(q.Matching(func(_, uri string) bool { return strings.HasSuffix(uri, "/git-upload-pack") }))
}

// Asks counts the times that a repository's refs were listed.
func (q *Requests) Asks() int {
	return len(q.Matching(func(_, uri string) bool { return strings.Contains(uri, "/info/refs") }))
}
