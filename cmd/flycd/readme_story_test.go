//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readme runs the README: by hand in a folder, then in an installation whose config repository has two apps, of which one goes.
func (r *reader) readme() {
	p := newPage(r.t, "README.md", r.env())
	r.byHand(p)
	r.repo("acme/config", map[string]string{
		"project.yaml":    "project: acme\nsource: {type: local}\nsync: {prune: true, prune_grace: 2s}\n",
		"shop/app.yaml":   r.imageApp("shop-web", ""),
		"old-db/app.yaml": r.imageApp("old-db", "mounts: [{source: data, destination: /data, initial_size: 1gb}]\n"),
	})
	r.tell(p, map[string]func(){
		"local --once":  func() { r.says(p, `says "Hello again"`) },
		"flycd convert": func() { r.says(p, "my-app") },
		"--org acme --check ": func() {
			r.until("the first sync", func() bool { return r.machines("shop-web") == 1 && r.machines("old-db") == 1 })
		},
		"flycd webhook rotate": func() {
			r.says(p, "old webhook secret")
			r.commit("acme/config", map[string]string{"old-db/app.yaml": ""})
			r.until("an app that is kept back", func() bool { return r.kept("old-db") })
		},
		"flycd prune --confirm": func() {
			r.says(p, "shop-web")
			r.commit("acme/config", map[string]string{"README.md": "the next webhook"})
			r.until("the prune", func() bool { return r.machines("old-db") == 0 })
		},
	})
}

// byHand puts what a person who deploys by hand has into the page's folder: a fly.toml, and an app that runs.
func (r *reader) byHand(p *page) {
	r.t.Helper()
	for name, text := range map[string]string{
		"fly.toml":   "app = \"my-shop\"\nprimary_region = \"ams\"\n\n[build]\n  dockerfile = \"Dockerfile\"\n\n[http_service]\n  internal_port = 8080\n",
		"Dockerfile": "FROM scratch\n",
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	dir := r.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(r.imageApp("my-app", "")), 0o600); err != nil {
		r.t.Fatal(err)
	}
	before := *p
	before.t, before.dir = r.t, dir
	before.state = r.t.TempDir()
	before.write("prelude", prelude)
	before.write("dir", dir)
	before.run("flycd deploy .\n")
}

func (r *reader) imageApp(app, more string) string {
	return fmt.Sprintf("app: %s\nprimary_region: ams\nsource: {type: image, image: %q}\nmachines: {count: 1}\n%s", app, r.image(app+":1"), more)
}

// kept reports whether a sync left an app that Git does not name to a person.
func (r *reader) kept(app string) (kept bool) {
	r.t.Helper()
	for line := range strings.Lines(r.story()) {
		kept = kept || strings.HasPrefix(line, "destroy "+app+" rejected")
	}
	return kept
}

// TestReadingTakesTenMinutes holds the way from an empty account to a push that deploys to what can be read in ten minutes.
func TestReadingTakesTenMinutes(t *testing.T) {
	t.Parallel()
	const aMinute, mostLines = 240, 235
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	way, err := os.ReadFile(filepath.Join("..", "..", "examples", "gitops", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, found := strings.Cut(string(readme), "\n## Rules for a tree")
	if words := len(strings.Fields(first)) + len(strings.Fields(string(way))); !found || words > 10*aMinute {
		t.Errorf("%d words, want %d at most: %t", words, 10*aMinute, found)
	}
	if lines := strings.Count(string(readme), "\n"); lines > mostLines {
		t.Errorf("the README has %d lines, want %d at most", lines, mostLines)
	}
}

// TestPagesNameWhatThereIs: each command of flycd in the text of a page, with its flags, and each setting.
func TestPagesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	settings := settingsOf(t)
	for _, file := range append(pages, filepath.Join("..", "..", "README.md"), filepath.Join("..", "..", "CHANGELOG.md"), filepath.Join("..", "..", "fly.dispatcher.toml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		prose := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(string(text), "")
		for _, found := range regexp.MustCompile("`flycd\\s([^`]*)`").FindAllStringSubmatch(prose, -1) {
			if err := understood(strings.Fields(found[1])); err != nil {
				t.Errorf("%s: %s: %v", file, found[0], err)
			}
		}
		for _, name := range regexp.MustCompile(`\bFLYCD_[A-Z0-9_]*[A-Z0-9]\b`).FindAllString(string(text), -1) {
			if !strings.Contains(settings, `"`+name+`"`) {
				t.Errorf("%s: nothing reads %s", file, name)
			}
		}
	}
}

// understood is an error where the words are not a command and its flags.
func understood(words []string) error {
	c := &cli{streams: streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}}
	root := c.root()
	if words[0] == "help" {
		return nil
	}
	cmd, rest, err := root.Find(words)
	switch {
	case err != nil:
		return err
	case cmd == root:
		return errors.New("there is no such command")
	default:
		return cmd.ParseFlags(rest)
	}
}

// settingsOf are the names of all that the three programs read, in quotes.
func settingsOf(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`env:"(\w+)`).FindAllStringSubmatch(string(text), -1) {
			b.WriteString(`"` + found[1] + `" "` + found[1] + `_FILE" `)
		}
	}
	return b.String()
}
