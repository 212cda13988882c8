package runner_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// Config and source are pushed while the app waits: one deploy makes both real.
func TestBothHalvesAreDeployed(t *testing.T) {
	onBoth(t, func(h *house) {
		config, code := h.Repo("config"), h.Repo("code")
		code.Commit(map[string]string{"api/Dockerfile": dockerfile, "api/main": "1"})
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		h.push(config, config.Commit(map[string]string{"api/app.yaml": gitYAML("api", code.URL, "api")}))
		h.drain()

		source := code.Commit(map[string]string{"api/main": "2"})
		conf := config.Commit(map[string]string{"api/app.yaml": gitYAML("api", code.URL, "api") + "env: {A: b}\n"})
		h.push(code, source)
		h.push(config, conf)
		// the sync first, then the source's job and the sync's child are one subject
		done := h.drain()
		r := done["api"].Result
		if !r.Outcome.Done() || r.ConfigCommit != conf.After || r.SourceCommit != source.After {
			h.t.Errorf("%s with config %s and source %s, want %s and %s", r.Outcome, r.ConfigCommit, r.SourceCommit, conf.After, source.After)
		}
		if got := h.env("api", "A"); len(got) != 1 || got[0] != "b" {
			h.t.Errorf("api has A=%v", got)
		}
		if got := h.env("api", "FLYCD_APP_SOURCE_REF_COMMIT"); len(got) != 1 || got[0] != source.After {
			h.t.Errorf("api says it is of commit %v, want %s", got, source.After)
		}
		if done[tree].Result.Outcome != job.Updated {
			h.t.Errorf("sync: %+v", done[tree].Result)
		}
	})
}

// The commit of the push is deployed, also when the branch has moved on or back since.
func TestForcedPushBackIsDeployed(t *testing.T) {
	onBoth(t, func(h *house) {
		config, code := h.Repo("config"), h.Repo("code")
		a := code.Commit(map[string]string{"Dockerfile": dockerfile, "main": "a"})
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"api/app.yaml": gitYAML("api", code.URL, "")}))
		h.drain()
		b := code.Commit(map[string]string{"main": "b"})
		h.push(code, b)
		h.expect(h.drain(), map[string]job.Outcome{"api": job.Updated})
		// back to a: the same commit as before, pushed later
		back := b
		back.Before, back.After = b.After, a.After
		h.push(code, back)
		done := h.drain()
		h.expect(done, map[string]job.Outcome{"api": job.Updated})
		if got := done["api"].Result; got.SourceCommit != a.After || got.Release != 3 {
			h.t.Errorf("release %d of %s, want 3 of %s", got.Release, got.SourceCommit, a.After)
		}
	})
}

func TestLateOldPushIsSuperseded(t *testing.T) {
	onBoth(t, func(h *house) {
		config, code := h.Repo("config"), h.Repo("code")
		code.Commit(map[string]string{"Dockerfile": dockerfile})
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{"api/app.yaml": gitYAML("api", code.URL, "")}))
		h.drain()
		older, newer := code.Commit(map[string]string{"main": "1"}), code.Commit(map[string]string{"main": "2"})
		h.pushAt(code, newer, h.clock+20)
		if s := h.pushAt(code, older, h.clock+10).Jobs[0].State; s != "superseded" {
			h.t.Errorf("the older push is %s", s)
		}
		done := h.drain()
		if got := done["api"].Result.SourceCommit; got != newer.After {
			h.t.Errorf("deployed %s, want %s", got, newer.After)
		}
	})
}

// A push that concerns many apps of one repository is fetched once, and only the apps whose folder
// changed are deployed.
func TestManyAppsOfOneRepositoryAreSortedOut(t *testing.T) {
	onBoth(t, func(h *house) {
		config, code := h.Repo("config"), h.Repo("code")
		manifests, folders := map[string]string{}, map[string]string{}
		const apps = 8
		for i := range apps {
			name := fmt.Sprintf("app%d", i)
			manifests[name+"/app.yaml"] = gitYAML(name, code.URL, name)
			folders[name+"/Dockerfile"] = dockerfile
		}
		code.Commit(folders)
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(manifests))
		if done := h.drain(); len(done) != apps+1 {
			h.t.Fatalf("%d jobs, want %d", len(done), apps+1)
		}
		h.GitRequests.Reset()
		answer := h.push(code, code.Commit(map[string]string{"app3/main": "1", "app5/main": "1"}))
		if len(answer.Jobs) != 1 || answer.Jobs[0].Kind != job.Sync {
			h.t.Fatalf("the push made %+v, want one fan-out", answer.Jobs)
		}
		done := h.drain()
		if len(done) != 3 || done["app3"].Result.Outcome != job.Updated || done["app5"].Result.Outcome != job.Updated {
			h.t.Errorf("done: %v", outcomes(done))
		}
		if n := h.GitRequests.Fetches(); n > 1+2*2 {
			h.t.Errorf("%d fetches, want one for the fan-out and two for each app", n)
		}
	})
}

