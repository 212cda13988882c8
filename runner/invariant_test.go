package runner_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// A commit that leaves the app's folder as it is costs one fetch of the source, no build and no write.
func TestSameSubtreeCostsOneFetch(t *testing.T) {
	h := newHouse(t, queuetest.Embedded(t))
	config, code := h.Repo("config"), h.Repo("code")
	code.Commit(map[string]string{"api/Dockerfile": dockerfile})
	h.roots = []job.Config{{Repo: config.URL}}
	h.push(config, config.Commit(map[string]string{"api/app.yaml": gitYAML("api", code.URL, "api")}))
	h.drain()
	before := h.env("api", "FLYCD_APP_SOURCE_REF_COMMIT")
	c := code.Commit(map[string]string{"elsewhere/notes": "nothing of the app"})
	h.GitRequests.Reset()
	h.FlyRequests.Reset()
	h.push(code, c)
	done := h.drain()
	h.expect(done, map[string]job.Outcome{"api": job.Unchanged})
	if got := done["api"].Result.SourceCommit; got != c.After {
		t.Errorf("judged %s, want %s", got, c.After)
	}
	packs := h.GitRequests.Matching(func(method, uri string) bool { return method == "POST" && strings.HasPrefix(uri, "/code.git/") })
	if len(packs) != 1 {
		t.Errorf("asked the source's repository for %v, want one fetch", packs)
	}
	if w := h.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("wrote to Fly: %v", w)
	}
	if after := h.env("api", "FLYCD_APP_SOURCE_REF_COMMIT"); !slices.Equal(after, before) {
		t.Errorf("the commit alone changed the machine: %v, before %v", after, before)
	}
}

// A bug of FlyCD's own ends one job, and nothing else: the runner records it and the next job goes on.
func TestPanicEndsOneJob(t *testing.T) {
	h := newHouse(t, queuetest.Embedded(t))
	config := h.Repo("config")
	h.roots = []job.Config{{Repo: config.URL}}
	h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", h.Image("web:1"), "1")}))
	sync, _ := h.take()
	if err := h.runner(sync).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, ok := h.take()
		if !ok {
			break
		}
		r := h.runner(l)
		r.Deployer.Fly = nil
		if err := r.Run(t.Context()); err != nil {
			t.Fatalf("the runner: %v", err)
		}
	}
	failed, err := h.queue.Jobs(t.Context(), queue.Filter{State: string(job.Failed)})
	if err != nil || len(failed) != 1 || !strings.Contains(failed[0].Detail, "bug of FlyCD's") {
		t.Fatalf("failed jobs: %+v, %v", failed, err)
	}
	h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", h.Image("web:1"), "2")}))
	if got := h.drain()["web"].Result.Outcome; got != job.Created {
		t.Errorf("the next job ended %q, want created", got)
	}
}

// A config tree that is forced back to an older commit is deployed as it was, also while the newer
// commit is under way.
func TestConfigForcedBackIsDeployed(t *testing.T) {
	for _, underWay := range []bool{false, true} {
		onBoth(t, func(h *house) {
			img, config := h.Image("web:1"), h.Repo("config")
			h.roots = []job.Config{{Repo: config.URL}}
			a := config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "a"), "api/app.yaml": yaml("api", img, "a")})
			h.push(config, a)
			h.drain()
			b := config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "b"), "more/app.yaml": yaml("more", img, "b")})
			h.push(config, b)
			var active []queue.Launch
			if underWay {
				sync, _ := h.take()
				if err := h.runner(sync).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				for l, ok := h.take(); ok; l, ok = h.take() {
					active = append(active, l)
				}
				if len(active) != 2 {
					t.Fatalf("%d jobs under way, want those of web and more", len(active))
				}
			} else {
				h.drain()
			}
			back := b
			back.Before, back.After = b.After, a.After
			h.push(config, back)
			for _, l := range active {
				if err := h.runner(l).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			h.drain()
			if got := h.env("web", "GREETING"); !slices.Equal(got, []string{"a"}) {
				t.Errorf("under way %t: web says %v, want what the older commit says", underWay, got)
			}
			if _, named, err := h.queue.Entry(t.Context(), "more"); err != nil || named {
				t.Errorf("under way %t: the catalog still names the app that the older commit lacks (%v)", underWay, err)
			}
		})
	}
}
