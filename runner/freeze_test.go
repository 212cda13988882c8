package runner_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// Frozen, an app or a whole tree takes pushes and deploys none of them, until it is freed: then the newest alone.
func TestFrozenAppIsDeployedWhenItIsFreed(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1"), "api/app.yaml": yaml("api", img, "1")}))
		h.drain()
		for n, frozen := range []string{"web", tree} {
			if err := h.queue.Suspend(h.t.Context(), frozen, queue.Suspension{By: "ann", Why: "release"}); err != nil {
				h.t.Fatal(err)
			}
			before := h.env("web", "GREETING")
			for _, text := range []string{"a", "b"} {
				h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, text+frozen)}))
				for subject, r := range h.drain() {
					if r.Job.App != "" || frozen == tree {
						h.t.Errorf("%s is frozen, and %s ended %s", frozen, subject, r.State)
					}
				}
			}
			if got := h.env("web", "GREETING"); strings.Join(got, "") != strings.Join(before, "") {
				h.t.Errorf("%s is frozen, and web runs %v", frozen, got)
			}
			if _, err := h.queue.Resume(h.t.Context(), frozen); err != nil {
				h.t.Fatal(err)
			}
			want := map[string]job.Outcome{"web": job.Updated}
			if frozen == tree {
				want[tree] = job.Updated
			}
			h.expect(h.drain(), want)
			if got := strings.Join(h.env("web", "GREETING"), ""); got != "b"+frozen {
				h.t.Errorf("freed for the %d. time, web runs %q", n+1, got)
			}
			if broken, err := h.queue.Audit(h.t.Context()); err != nil || len(broken) > 0 {
				h.t.Errorf("%v %v", broken, err)
			}
		}
	})
}

// What an app depends on may be another tree's: it waits for a deploy of that which is under way, and is not deployed
// upon one that failed until that is mended.
func TestDependencyOfAnotherTreeIsWaitedFor(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		infra, shop := h.Repo("infra"), h.Repo("shop")
		h.roots = []job.Config{{Repo: infra.URL}, {Repo: shop.URL}}
		missing := strings.Replace(img, "web:1", "nowhere:1", 1)
		h.push(infra, infra.Commit(map[string]string{"db/app.yaml": yaml("db", missing, "1")}))
		h.push(shop, shop.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1") + "depends_on: [db]\n"}))
		done := h.drain()
		if done["db"].Result.Outcome != job.Rejected || done["web"].Result.Outcome == job.Created {
			h.t.Fatalf("db ended %s, and web %s", done["db"].Result.Outcome, done["web"].Result.Outcome)
		}
		list, err := h.queue.Jobs(h.t.Context(), queue.Filter{App: "web"})
		if err != nil || len(list) != 1 || !strings.Contains(list[0].Result.Detail, "db, which it depends on") {
			h.t.Fatalf("web: %+v, %v", list, err)
		}
		h.push(infra, infra.Commit(map[string]string{"db/app.yaml": yaml("db", img, "1")}))
		done = h.drain()
		h.expect(done, map[string]job.Outcome{h.roots[0].ID(): job.Updated, "db": job.Created, "web": job.Created})
		if !done["db"].Ended.Before(done["web"].Claimed) {
			h.t.Errorf("db ended %s, web was begun %s", done["db"].Ended, done["web"].Claimed)
		}
		// both at once, the one that waits first
		h.push(shop, shop.Commit(map[string]string{"web/app.yaml": yaml("web", img, "2") + "depends_on: [db]\n"}))
		h.push(infra, infra.Commit(map[string]string{"db/app.yaml": yaml("db", img, "2")}))
		done = h.drain()
		h.expect(done, map[string]job.Outcome{h.roots[0].ID(): job.Updated, h.roots[1].ID(): job.Updated, "db": job.Updated, "web": job.Updated})
		if !done["db"].Ended.Before(done["web"].Claimed) {
			h.t.Errorf("db ended %s, web was begun %s", done["db"].Ended, done["web"].Claimed)
		}
	})
}
