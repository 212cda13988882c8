package runner_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
)

const dockerfile = "FROM scratch\nCOPY . /\n"

func TestPushIsDeployed(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config, code := h.Repo("config"), h.Repo("code")
		code.Commit(map[string]string{"api/Dockerfile": dockerfile, "api/main": "1", "docs/readme": "1"})
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()

		h.push(config, config.Commit(map[string]string{
			"web/app.yaml": yaml("web", img, "hi"), "api/app.yaml": gitYAML("api", code.URL, "api"),
		}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Created, "api": job.Created})

		// a commit outside the folder: one fetch, no build, no write
		h.FlyRequests.Reset()
		h.GitRequests.Reset()
		h.push(code, code.Commit(map[string]string{"docs/readme": "2"}))
		h.expect(h.drain(), map[string]job.Outcome{"api": job.Unchanged})
		if w := h.FlyRequests.Writes(); len(w) > 0 {
			h.t.Errorf("a commit elsewhere wrote to Fly: %v", w)
		}

		// nothing at all has changed: no fetch, one ls-remote
		h.GitRequests.Reset()
		h.push(config, config.Commit(map[string]string{"README.md": "only words"}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Unchanged})

		h.push(code, code.Commit(map[string]string{"api/main": "2"}))
		done := h.drain()
		h.expect(done, map[string]job.Outcome{"api": job.Updated})
		if r := done["api"].Result; r.Release != 2 || r.SourceCommit == "" {
			h.t.Errorf("result %+v", r)
		}

		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "hello")}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Updated})
		if got := h.env("web", "GREETING"); len(got) != 1 || got[0] != "hello" {
			h.t.Errorf("web runs with %q", got)
		}
	})
}

func TestUnchangedCostsOneQuestion(t *testing.T) {
	onBoth(t, func(h *house) {
		config, code := h.Repo("config"), h.Repo("code")
		c := code.Commit(map[string]string{"api/Dockerfile": dockerfile})
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"api/app.yaml": gitYAML("api", code.URL, "api")}))
		h.drain()
		h.push(code, c)
		h.drain()
		h.GitRequests.Reset()
		h.FlyRequests.Reset()
		// dispatched by hand: the halves are the catalog's and ls-remote's
		j := job.Job{ID: job.SaltedID(job.Deploy, "api", "x"), Kind: job.Deploy, App: "api", Order: job.Order{Time: h.clock + 1}}
		h.pushJobs(j)
		h.expect(h.drain(), map[string]job.Outcome{"api": job.Unchanged})
		if f, a := h.GitRequests.Fetches(), h.GitRequests.Asks(); f != 0 || a != 1 {
			h.t.Errorf("%d fetches and %d ls-remotes, want none and one", f, a)
		}
		if w := h.FlyRequests.Writes(); len(w) > 0 {
			h.t.Errorf("unchanged wrote to Fly: %v", w)
		}
	})
}

func TestBadAppsStopNobody(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		h.push(config, config.Commit(map[string]string{
			"a/app.yaml": yaml("good", img, "hi"),
			"b/app.yaml": yaml("typo", img, "hi") + "http_servcie: {}\n",
			"c/app.yaml": "app: broken\n\tsource: x\n",
			"d/app.yaml": yaml("lost", h.Registry+"/nothing:1", "hi"),
			"e/app.yaml": yaml("secretive", img, "hi") + "secrets: [{name: X, type: env}]\n",
		}))
		done := h.drain()
		h.expect(done, map[string]job.Outcome{tree: job.Rejected, "good": job.Created, "lost": job.Rejected, "secretive": job.Rejected})
		for _, part := range []string{"b/app.yaml:", "http_servcie", "c/app.yaml:"} {
			if !strings.Contains(done[tree].Result.Detail, part) {
				h.t.Errorf("the sync says %q, want %q in it", done[tree].Result.Detail, part)
			}
		}
		if d := done["secretive"].Result.Detail; !strings.Contains(d, "secret X: X is not in the runner's environment") {
			h.t.Errorf("rejected with %q", d)
		}
	})
}
