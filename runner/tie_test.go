package runner_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// GitHub tells the time of a push in whole seconds and orders no deliveries. When several pushes of one
// second come in the wrong order, the head is deployed in the end, whichever comes last.
func TestPushesOfOneSecondEndAtTheHead(t *testing.T) {
	for _, last := range [][]int{{4, 2}, {4, 0}, {4, 2, 1}} {
		onBoth(t, func(h *house) {
			img := h.Image("web:1")
			config := h.Repo("config")
			h.roots = []job.Config{{Repo: config.URL}}
			h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "first")}))
			h.drain()
			// 3 is deployed first; then come the others
			pushed := h.pushedAtOnce(config, func(n string) map[string]string { return map[string]string{"web/app.yaml": yaml("web", img, n)} })
			at := h.clock + 10
			h.pushAt(config, pushed[3], at)
			h.drain()
			for _, n := range last {
				h.pushAt(config, pushed[n], at)
			}
			h.drain()
			if got := h.env("web", "GREETING"); !slices.Equal(got, []string{"4"}) {
				t.Errorf("after 3 and %v web says %v, want what the head says", last, got)
			}
		})
	}
}

// fanned deploys so many apps of one repository that a push of it needs a fan-out, and gives the repository.
func (h *house) fanned() *deploytest.Repo {
	h.t.Helper()
	config, code := h.Repo("config"), h.Repo("code")
	h.roots = []job.Config{{Repo: config.URL}}
	manifests, folders := map[string]string{}, map[string]string{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		manifests[name+"/app.yaml"], folders[name+"/Dockerfile"] = gitYAML(name, code.URL, name), dockerfile
	}
	code.Commit(folders)
	h.push(config, config.Commit(manifests))
	h.drain()
	return code
}

// The same holds for the pushes of a repository that need a fan-out.
func TestFanOutsOfOneSecondEndAtTheHead(t *testing.T) {
	onBoth(t, func(h *house) {
		code := h.fanned()
		pushed := h.pushedAtOnce(code, func(n string) map[string]string { return map[string]string{"a/main": n} })
		at := h.clock + 10
		h.pushAt(code, pushed[3], at)
		h.drain()
		h.pushAt(code, pushed[4], at)
		h.pushAt(code, pushed[2], at)
		h.drain()
		if got, want := h.env("a", "FLYCD_APP_SOURCE_REF_COMMIT"), []string{pushed[4].After}; !slices.Equal(got, want) {
			t.Errorf("a is of commit %v, want the head %v of %v", got, want, pushed)
		}
	})
}

// pushedAtOnce makes five commits, each of the files that belong to its number.
func (h *house) pushedAtOnce(r *deploytest.Repo, files func(n string) map[string]string) []source.Change {
	var list []source.Change
	for i := range 5 {
		list = append(list, r.Commit(files(string(rune('0'+i)))))
	}
	return list
}

// Pushes of one second come while the runner of an earlier one boots. It asks the forge, and so reads the
// head; those that come after it must not take the tree back to a commit of their own.
//
// Broken when: a sync whose half was deployed by the one before it reads the commit of its own push, although
// it was told that only the forge knows the head. The apps are right at first, and the next push to one of
// them deploys the old manifest.
func TestPushThatWasReadAlreadyTakesNothingBack(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		tree := h.roots[0].ID()
		h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "first")}))
		h.drain()
		pushed := h.pushedAtOnce(config, func(n string) map[string]string { return map[string]string{"web/app.yaml": yaml("web", img, n)} })
		at := h.clock + 10
		h.pushAt(config, pushed[2], at)
		booting, ok := h.take()
		if !ok {
			t.Fatal("no launch")
		}
		h.pushAt(config, pushed[4], at)
		if s := h.pushAt(config, pushed[1], at).Jobs[0].State; s != "parked" {
			t.Fatalf("the last push is %s, want it parked behind the launch", s)
		}
		if err := h.runner(booting).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.drain()
		entries, err := h.queue.Entries(t.Context(), tree)
		if err != nil || len(entries) != 1 || entries[0].Commit != pushed[4].After {
			t.Errorf("the catalog has %+v, %v, want web at the head %s", entries, err, pushed[4].After)
		}
		h.pushJobs(job.Job{ID: job.SaltedID(job.Deploy, "web", "later"), Kind: job.Deploy, App: "web", Created: time.Now()})
		h.drain()
		if got := h.env("web", "GREETING"); !slices.Equal(got, []string{"4"}) {
			t.Errorf("web says %v, want what the head says", got)
		}
	})
}

