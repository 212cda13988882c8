package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// A runner's token is narrowed to its app, and to those whose repository its images are kept in.
func TestCatalogNamesWhereImagesAreKept(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		at := func(name, repository string) string {
			return "app: " + name + "\norg: personal\nsource: {type: local}\nimage: {repository: " + repository + "}\n"
		}
		for host, registry := range map[string]string{"registry.fly.io": "", "127.0.0.1:5000": "127.0.0.1:5000"} {
			s := d.syncer(d.queue)
			s.Registry = registry
			req := d.wish(config, config.Commit(map[string]string{
				"n": "at " + host, "a/app.yaml": at("a0", host+"/shared-images"), "b/app.yaml": at("b0", host+"/b0"), "c/app.yaml": at("c0", "ghcr.io/acme/web"),
				"d/app.yaml": at("d0", host+"/shared-images/part"), "e/app.yaml": app("e0"),
			}))
			if res, err := s.Sync(d.t.Context(), req); err != nil || res.Outcome == job.Rejected {
				d.t.Fatalf("%s %s %v", res.Outcome, res.Detail, err)
			}
			entries, err := d.queue.Entries(d.t.Context(), req.Job.Config.ID())
			if err != nil {
				d.t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.App+":"+strings.Join(e.Shares, ","))
			}
			if want := []string{"a0:shared-images", "b0:", "c0:", "d0:shared-images", "e0:"}; !slices.Equal(got, want) {
				d.t.Errorf("at %s: %v, want %v", host, got, want)
			}
		}
	})
}

// Where an app answers is told where it answers the public.
func TestResultSaysWhereTheAppAnswers(t *testing.T) {
	b := newBench(t, flysim.Options{})
	img, repo := b.Image("hello:1"), b.Repo("config")
	worker := "app: worker\norg: personal\nprimary_region: ams\nsource: {type: image, image: " + img + "}\n"
	repo.Commit(map[string]string{
		"hello/app.yaml": manifestOf(img, "hi"), "worker/app.yaml": worker,
		"inner/app.yaml": strings.Replace(manifestOf(img, "hi"), "app: hello", "app: inner", 1) + "network: {ips: [{v: v6, private: true}]}\n",
	})
	for app, want := range map[string]string{"hello": "https://hello.fly.dev", "worker": "", "inner": ""} {
		for _, outcome := range []job.Outcome{job.Created, job.Unchanged} {
			res := b.deploy(app, job.Config{Repo: repo.URL}, nil)
			if b.expect(res, outcome); res.URL != want {
				t.Errorf("%s answers at %q, want %q", app, res.URL, want)
			}
		}
	}
}

// What the catalog read last was taken away by a forced push: what is there now is deployed. What a push names is not
// replaced by anything else.
func TestForcedPushTakesNoCommitAwayForGood(t *testing.T) {
	b := newBench(t, flysim.Options{})
	img, repo := b.Image("hello:1"), b.Repo("config")
	c := repo.Commit(map[string]string{"hello/app.yaml": manifestOf(img, "hi")})
	tree, lost := job.Config{Repo: repo.URL}, strings.Repeat("a", 40)
	res := b.deploy("hello", tree, func(r *deploy.Request) {
		r.Entry = &catalog.Entry{App: "hello", Config: tree, Dir: "hello", Commit: lost, Digest: "x", Auto: true}
	})
	if b.expect(res, job.Created); res.ConfigCommit != c.After {
		t.Errorf("deployed %s, want the head", res.ConfigCommit)
	}
	res = b.deploy("hello", tree, func(r *deploy.Request) {
		r.Config = &job.Half{Side: job.ConfigSide, Repo: repo.URL, Ref: "refs/heads/main", Default: true, Commit: lost}
	})
	if b.expect(res, job.Rejected); !strings.Contains(res.Detail, "a forced push removed it") {
		t.Errorf("detail %q", res.Detail)
	}
}
