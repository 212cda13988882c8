package main

import (
	"bytes"
	"context"
	crypto "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/source"
)

// chaosApp is an app and what it should be in the end.
type chaosApp struct {
	name, image string
	tree, code  *chaosRepo
	// greeting is the newest text in its manifest; since is the first of its repository's commits that has
	// its newest source.
	greeting string
	since    int
}

func (a *chaosApp) manifest() string {
	src := "{type: image, image: " + a.image + "}"
	if a.code != nil {
		src = fmt.Sprintf("{type: git, repo: %s, path: %s}", a.code.URL, a.name)
	}
	return fmt.Sprintf("app: %s\norg: personal\nprimary_region: ams\nsource: %s\nenv: {GREETING: %q}\nhttp_service: {internal_port: 8080}\n",
		a.name, src, a.greeting)
}

// chaosRepo is a repository with the apps that its commits may concern.
type chaosRepo struct {
	*deploytest.Repo
	name string
	apps []*chaosApp
	// files are those of the first commit.
	files map[string]string

	mu      sync.Mutex
	commits []string
}

func (r *chaosRepo) config() job.Config { return job.Config{Repo: r.URL} }

// commit pushes files. The caller holds mu, or is alone.
func (r *chaosRepo) commit(files map[string]string) delivery {
	change := r.Commit(files)
	r.commits = append(r.commits, change.After)
	return delivery{repo: r, change: change, at: time.Now()}
}

// touch pushes a change to n of the apps.
func (r *chaosRepo) touch(n int, edit func(a *chaosApp) (file, text string)) delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	files := map[string]string{}
	for _, i := range rand.Perm(len(r.apps))[:n] {
		file, text := edit(r.apps[i])
		files[file] = text
	}
	return r.commit(files)
}

// makeRepos makes two config trees, repositories of a few apps, and a monorepo whose pushes need a fan-out.
func (c *chaos) makeRepos() {
	c.t.Helper()
	repo := func(name string) *chaosRepo {
		return &chaosRepo{Repo: c.Repo(name), name: name, files: map[string]string{}}
	}
	c.trees = []*chaosRepo{repo("config"), repo("config2")}
	app := func(name string, tree, code *chaosRepo) {
		a := &chaosApp{name: name, tree: tree, code: code, greeting: "first"}
		if code == nil {
			a.image = c.Image("web:1")
		} else {
			code.apps = append(code.apps, a)
			code.files[name+"/Dockerfile"] = "FROM scratch\n"
		}
		tree.apps = append(tree.apps, a)
		tree.files[name+"/app.yaml"] = a.manifest()
		c.apps = append(c.apps, a)
	}
	for i := range c.size.images {
		app(fmt.Sprintf("image-%d", i), c.trees[0], nil)
	}
	for r := range c.size.repos {
		code := repo(fmt.Sprintf("code-%d", r))
		c.repos = append(c.repos, code)
		for i := range c.size.perRepo {
			app(fmt.Sprintf("code-%d-%d", r, i), c.trees[0], code)
		}
	}
	mono := repo("mono")
	c.repos = append(c.repos, mono)
	for i := range c.size.mono {
		app(fmt.Sprintf("mono-%d", i), c.trees[1], mono)
	}
}

// delivery is one webhook.
type delivery struct {
	repo   *chaosRepo
	change source.Change
	at     time.Time
	guid   string
	body   []byte
}

// send delivers a push until it is taken, as somebody does who redelivers what failed. Now and then the
// forge does not wait for the answer, and asks again.
func (c *chaos) send(d delivery) {
	d.guid = crypto.Text()
	body, err := json.Marshal(pushEvent{
		Ref: "refs/heads/main", Before: d.change.Before, After: d.change.After,
		Repository: pushRepository{"chaos/" + d.repo.name, d.repo.URL, "main", d.at.Unix()},
		Sender:     pushSender{"somebody"},
	})
	if err != nil {
		c.t.Error(err)
		return
	}
	d.body = body
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(rand.N(300 * time.Millisecond)) {
		wait := time.Minute
		if rand.IntN(8) == 0 {
			wait = rand.N(50 * time.Millisecond)
		}
		if answer, ok := c.deliver(d, wait); ok {
			c.mu.Lock()
			c.answers[d.guid] = answer
			c.mu.Unlock()
			return
		}
	}
	c.t.Errorf("delivery %s of %s was never taken", d.guid, d.repo.name)
}

// deliver sends the webhook once.
func (c *chaos) deliver(d delivery, wait time.Duration) (answer queue.Answer, ok bool) {
	ctx, cancel := context.WithTimeout(c.t.Context(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.web+"/webhook", bytes.NewReader(d.body))
	if err != nil {
		return answer, false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", d.guid)
	req.Header.Set("X-Hub-Signature-256", sign(chaosSecret, d.body))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, false
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		return answer, false
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return answer, false
	}
	return answer, true
}
