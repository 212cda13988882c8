//go:build unix

package main

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/queue"
)

// TestEveryCommandOfTheREADMEWorks runs what the README and its longest example show, against a simulated Fly and forge,
// with the dispatcher and its runners as processes: each block as it stands, and between them what the text promises.
func TestEveryCommandOfTheREADMEWorks(t *testing.T) {
	t.Parallel()
	needs(t, "sh", "git", "perl")
	programs := programsOfFlyCD(t)
	t.Run("README", func(t *testing.T) {
		t.Parallel()
		newReader(t, programs).readme()
	})
	t.Run("gitops", func(t *testing.T) {
		t.Parallel()
		newReader(t, programs).gitops()
	})
}

// tell runs the blocks of a page. Each step is a word of the block that it comes after.
func (r *reader) tell(p *page, steps map[string]func()) {
	r.t.Helper()
	p.fill = func(block string) string {
		if strings.Contains(block, " ID") || strings.Contains(block, ":ID") {
			block = regexp.MustCompile(`\bID\b`).ReplaceAllString(block, r.job())
		}
		return r.fill(block)
	}
	left := slices.Collect(maps.Keys(steps))
	for _, block := range p.blocks() {
		p.run(block)
		for _, word := range slices.Clone(left) {
			if strings.Contains(block, word) {
				steps[word]()
				left = slices.DeleteFunc(left, func(w string) bool { return w == word })
			}
		}
	}
	if len(left) > 0 {
		r.t.Errorf("%s has no block with %q", p.file, left)
	}
}

// gitops is the way from nothing to a push that deploys, a plan, a prune, and back to nothing.
func (r *reader) gitops() {
	p := newPage(r.t, "examples/gitops/README.md", r.env())
	r.repo("gigurra/flycd", r.published())
	r.repo("acme/hello", nil)
	r.repo("acme/config", nil)
	pull := int64(0)
	r.tell(p, map[string]func(){
		"git clone": func() {
			for _, want := range []string{"2 apps without a mistake", "create app acme-site", "create app acme-hello"} {
				r.says(p, want)
			}
		},
		"--check           ": func() {
			r.until("the first sync", func() bool { return r.machines("acme-site") == 1 && r.machines("acme-hello") == 1 })
			r.until("green statuses", func() bool { return r.green("acme/config", "flycd/sync", "flycd/acme-site", "flycd/acme-hello") })
			r.says(p, "nothing to do")
		},
		"Say it again": func() {
			r.until("the deploy of a push", func() bool { return r.deployed("acme-site", 2) })
			if r.deployed("acme-hello", 2) {
				r.t.Error("a push deployed an app that it did not change")
			}
			r.commit("acme/hello", map[string]string{"Dockerfile": "FROM busybox:1.37\n"})
			r.until("the deploy of the other repository's push", func() bool { return r.deployed("acme-hello", 2) && r.green("acme/hello", "flycd/acme-hello") })
		},
		"flycd logs ID": func() { r.says(p, "acme-site") },
		"git switch -c": func() {
			var err error
			if pull, _, err = r.forge.OpenPull(r.t.Context(), forgesim.Pull{Repo: "acme/config", Head: "bigger", User: "ann"}); err != nil {
				r.t.Fatal(err)
			}
			r.until("the plan of a pull request", func() bool { return strings.Contains(r.comment("acme/config", pull), "acme-site") })
			if r.machines("acme-site") != 1 {
				r.t.Error("a pull request deployed")
			}
		},
		"git merge": func() {
			r.until("what was merged", func() bool { return r.machines("acme-site") == 2 })
		},
		"git rm": func() {
			r.until("the sync of a push", func() bool { return strings.Contains(r.story(), "destroy acme-hello") })
		},
		"flycd prune": func() {
			if gone := r.machines("acme-hello") == 0; !gone {
				r.says(p, "acme-hello")
			}
			r.until("the prune", func() bool { return r.machines("acme-hello") == 0 })
		},
		"flycd uninstall": func() {
			if apps := r.fly.State().Apps; len(apps) != 0 {
				r.t.Errorf("an uninstall left %d apps, the first of them %s", len(apps), apps[0].Name)
			}
			for _, repo := range r.forge.State().Repos {
				if len(repo.Hooks) != 0 && repo.Repo != "acme/hello" { // as the page says
					r.t.Errorf("an uninstall left the hooks of %s", repo.Repo)
				}
			}
		},
	})
}

// published are the files of FlyCD's repository that a reader takes, with images and repositories that are here, and
// without the time that people need.
func (r *reader) published() map[string]string {
	dir := r.t.TempDir()
	host := strings.TrimPrefix(r.forgeURL, "http://")
	copyExamples(r.t, dir, r.image, strings.NewReplacer(
		"docker.io/library/nginx", r.host+"/nginx", "https://github.com/", r.forgeURL+"/", "github.com/acme", host+"/acme", "prune_grace: 10m", "prune_grace: 3s"))
	files := map[string]string{}
	for _, example := range []string{"hello", "gitops"} {
		root := os.DirFS(dir)
		for _, name := range filesBelow(r.t, filepath.Join(dir, "examples", example)) {
			f, err := root.Open(filepath.ToSlash(filepath.Join("examples", example, name)))
			if err != nil {
				r.t.Fatal(err)
			}
			text, err := io.ReadAll(f)
			_ = f.Close()
			if err != nil {
				r.t.Fatal(err)
			}
			files["examples/"+example+"/"+filepath.ToSlash(name)] = string(text)
		}
	}
	return files
}

func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, p)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (r *reader) says(p *page, want string) {
	r.t.Helper()
	if said := p.said(); !strings.Contains(said, want) {
		r.t.Errorf("%s: it does not say %q: %s", p.file, want, said)
	}
}

// withQueue asks the queue.
func (r *reader) withQueue(do func(context.Context, *queue.Queue) error) {
	r.t.Helper()
	q, err := queue.Open(r.redis, "")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	if err := do(r.t.Context(), q); err != nil {
		r.t.Fatal(err)
	}
}

// job is the newest deploy.
func (r *reader) job() (id string) {
	r.t.Helper()
	r.withQueue(func(ctx context.Context, q *queue.Queue) error {
		list, err := q.Jobs(ctx, queue.Filter{})
		for _, j := range list {
			if id == "" && j.Job.Kind == "deploy" {
				id = string(j.Job.ID)
			}
		}
		return err
	})
	return id
}

// deployed reports whether an app had that many deploys that ended well and changed something.
func (r *reader) deployed(app string, want int) bool {
	r.t.Helper()
	n := 0
	r.withQueue(func(ctx context.Context, q *queue.Queue) error {
		list, err := q.Jobs(ctx, queue.Filter{})
		for _, j := range list {
			if j.Job.App == app && (j.State == "created" || j.State == "updated") {
				n++
			}
		}
		return err
	})
	return n >= want
}

// green reports whether a commit of the repository has these statuses, as success.
func (r *reader) green(repo string, statuses ...string) bool {
	left := slices.Clone(statuses)
	for _, has := range r.forge.State().Repos {
		for _, s := range has.Statuses {
			if has.Repo == repo && s.State == "success" {
				left = slices.DeleteFunc(left, func(status string) bool { return status == s.Context })
			}
		}
	}
	return len(left) == 0
}

func (r *reader) comment(repo string, pull int64) (body string) {
	for _, has := range r.forge.State().Repos {
		for _, c := range has.Comments {
			if has.Repo == repo && c.Number == pull {
				body += c.Body
			}
		}
	}
	return body
}