// An app that its tree no longer names is destroyed where that was asked for, unless the tree names
// it again before.
func TestPrunedAndAddedAgain(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		text := yaml("web", img, "1") + "sync: {prune: true, prune_grace: 0}\n"
		h.push(config, config.Commit(map[string]string{"web/app.yaml": text, "other/app.yaml": yaml("other", img, "1")}))
		h.drain()

		// taken out and put back before the destroy ran
		h.push(config, config.Commit(map[string]string{"web/app.yaml": ""}))
		l, _ := h.take()
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		destroy, ok := h.take()
		if !ok || destroy.Job.Kind != job.Destroy {
			h.t.Fatalf("took %+v, want a destroy", destroy.Job)
		}
		h.push(config, config.Commit(map[string]string{"web/app.yaml": text}))
		l, _ = h.take()
		if err := h.runner(l).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if err := h.runner(destroy).Run(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if got := h.record(destroy.Job.ID).Result.Outcome; got != job.Cancelled {
			h.t.Errorf("the destroy ended %s, want cancelled", got)
		}
		h.expect(h.drain(), map[string]job.Outcome{"web": job.Unchanged})

		// taken out for good
		h.push(config, config.Commit(map[string]string{"web/app.yaml": ""}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Updated})
		if o, err := h.Fly().Observe(h.t.Context(), "web", plan.Scope{}); err != nil || o.Exists {
			h.t.Errorf("web is still there: %v %v", o, err)
		}
		if o, err := h.Fly().Observe(h.t.Context(), "other", plan.Scope{}); err != nil || len(o.Machines) != 1 {
			h.t.Errorf("other has gone too: %v", err)
		}

		// and back
		h.push(config, config.Commit(map[string]string{"web/app.yaml": text}))
		h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Created})
	})
}

func TestDestroyTouchesNoData(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		h.push(config, config.Commit(map[string]string{
			"web/app.yaml":   yaml("web", img, "1") + "mounts: [{source: data, destination: /data}]\nsync: {prune: true, prune_grace: 0}\n",
			"other/app.yaml": yaml("other", img, "1"),
		}))
		h.drain()
		h.push(config, config.Commit(map[string]string{"web/app.yaml": ""}))
		done := h.drain()
		if r := done["web"].Result; r.Outcome != job.Rejected || !strings.Contains(r.Detail, "data") {
			h.t.Errorf("%s: %s", r.Outcome, r.Detail)
		}
		if o, err := h.Fly().Observe(h.t.Context(), "web", plan.Scope{}); err != nil || len(o.Machines) != 1 || len(o.Volumes) != 1 {
			h.t.Errorf("web lost something: %d machines, %d volumes, %v", len(o.Machines), len(o.Volumes), err)
		}
	})
}

// The tree was lost from Redis: everything is found again on Fly.
func TestLosingRedisLosesHistoryOnly(t *testing.T) {
	h := newHouse(t, queuetest.Embedded(t))
	img := h.Image("web:1")
	config, code := h.Repo("config"), h.Repo("code")
	code.Commit(map[string]string{"api/Dockerfile": dockerfile})
	h.roots = []job.Config{{Repo: config.URL}}
	tree := h.roots[0].ID()
	c := config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "1"), "api/app.yaml": gitYAML("api", code.URL, "api")})
	h.push(config, c)
	h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Created, "api": job.Created})
	empty, err := queue.Open(queuetest.Embedded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	h.queue = empty
	h.FlyRequests.Reset()
	h.push(config, c)
	h.expect(h.drain(), map[string]job.Outcome{tree: job.Updated, "web": job.Unchanged, "api": job.Unchanged})
	if w := h.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("wrote to Fly: %v", w)
	}
	if n := len(h.GitRequests.Matching(func(_, uri string) bool { return strings.HasPrefix(uri, "/code.git/git-upload-pack") })); n != 1 {
		t.Errorf("%d fetches of the source, want the first deploy's: its commit is on the machines", n)
	}
}
