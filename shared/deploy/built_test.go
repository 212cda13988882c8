package deploy_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// unbuildable is a bench whose builder can look images up and build none.
func unbuildable(t *testing.T) (*bench, job.Config, func(*deploy.Request) string) {
	t.Helper()
	b := newBench(t, flysim.Options{})
	b.deployer.Registry = b.Registry
	b.deployer.Builder = image.Buildctl{Path: "/nowhere/buildctl", Registry: b.Registry}
	code := b.Repo("code")
	code.Commit(map[string]string{"Dockerfile": "FROM scratch\nCOPY says /\n", "says": "one"})
	config := b.Repo("config")
	config.Commit(map[string]string{"app.yaml": "app: shop\norg: personal\nprimary_region: ams\nsource: {type: git, repo: \"" + code.URL + "\"}\n"})
	tree := job.Config{Repo: config.URL}
	return b, tree, func(r *deploy.Request) string {
		t.Helper()
		req := deploy.Request{Job: job.Job{Kind: job.Plan, App: "shop", Config: tree}}
		if r != nil {
			req = *r
		}
		p, err := b.deployer.Plan(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return p.Result.Image
	}
}

func TestPlanNamesTheImageThatIsThereElseTheTagThatItWouldGet(t *testing.T) {
	b, _, plan := unbuildable(t)
	first := plan(nil)
	if !strings.HasPrefix(first, b.Registry+"/shop:t-") || strings.Contains(first, "@") {
		t.Errorf("before it is built the plan says %s", first)
	}
	b.Image(strings.TrimPrefix(first, b.Registry+"/"))
	if second := plan(nil); !strings.HasPrefix(second, first+"@sha256:") {
		t.Errorf("when it is there the plan says %s", second)
	}
	if w := b.RegistryRequests.Matching(func(method, uri string) bool { return method == http.MethodGet && strings.Contains(uri, "/shop/") }); len(w) > 0 {
		t.Errorf("more than HEAD was asked: %v", w)
	}
}

// Broken when: an image that the registry has is built, which nothing here can.
func TestImageThatIsThereIsDeployedWithoutABuild(t *testing.T) {
	b, tree, plan := unbuildable(t)
	b.Image(strings.TrimPrefix(plan(nil), b.Registry+"/"))
	b.expect(b.deploy("shop", tree, nil), job.Created)
}

func TestWithoutABuilderOneIsToldWhatToSetUp(t *testing.T) {
	b, tree, _ := unbuildable(t)
	for says, builder := range map[string]image.Builder{"buildctl": b.deployer.Builder, "FLYCD_BUILDER": nil} {
		b.deployer.Builder = builder
		res := b.deploy("shop", tree, nil)
		b.expect(res, job.Rejected)
		if !strings.Contains(res.Detail, says) && !strings.Contains(res.Detail, "BUILDKIT_HOST") {
			t.Errorf("%s does not say what to set up", res.Detail)
		}
		if res.Image != "" {
			t.Errorf("what was not built is image %q", res.Image)
		}
	}
}

func TestPlanDoesNotNeedTheRegistry(t *testing.T) {
	b, tree, plan := unbuildable(t)
	b.deployer.Registry = "127.0.0.1:1"
	b.deployer.Builder = image.Buildctl{Registry: "127.0.0.1:1"}
	if got := plan(nil); !strings.HasPrefix(got, "127.0.0.1:1/shop:t-") {
		t.Errorf("the plan says %s", got)
	}
	if _, err := b.deployer.Deploy(t.Context(), deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "shop", "x"), Kind: job.Deploy, App: "shop", Config: tree}}); err == nil {
		t.Error("a deploy without its registry is no failure that may pass")
	}
}

