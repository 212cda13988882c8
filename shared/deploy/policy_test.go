package deploy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// followed is an app that follows an image.
func followed(image, policy string) string {
	return "app: hello\norg: personal\nprimary_region: ams\nsource: {type: image, image: \"" + image + "\", " + policy + "}\n"
}

// knownAs gives the catalog's entry as a sync would have written it after the app's last result.
func (b *bench) knownAs(app string, e catalog.Entry) func(*deploy.Request) {
	last := b.last[app]
	e.App, e.Commit, e.Digest, e.Auto = app, last.ConfigCommit, last.ConfigDigest, true
	return func(r *deploy.Request) { e.Config = r.Job.Config; r.Entry = &e }
}

func TestPolicyTakesTheHighestTagThatItAllows(t *testing.T) {
	b := newBench(t, flysim.Options{})
	for _, tag := range []string{"1.0.0", "1.1.0", "2.0.0", "nightly"} {
		b.Image("web:" + tag)
	}
	repo := b.Repo("config")
	repo.Commit(map[string]string{"app.yaml": followed(b.Registry+"/web", `policy: {semver: "1.x"}`)})
	tree := job.Config{Repo: repo.URL}
	known := func() func(*deploy.Request) {
		return b.knownAs("hello", catalog.Entry{Image: b.Registry + "/web", Policy: catalog.ImagePolicy{Semver: "1.x"}})
	}
	for _, step := range []struct {
		push, runs string
		want       job.Outcome
	}{
		{"", "web:1.1.0@", job.Created},
		{"", "web:1.1.0@", job.Unchanged},
		{"1.2.0", "web:1.2.0@", job.Updated},
		{"2.1.0", "web:1.2.0@", job.Unchanged},
		{"1.1.5", "web:1.2.0@", job.Unchanged},
	} {
		if step.push != "" {
			b.Image("web:" + step.push)
		}
		var change func(*deploy.Request)
		if step.want != job.Created {
			change = known()
		}
		b.FlyRequests.Reset()
		res := b.deploy("hello", tree, change)
		b.expect(res, step.want)
		if !strings.Contains(res.Image, step.runs) {
			t.Errorf("after %q it runs %s, want %s", step.push, res.Image, step.runs)
		}
		if w := b.FlyRequests.Writes(); step.want == job.Unchanged && len(w) > 0 {
			t.Errorf("unchanged wrote to Fly: %v", w)
		}
	}
}

func TestTagThatMovesIsDeployedAndOneThatStandsIsNot(t *testing.T) {
	b := newBench(t, flysim.Options{})
	img := b.Image("web:latest")
	repo := b.Repo("config")
	repo.Commit(map[string]string{"app.yaml": followed(img, "policy: {digest: true}")})
	tree := job.Config{Repo: repo.URL}
	first := b.deploy("hello", tree, nil)
	b.expect(first, job.Created)
	entry := catalog.Entry{Image: img, Policy: catalog.ImagePolicy{Digest: true}}
	for _, known := range []bool{true, false} {
		var change func(*deploy.Request)
		if known {
			change = b.knownAs("hello", entry)
		}
		b.expect(b.deploy("hello", tree, change), job.Unchanged)
	}
	b.Image("web:latest")
	second := b.deploy("hello", tree, b.knownAs("hello", entry))
	b.expect(second, job.Updated)
	if first.Image == second.Image {
		t.Errorf("the tag moved, and %s still runs", second.Image)
	}
}

// An app may name its image in build.image, also beside a repository that only its files come from.
func TestPolicyIsFollowedForBuildImageToo(t *testing.T) {
	b := newBench(t, flysim.Options{})
	code := b.Repo("code")
	code.Commit(map[string]string{"notes": "x"})
	for app, source := range map[string]string{"own": "type: image", "aside": `type: git, repo: "` + code.URL + `"`, "near": "type: local"} {
		img := b.Registry + "/" + app
		b.Image(app + ":1.0.0")
		repo := b.Repo("config-" + app)
		repo.Commit(map[string]string{
			"app.yaml": "app: " + app + "\norg: personal\nprimary_region: ams\nbuild: {image: " + img + "}\nsource: {" + source + ", policy: {semver: 1.x}}\n",
		})
		tree := job.Config{Repo: repo.URL}
		b.expect(b.deploy(app, tree, nil), job.Created)
		entry := catalog.Entry{Image: img, Policy: catalog.ImagePolicy{Semver: "1.x"}}
		if app == "aside" {
			entry.Source = catalog.Source{Repo: code.URL}
		}
		b.expect(b.deploy(app, tree, b.knownAs(app, entry)), job.Unchanged)
		b.Image(app + ":1.1.0")
		res := b.deploy(app, tree, b.knownAs(app, entry))
		if res.Outcome != job.Updated || !strings.HasPrefix(res.Image, img+":1.1.0@") {
			t.Errorf("%s: after a new tag it is %s, and runs %s", app, res.Outcome, res.Image)
		}
	}
}

func TestPolicyWithoutAMatchIsRejectedAndNothingChanges(t *testing.T) {
	b := newBench(t, flysim.Options{})
	b.Image("web:1.0.0")
	repo := b.Repo("config")
	repo.Commit(map[string]string{"app.yaml": followed(b.Registry+"/web", `policy: {semver: ">=2"}`)})
	res := b.deploy("hello", job.Config{Repo: repo.URL}, nil)
	b.expect(res, job.Rejected)
	if !strings.Contains(res.Detail, "app.yaml") || !strings.Contains(res.Detail, ">=2") {
		t.Errorf("detail %q, want the file and the range", res.Detail)
	}
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("a rejected deploy wrote to Fly: %v", w)
	}
}

func TestImageIsCopiedIntoTheAppsRepositoryOnce(t *testing.T) {
	b := newBench(t, flysim.Options{})
	b.deployer.Registry = b.Registry
	img := b.Image("upstream/web:1")
	repo := b.Repo("config")
	repo.Commit(map[string]string{"app.yaml": followed(img, "copy: true")})
	tree := job.Config{Repo: repo.URL}
	plan, err := b.deployer.Plan(t.Context(), deploy.Request{Job: job.Job{Kind: job.Plan, App: "hello", Config: tree}})
	if err != nil {
		t.Fatal(err)
	}
	if pushed := b.RegistryRequests.Matching(func(method, uri string) bool {
		return method != http.MethodGet && strings.Contains(uri, "/hello/") && method != http.MethodHead
	}); len(pushed) > 0 {
		t.Errorf("a plan copied: %v", pushed)
	}
	first := b.deploy("hello", tree, nil)
	b.expect(first, job.Created)
	if !strings.HasPrefix(first.Image, b.Registry+"/hello:c-") || plan.Result.Image != first.Image {
		t.Errorf("it runs %s, and the plan said %s", first.Image, plan.Result.Image)
	}
	if _, err := b.Images().Resolve(t.Context(), strings.Split(first.Image, "@")[0]); err != nil {
		t.Errorf("the copy is not in the registry: %v", err)
	}
	repo.Commit(map[string]string{"app.yaml": followed(img, "copy: true") + "env: {A: b}\n"})
	b.RegistryRequests.Reset()
	second := b.deploy("hello", tree, nil)
	b.expect(second, job.Updated)
	if second.Image != first.Image || len(b.RegistryRequests.Writes()) > 0 {
		t.Errorf("it runs %s, and wrote %v to the registry", second.Image, b.RegistryRequests.Writes())
	}
}
