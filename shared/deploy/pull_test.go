package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/source"
)

// planner is a deployer for the plans of a desk's trees.
func (d *desk) planner() *deploy.Deployer {
	return &deploy.Deployer{Fly: d.Fly(), Source: d.Source(), Images: d.Images(), Builder: image.Fact{}, Index: d.queue, Tombs: d.queue}
}

// pull is the plan of a pull request whose head is a commit.
func (d *desk) pull(r *deploytest.Repo, c source.Change) deploy.Request {
	return deploy.Request{Job: job.Job{
		ID: job.SaltedID(job.Plan, "pull", c.After), Kind: job.Plan, Config: job.Config{Repo: r.URL}, Pull: 7, Reason: job.ByPull, Created: time.Now(),
		Half: job.Half{Side: job.ConfigSide, Repo: r.URL, Ref: "refs/pull/7/head", Commit: c.After},
	}}
}

// live syncs what was committed and deploys all that follows.
func (d *desk) live(r *deploytest.Repo, c source.Change) {
	d.t.Helper()
	d.sync(d.wish(r, c))
	for {
		l, ok, err := d.queue.Take(d.t.Context(), 10)
		if err != nil || !ok {
			return
		}
		c, err := d.queue.Claim(d.t.Context(), l.Job.ID, l.Attempt, "m")
		if err != nil {
			d.t.Fatal(err)
		}
		res, err := d.planner().Deploy(d.t.Context(), deploy.Request{Job: c.Job, Config: c.Wish.Config, Entry: c.Entry, Final: true})
		if err != nil || !res.Outcome.Done() {
			d.t.Fatalf("%s: %s %s %v", c.Job.App, res.Outcome, res.Detail, err)
		}
		if err := d.queue.Finish(d.t.Context(), c, res); err != nil {
			d.t.Fatal(err)
		}
	}
}

// sound is an app that runs an image.
func sound(name, image, more string) string {
	return fmt.Sprintf("app: %s\norg: personal\nprimary_region: ams\nsource: {type: image, image: %s}\n%s\n", name, image, more)
}

// TestPullRequestIsPlannedAndChangesNothing has every sort of app in one request: each that differs is told, with what
// would become of it, and no other; what is wrong with some is told as well, and rejects the job.
func TestPullRequestIsPlannedAndChangesNothing(t *testing.T) {
	onBoth(t, func(d *desk) {
		config, img := d.Repo("config"), d.Image("web:1")
		d.live(config, config.Commit(map[string]string{
			"project.yaml": "project: p\nsource: {type: local}\nallow: {regions: [ams], repos: ['**']}\n",
			"web/app.yaml": sound("web", img, "env: {GREETING: old}"), "same/app.yaml": sound("same", img, ""), "bad/app.yaml": sound("bad", img, ""),
			"gone/app.yaml": sound("gone", img, "sync: {prune: true}"), "left/app.yaml": sound("left", img, ""),
		}))
		evil := "](http://evil.example) <img src=x> @everyone <!-- ``` `"
		head := config.Commit(map[string]string{
			"web/app.yaml": sound("web", img, fmt.Sprintf("env: {GREETING: %q}", evil)), "new/app.yaml": sound("new", img, ""),
			"gone/app.yaml": "", "left/app.yaml": "", "bad/app.yaml": sound("bad", img, fmt.Sprintf("%q: 1", "x"+evil)),
			"far/app.yaml": strings.Replace(sound("far", img, ""), "ams", "lhr", 1),
		})
		d.FlyRequests.Reset()
		res, err := d.planner().Deploy(d.t.Context(), d.pull(config, head))
		if err != nil {
			d.t.Fatal(err)
		}
		if res.Outcome != job.Rejected || res.ConfigCommit != head.After || len(res.Plan) > 60_000 {
			d.t.Errorf("%s at %s: %s", res.Outcome, res.ConfigCommit, res.Detail)
		}
		for _, want := range []string{
			"GREETING", "`new`", "`gone`", "it will be destroyed 10m0s after the merge", "`left`", "it stays as it is", "`bad`", "`far`", "allow.regions",
		} {
			if !strings.Contains(res.Plan, want) {
				d.t.Errorf("%q is not in the plan", want)
			}
		}
		if strings.Contains(res.Plan, "`same`") {
			d.t.Error("an app that is the same is in the plan")
		}
		if text := outsideCode(res.Plan); strings.Contains(text, "evil") || strings.Contains(text, "@everyone") || strings.Contains(text, "<img") || strings.Contains(text, "<!--") {
			d.t.Errorf("the plan is not inert:\n%s", res.Plan)
		}
		if d.t.Failed() {
			d.t.Log(res.Plan)
		}
		if w := d.FlyRequests.Writes(); len(w) > 0 {
			d.t.Errorf("wrote to Fly: %v", w)
		}
		if got := d.catalog(config); !slices.Equal(got, []string{"bad", "gone", "left", "same", "web"}) || len(d.waiting()) > 0 {
			d.t.Errorf("the catalog has %v, and jobs wait for %v", got, d.waiting())
		}
		// mended, it is no longer rejected; what cannot be read may name those that seem to have gone
		good := config.Commit(map[string]string{"far/app.yaml": "", "bad/app.yaml": sound("bad", img, "")})
		if res, err := d.planner().Deploy(d.t.Context(), d.pull(config, good)); err != nil || res.Outcome != job.Unchanged || !strings.Contains(res.Plan, "`gone`") {
			d.t.Errorf("%s %s %v\n%s", res.Outcome, res.Detail, err, res.Plan)
		}
		hidden := config.Commit(map[string]string{"more/project.yaml": "project: ["})
		if res, err := d.planner().Deploy(d.t.Context(), d.pull(config, hidden)); err != nil || res.Outcome != job.Rejected || strings.Contains(res.Plan, "no longer named") {
			d.t.Errorf("%s %s %v\n%s", res.Outcome, res.Detail, err, res.Plan)
		}
	})
}

