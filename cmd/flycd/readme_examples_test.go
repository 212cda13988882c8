//go:build unix

package main

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// TestEveryCommandOfTheExamplesWorks runs what the README of each example shows, against a simulated Fly.
func TestEveryCommandOfTheExamplesWorks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", "README.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal("no examples", err)
	}
	needed := map[string][]string{"secrets": {"sops", "openssl"}, "image": {"openssl", "curl"}, "build": {"git", "sed"}}
	for _, file := range pages {
		name := filepath.Base(filepath.Dir(file))
		if name == "gitops" {
			continue // a story of its own: TestEveryCommandOfTheREADMEWorks
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs(t, append(needed[name], "sh")...)
			runExample(t, name)
		})
	}
}

func runExample(t *testing.T, name string) {
	t.Helper()
	w := deploytest.New(t, flysim.Options{})
	redis := queuetest.Embedded(t)
	p := newPage(t, filepath.Join("examples", name, "README.md"), settled(t, map[string]string{
		"FLY_API_TOKEN": deploytest.Token, "FLY_FLAPS_BASE_URL": w.FlyURL, "FLY_API_BASE_URL": w.FlyURL, "FLY_UIEX_BASE_URL": w.FlyURL,
		"FLY_REGISTRY_HOST": w.Registry, "REDIS_URL": redis,
	}))
	front := httptest.NewServer(doorOf(p, redis, w.FlyURL))
	t.Cleanup(front.Close)
	p.fill = strings.NewReplacer("/tmp", filepath.Join(p.dir, "tmp"), "https://my-flycd.fly.dev", front.URL).Replace
	copyExamples(t, p.dir, w.Image, strings.NewReplacer(
		`"ghcr.io/acme/*"`, `"`+w.Registry+`/**"`, "registry.fly.io", w.Registry, "https://storefront.fly.dev", front.URL))
	for _, block := range p.blocks() {
		p.run(block)
	}
}

// copyExamples puts the examples into a folder, with their images in the registry of this test.
func copyExamples(t *testing.T, dir string, image func(string) string, where *strings.Replacer) {
	t.Helper()
	dir = filepath.Join(dir, "examples")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(filepath.Dir(dir), "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	images := regexp.MustCompile(`image: "(?:ghcr\.io/)?([a-z/-]+:[^"]+)"`)
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "app.yaml" && e.Name() != "project.yaml" {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		text = images.ReplaceAllFunc(text, func(found []byte) []byte {
			return []byte(`image: "` + image(string(images.FindSubmatch(found)[1])) + `"`)
		})
		return os.WriteFile(p, []byte(where.Replace(string(text))), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// doorOf is what answers at the addresses of a page: apps as healthy ones do, and the dispatcher with the tokens that the
// page gave it.
func doorOf(p *page, redis, fly string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("/webhook/", func(w http.ResponseWriter, r *http.Request) {
		q, err := queue.Open(redis, "")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = q.Close() }()
		s := &dispatcher.Server{
			Queue: q, Secrets: []string{"a-secret"}, MaxRunners: 1, Log: slog.New(slog.DiscardHandler),
			Runners: &launch.Launcher{App: "my-flycd-runner", Image: "runner:1", BaseURL: fly, Token: deploytest.Token},
		}
		for _, said := range p.noted("listed") {
			if _, token, ok := strings.Cut(said, "FLYCD_REGISTRY_TOKENS="); ok {
				s.RegistryTokens = append(s.RegistryTokens, token)
			}
		}
		s.Public().ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	})
	return mux
}