// What goes into an image decides its tag, and nothing else does.
func TestTagFollowsWhatTheImageIsMadeOf(t *testing.T) {
	b := newBench(t, flysim.Options{})
	b.deployer.Registry, b.deployer.Builder = b.Registry, image.Buildctl{Registry: b.Registry}
	code := b.Repo("code")
	code.Commit(map[string]string{"Dockerfile": "FROM scratch\n", "other/Dockerfile": "FROM scratch\n"})
	config := b.Repo("config")
	tree := job.Config{Repo: config.URL}
	tag := func(app, more string) string {
		t.Helper()
		config.Commit(map[string]string{"a/app.yaml": "app: " + app + "\norg: personal\nprimary_region: ams\nsource: {type: git, repo: \"" + code.URL + "\"}\n" + more})
		p, err := b.deployer.Plan(t.Context(), deploy.Request{Job: job.Job{Kind: job.Plan, App: app, Config: tree}})
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(p.Result.Image, ":t-")
		return name
	}
	plain := tag("shop", "")
	for _, more := range []string{"env: {A: b}\n", "build: {cache: off}\n", "build: {timeout: 60}\n", "machines: {count: 2}\n", "image: {repository: \"" + b.Registry + "/shared\"}\n"} {
		if got := tag("shop", more); got != plain {
			t.Errorf("%q gives another tag", more)
		}
	}
	if got := tag("other", ""); got != plain {
		t.Error("another app gives another tag")
	}
	seen := map[string]string{plain: "nothing"}
	for _, more := range []string{
		"build: {args: {A: b}}\n", "build: {build-target: x}\n", "build: {labels: {A: b}}\n", "build: {dockerfile: other/Dockerfile}\n",
		"build: {network: none}\n", "build: {provenance: true}\n", "build: {compression: zstd}\n",
		"build: {secrets: [A]}\nsecrets: [{name: A, type: env, build_only: true}]\n", "build: {ssh: {default: A}}\nsecrets: [{name: A, type: env, build_only: true}]\n",
	} {
		got := tag("shop", more)
		if was, ok := seen[got]; ok {
			t.Errorf("%q gives the tag of %s", more, was)
		}
		seen[got] = more
	}
}

// Broken when: a build's secret becomes one of the app.
func TestSecretOfABuildIsNotTheApps(t *testing.T) {
	b := newBench(t, flysim.Options{})
	b.deployer.Secrets.Env = map[string]string{"TOKEN": "the token of the build", "KEY": "the key of the app"}
	b.deployer.DigestKey = manifest.NewSecret("digest key")
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"src/Dockerfile": "FROM scratch\n",
		"app.yaml":       local + "build: {secrets: [TOKEN]}\nsecrets: [{name: TOKEN, type: env, build_only: true}, {name: KEY, type: env}]\n",
	})
	b.expect(b.deploy("shop", job.Config{Repo: dir}, nil), job.Created)
	var names []string
	for _, s := range b.Sim.State().Apps[0].Secrets {
		names = append(names, s.Name)
	}
	if strings.Join(names, " ") != "KEY" {
		t.Errorf("the app has %v", names)
	}
	delete(b.deployer.Secrets.Env, "TOKEN")
	write(t, dir, map[string]string{"src/Dockerfile": "FROM scratch\nLABEL a=b\n"})
	res := b.deploy("shop", job.Config{Repo: dir}, nil)
	b.expect(res, job.Rejected)
	if !strings.Contains(res.Detail, "TOKEN") {
		t.Errorf("detail %q does not name the secret", res.Detail)
	}
}

// Broken when: a Dockerfile that is written into the manifest changes, and the image of the one before is taken.
func TestInlineDockerfileOverASourceIsInTheTag(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	text := func(inline string) map[string]string {
		return map[string]string{
			"app.yaml": "app: shop\norg: personal\nsource: {type: local, path: src, inline: \"" + inline + "\"}\n", "src/Dockerfile": "FROM scratch\n",
		}
	}
	write(t, dir, text("FROM scratch\\nLABEL a=1"))
	first := b.deploy("shop", job.Config{Repo: dir}, nil)
	b.expect(first, job.Created)
	write(t, dir, text("FROM scratch\\nLABEL a=2"))
	second := b.deploy("shop", job.Config{Repo: dir}, nil)
	b.expect(second, job.Updated)
	if first.Image == second.Image {
		t.Errorf("the Dockerfile changed and the image is still %s", second.Image)
	}
}

// Broken when: a script of merge_cfg is made executable, and nothing is deployed.
func TestMergedFileThatBecomesExecutableIsAnotherImage(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": local + "merge_cfg: {include: [run.sh]}\n", "run.sh": "#!/bin/sh\n", "src/Dockerfile": "FROM scratch\n"})
	first := b.deploy("shop", job.Config{Repo: dir}, nil)
	b.expect(first, job.Created)
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	second := b.deploy("shop", job.Config{Repo: dir}, nil)
	b.expect(second, job.Updated)
	if first.Image == second.Image {
		t.Errorf("the file may be run now and the image is still %s", second.Image)
	}
}

