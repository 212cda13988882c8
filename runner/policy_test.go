package runner_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// closed is a policy whose only window is half a year away.
func closed() string {
	month := (int(time.Now().UTC().Month())+5)%12 + 1
	return fmt.Sprintf("sync: {windows: [{kind: allow, schedule: \"0 0 1 %d *\", duration: 1h}]}\n", month)
}

func TestClosedWindowPutsOffWhatNobodyAskedFor(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1") + closed()}))
		done := h.drain()
		web := done["web"]
		if web.State != queue.Delayed || web.FailedAttempts+web.Lost != 0 || !strings.Contains(web.Detail, "waits for its window") {
			h.t.Fatalf("web is %s after %d failed and %d lost attempts: %q", web.State, web.FailedAttempts, web.Lost, web.Detail)
		}
		if web.Due.Day() != 1 || time.Until(web.Due) < 24*time.Hour*28*5 {
			h.t.Errorf("web waits until %s", web.Due)
		}
		if n := len(h.FlyRequests.Writes()); n != 0 {
			h.t.Errorf("%d writes to Fly, want none", n)
		}
		// a newer push waits in its place
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "2") + closed()}))
		if next := h.drain()["web"]; next.State != queue.Delayed || h.record(web.Job.ID).State != string(job.Superseded) {
			h.t.Errorf("the newer push is %s, the older one %s", next.State, h.record(web.Job.ID).State)
		}
		// a person does not wait, and is told; a sync that the person asked for is the person's too
		h.pushJobs(job.Job{ID: job.SaltedID(job.Deploy, "web", "1"), Kind: job.Deploy, App: "web", Reason: job.ByDispatch})
		byHand := h.drain()
		h.expect(byHand, map[string]job.Outcome{"web": job.Created})
		if w := byHand["web"].Result.Warnings; !slices.ContainsFunc(w, func(s string) bool { return strings.Contains(s, "by hand although") }) {
			h.t.Errorf("warnings: %v", w)
		}
		config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "3") + closed()})
		h.pushJobs(job.Job{ID: job.SaltedID(job.Sync, "x", "1"), Kind: job.Sync, Config: h.roots[0], Reason: job.ByDispatch})
		h.expect(h.drain(), map[string]job.Outcome{h.roots[0].ID(): job.Updated, "web": job.Updated})
	})
}

func TestAppsOwnRetryBoundsItsAttempts(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		for limit := range 5 {
			if limit == 0 {
				continue
			}
			if err := h.Sim.SetFaults(flysim.Fault{Match: flysim.Match{Path: "/v1/apps/web"}, Do: flysim.Effect{Status: 500, Repeat: -1}}); err != nil {
				h.t.Fatal(err)
			}
			retry := fmt.Sprintf("sync: {retry: {limit: %d, backoff: 2ms}}\n", limit)
			h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, fmt.Sprint(limit)) + retry}))
			done := h.drain()
			h.expect(done, map[string]job.Outcome{tree: job.Updated, "web": job.Failed})
			if got := done["web"].FailedAttempts; got != limit {
				h.t.Errorf("%d failed attempts, want %d", got, limit)
			}
		}
	})
}

// What a push changes is deployed in the order of the dependencies, and what was kept back by a mistake
// follows when that is mended, without another push.
func TestDependenciesAreDeployedFirst(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		files := func(dbImage string) map[string]string {
			return map[string]string{
				"api/app.yaml": yaml("api", img, "1") + "depends_on: [cache, db]\n",
				"web/app.yaml": yaml("web", img, "1") + "depends_on: [api]\n",
				"db/app.yaml":  yaml("db", dbImage, "1"), "cache/app.yaml": yaml("cache", img, "1"),
			}
		}
		missing := strings.Replace(img, "web:1", "nowhere:1", 1)
		h.push(config, config.Commit(files(missing)))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "db": job.Rejected, "cache": job.Created})
		for app, want := range map[string]string{"api": "db, which it depends on, was last rejected", "web": "api, which it depends on, was last failed"} {
			list, err := h.queue.Jobs(h.t.Context(), queue.Filter{App: app})
			if err != nil || len(list) != 1 || list[0].State != string(job.Failed) || list[0].Attempt != 0 {
				h.t.Fatalf("%s: %+v, %v", app, list, err)
			}
			if !strings.Contains(list[0].Result.Detail, want) {
				h.t.Errorf("%s: %q, want %q", app, list[0].Result.Detail, want)
			}
		}
		h.push(config, config.Commit(map[string]string{"db/app.yaml": yaml("db", img, "1")}))
		done := h.drain()
		h.expect(done, map[string]job.Outcome{tree: job.Updated, "db": job.Created, "api": job.Created, "web": job.Created})
		if !done["db"].Ended.Before(done["api"].Claimed) || !done["api"].Ended.Before(done["web"].Claimed) {
			h.t.Errorf("db ended %s, api was begun %s and ended %s, web was begun %s", done["db"].Ended, done["api"].Claimed, done["api"].Ended, done["web"].Claimed)
		}
		if broken, err := h.queue.Audit(h.t.Context()); err != nil || len(broken) > 0 {
			h.t.Errorf("%v %v", broken, err)
		}
	})
}