// The same holds for the fan-outs of a repository: what the head is, is asked when the fan-out is done.
func TestFanOutThatWasDoneAlreadyTakesNothingBack(t *testing.T) {
	onBoth(t, func(h *house) {
		code := h.fanned()
		pushed := h.pushedAtOnce(code, func(n string) map[string]string { return map[string]string{"a/main": n} })
		at := h.clock + 10
		h.pushAt(code, pushed[2], at)
		booting, ok := h.take()
		if !ok {
			t.Fatal("no launch")
		}
		h.pushAt(code, pushed[4], at)
		last := h.pushAt(code, pushed[1], at).Jobs[0]
		if err := h.runner(booting).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.drain()
		if got, want := h.env("a", "FLYCD_APP_SOURCE_REF_COMMIT"), []string{pushed[4].After}; !slices.Equal(got, want) {
			t.Errorf("a is of commit %v, want the head %v of %v", got, want, pushed)
		}
		if got := h.record(last.ID).Result; got.SourceCommit != pushed[4].After {
			t.Errorf("the last fan-out looked at %s, want the head %s", got.SourceCommit, pushed[4].After)
		}
	})
}

// during is a registry that lets something happen when it is first asked.
type during struct {
	deploy.Images
	once sync.Once
	do   func()
}

func (d *during) Pick(ctx context.Context, ref string, p manifest.ImagePolicy) (image.Reference, error) {
	d.once.Do(d.do)
	return d.Images.Pick(ctx, ref, p)
}

// A runner has asked the forge for the head and deploys it, when the config goes back to what was deployed
// before: that is a change all the same.
//
// Broken when: a sync compares with what was deployed although a wish is under way whose digest nobody knew.
func TestConfigThatGoesBackUnderATieIsDeployed(t *testing.T) {
	onBoth(t, func(h *house) {
		img := h.Image("web:1")
		config := h.Repo("config")
		h.roots = []job.Config{{Repo: config.URL}}
		text := func(n string) map[string]string { return map[string]string{"web/app.yaml": yaml("web", img, n)} }
		h.push(config, config.Commit(text("first")))
		h.drain()
		pushed := h.pushedAtOnce(config, text)
		h.clock += 10
		// two syncs of one second, so that the app's wish is left to the forge
		for _, n := range []int{3, 1} {
			h.pushAt(config, pushed[n], h.clock)
			l, ok := h.take()
			if !ok {
				t.Fatal("no launch")
			}
			if err := h.runner(l).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l, ok := h.take()
		if !ok || l.Job.App != "web" {
			t.Fatalf("launched %+v, want web's deploy", l.Job)
		}
		r := h.runner(l)
		r.Deployer.Images = &during{Images: r.Deployer.Images, do: func() {
			h.push(config, config.Commit(text("first")))
			back, ok := h.take()
			if !ok || back.Job.App != "" {
				t.Errorf("launched %+v, want the sync", back.Job)
				return
			}
			if err := h.runner(back).Run(t.Context()); err != nil {
				t.Error(err)
			}
		}}
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.drain()
		if got := h.env("web", "GREETING"); !slices.Equal(got, []string{"first"}) {
			t.Errorf("web says %v, want what the head says", got)
		}
	})
}