// Broken when: the image of the build before is taken although a file of this one changed.
func TestFileThatTheIgnoreFileOfTheBuildLetsInIsInTheTag(t *testing.T) {
	for name, c := range map[string]struct {
		more  string
		files map[string]string
	}{
		"named":             {"build: {ignorefile: other}\n", map[string]string{"src/other": "nothing\n"}},
		"beside":            {"build: {dockerfile: Containerfile}\n", map[string]string{"src/Containerfile.dockerignore": "nothing\n"}},
		"merged":            {"merge_cfg: {include: [.dockerignore]}\n", map[string]string{".dockerignore": "nothing\n"}},
		"of the Dockerfile": {"build: {dockerfile: says}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, flysim.Options{})
			dir := t.TempDir()
			write(t, dir, map[string]string{
				"app.yaml": local + c.more, "src/.dockerignore": "*\n", "src/Dockerfile": "FROM scratch\n", "src/Containerfile": "FROM scratch\n", "src/says": "FROM a\n",
			})
			write(t, dir, c.files)
			first := b.deploy("shop", job.Config{Repo: dir}, nil)
			b.expect(first, job.Created)
			write(t, dir, map[string]string{"src/says": "FROM b\n"})
			second := b.deploy("shop", job.Config{Repo: dir}, nil)
			b.expect(second, job.Updated)
			if first.Image == second.Image {
				t.Errorf("the file changed and the image is still %s", second.Image)
			}
		})
	}
}

// Broken when: whoever builds an image anew under its tag cannot have it deployed, since machines run the old one.
func TestForceTakesTheImageThatTheRegistryHasNow(t *testing.T) {
	b, tree, plan := unbuildable(t)
	tag := strings.TrimPrefix(plan(nil), b.Registry+"/")
	b.Image(tag)
	first := b.deploy("shop", tree, nil)
	b.expect(first, job.Created)
	b.Image(tag)
	b.expect(b.deploy("shop", tree, func(r *deploy.Request) { r.Last = job.Result{} }), job.Unchanged)
	forced := b.deploy("shop", tree, func(r *deploy.Request) { r.Force = true })
	b.expect(forced, job.Updated)
	if forced.Image == first.Image {
		t.Errorf("still %s", forced.Image)
	}
	b.deployer.Builder = nil
	if again := b.deploy("shop", tree, func(r *deploy.Request) { r.Force = true }); again.Outcome != job.Updated || again.Image != forced.Image {
		t.Errorf("where nothing builds, the image that runs is %s: %s %s", forced.Image, again.Outcome, again.Image)
	}
}

// Broken when: --no-cache and force together take the image that the machines run, and so never build it again.
func TestForceWithoutCacheBuildsAgain(t *testing.T) {
	b, tree, plan := unbuildable(t)
	b.Image(strings.TrimPrefix(plan(nil), b.Registry+"/"))
	b.expect(b.deploy("shop", tree, nil), job.Created)
	text := "app: shop\norg: personal\nprimary_region: ams\nsource: {type: git, repo: \"" + b.GitURL + "/code.git\"}\ndeploy_params: [--no-cache]\n"
	b.Repo("config").Commit(map[string]string{"app.yaml": text})
	b.expect(b.deploy("shop", tree, nil), job.Updated)
	res := b.deploy("shop", tree, func(r *deploy.Request) { r.Force = true })
	b.expect(res, job.Rejected)
	if !strings.Contains(res.Detail, "buildctl") {
		t.Errorf("no build was tried: %s", res.Detail)
	}
}

// Broken when: a build that outlasts its attempt is a lost attempt, of which there are many.
func TestBuildThatOutlastsItsAttemptIsAFailedOne(t *testing.T) {
	b, tree, _ := unbuildable(t)
	stuck := filepath.Join(t.TempDir(), "buildctl")
	if err := os.WriteFile(stuck, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.deployer.Builder = image.Buildctl{Path: stuck, Registry: b.Registry}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := b.deployer.Deploy(ctx, deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "shop", "x"), Kind: job.Deploy, App: "shop", Config: tree}})
	if err == nil || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "time of its attempt") {
		t.Errorf("error is %v", err)
	}
	if ctx.Err() != nil {
		t.Error("the attempt ended before the build")
	}
}

// Broken when: an image stays in a repository that the manifest does not name any more, which may be about to go.
func TestImageIsWhereTheManifestSaysNow(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": local, "src/Dockerfile": "FROM scratch\n"})
	b.expect(b.deploy("shop", job.Config{Repo: dir}, nil), job.Created)
	write(t, dir, map[string]string{"app.yaml": local + "image: {repository: ghcr.io/acme/shop}\n"})
	res := b.deploy("shop", job.Config{Repo: dir}, nil)
	b.expect(res, job.Updated)
	if !strings.HasPrefix(res.Image, "ghcr.io/acme/shop:t-") {
		t.Errorf("the image is still %s", res.Image)
	}
}