// outsideCode is Markdown without its fenced blocks and code spans.
func outsideCode(text string) string {
	var out []string
	fence := ""
	for line := range strings.SplitSeq(text, "\n") {
		ticks := regexp.MustCompile("^`{3,}").FindString(strings.TrimLeft(line, " "))
		switch {
		case fence == "" && ticks != "":
			fence = ticks
		case fence != "" && strings.TrimSpace(line) == fence:
			fence = ""
		case fence == "":
			out = append(out, line)
		}
	}
	spans := regexp.MustCompile("(`+)(.*?[^`])(`+)")
	return spans.ReplaceAllStringFunc(strings.Join(out, "\n"), func(s string) string {
		if m := spans.FindStringSubmatch(s); m[1] != m[3] {
			return s
		}
		return ""
	})
}

// asked gives a credential for every repository, and remembers for which it was asked.
type asked struct {
	mu   sync.Mutex
	list []string
}

func (a *asked) Credential(_ context.Context, repo string) (source.Credential, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, job.RepoKey(repo))
	return source.Credential{Username: "x", Password: manifest.NewSecret("hunter2-git")}, nil
}

// looking counts how often an image is looked for.
type looking struct {
	image.Fact
	n *int
}

func (l looking) Built(ctx context.Context, req image.Request) (image.Reference, bool, error) {
	*l.n++
	return l.Fact.Built(ctx, req)
}

// TestForksPlanUsesNothingOfOurs plans what a stranger wrote, who names our private repository, our registry and our
// secrets: no credential is used but what opens the config repository, and no secret is looked at.
func TestForksPlanUsesNothingOfOurs(t *testing.T) {
	onBoth(t, func(d *desk) {
		logins := &asked{}
		private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if login := r.Header.Get("Authorization"); login != "" {
				_, _ = logins.Credential(r.Context(), "registry")
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		defer private.Close()
		host := strings.TrimPrefix(private.URL, "http://")
		config, code, img := d.Repo("config"), d.Repo("private"), d.Image("web:1")
		code.Commit(map[string]string{"Dockerfile": "FROM scratch\n"})
		d.live(config, config.Commit(map[string]string{"web/app.yaml": sound("web", img, "")}))
		head := config.Commit(map[string]string{
			"web/app.yaml":   sound("web", img, "secrets: [{name: STOLEN, type: env, env: OURS}]"),
			"code/app.yaml":  "app: thief\norg: personal\nprimary_region: ams\nsource: {type: git, repo: " + code.URL + "}\n",
			"image/app.yaml": sound("puller", host+"/private:1", ""),
		})
		for _, untrusted := range []bool{false, true} {
			git, looks := &asked{}, 0
			p := d.planner()
			p.Builder = looking{n: &looks}
			p.Source.Auth = git
			p.Secrets = secret.Environment([]string{"OURS=hunter2-env"})
			p.DigestKey = manifest.NewSecret("hunter2-key")
			p.Images = image.Registry{Logins: map[string]image.Login{host: {Username: "us", Password: manifest.NewSecret("hunter2-reg")}}}
			logins.list = nil
			req := d.pull(config, head)
			req.Job.Untrusted = untrusted
			res, err := p.Deploy(d.t.Context(), req)
			if err != nil {
				d.t.Fatal(err)
			}
			if strings.Contains(res.Plan+res.Detail+strings.Join(res.Warnings, ""), "hunter2") {
				d.t.Errorf("a secret is told: %s", res.Plan)
			}
			elsewhere := slices.ContainsFunc(git.list, func(repo string) bool { return repo != job.RepoKey(config.URL) })
			if elsewhere == untrusted || (len(logins.list) > 0) == untrusted || (looks > 0) == untrusted || strings.Contains(res.Plan, "secrets are left out of the plan") != untrusted {
				d.t.Errorf("untrusted: %t: asked for credentials of %v, %d logins at the registry, %d looks for an image, %s\n%s", untrusted, git.list, len(logins.list), looks, res.Outcome, res.Plan)
			}
		}
	})
}
