package deploy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const local = `app: shop
org: personal
primary_region: ams
source: {type: local, path: src}
http_service: {internal_port: 8080}
`

func TestLocalFolderIsDeployed(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": local, "src/Dockerfile": "FROM scratch\n", "src/main": "1", "notes": "x"})
	tree := job.Config{Repo: dir}
	b.expect(b.deploy("shop", tree, nil), job.Created)
	write(t, dir, map[string]string{"notes": "y"})
	b.FlyRequests.Reset()
	b.expect(b.deploy("shop", tree, nil), job.Unchanged)
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("a file beside the source wrote to Fly: %v", w)
	}
	write(t, dir, map[string]string{"src/main": "2"})
	b.expect(b.deploy("shop", tree, nil), job.Updated)
}

func TestInlineDockerfileIsBuiltWithMergedFiles(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	text := "app: shop\norg: personal\nsource: {type: inline-docker-file, inline: \"FROM scratch\\nCOPY . /\\n\"}\nmerge_cfg: {include: [conf]}\n"
	write(t, dir, map[string]string{"app.yaml": text, "conf/a": "1", "other": "1"})
	tree := job.Config{Repo: dir}
	first := b.deploy("shop", tree, nil)
	b.expect(first, job.Created)
	write(t, dir, map[string]string{"other": "2"})
	b.expect(b.deploy("shop", tree, nil), job.Unchanged)
	write(t, dir, map[string]string{"conf/a": "2"})
	second := b.deploy("shop", tree, nil)
	b.expect(second, job.Updated)
	if first.Image == second.Image {
		t.Errorf("the merged file changed and the image is still %s", second.Image)
	}
}

// The config changes and the source does not: the image that runs is taken again, not built.
func TestConfigChangeBuildsNothing(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": local, "src/Dockerfile": "FROM scratch\n"})
	tree := job.Config{Repo: dir}
	first := b.deploy("shop", tree, nil)
	write(t, dir, map[string]string{"app.yaml": local + "env: {A: b}\n"})
	b.deployer.Builder = nil
	second := b.deploy("shop", tree, nil)
	b.expect(second, job.Updated)
	if second.Image != first.Image {
		t.Errorf("image %s, want %s", second.Image, first.Image)
	}
}

func TestForceDeploysOnce(t *testing.T) {
	b := newBench(t, flysim.Options{})
	repo := b.Repo("config")
	repo.Commit(map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi")})
	tree := job.Config{Repo: repo.URL}
	b.deploy("hello", tree, nil)
	var forced job.Job
	force := func(r *deploy.Request) { r.Job.Force = true; forced = r.Job }
	res := b.deploy("hello", tree, force)
	b.expect(res, job.Updated)
	if res.Release != 2 {
		t.Errorf("release %d, want 2", res.Release)
	}
	// the same job again, as after a crash before its result was recorded
	b.FlyRequests.Reset()
	res = b.deploy("hello", tree, func(r *deploy.Request) { r.Job = forced })
	b.expect(res, job.Updated)
	if w := b.FlyRequests.Writes(); res.Release != 2 || len(w) > 0 {
		t.Errorf("release %d after the forced job ran again, want 2; it wrote %v", res.Release, w)
	}
}

func TestDriftIsMendedWithoutRelease(t *testing.T) {
	b := newBench(t, flysim.Options{})
	repo := b.Repo("config")
	repo.Commit(map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi") + "machines: {count: 2}\n"})
	tree := job.Config{Repo: repo.URL}
	b.expect(b.deploy("hello", tree, nil), job.Created)
	id := b.Sim.State().Apps[0].Machines[0].ID
	b.order(id, "vanish")
	res := b.deploy("hello", tree, nil)
	b.expect(res, job.Updated)
	if res.Release != 1 || len(b.Sim.State().Apps[0].Machines) < 2 {
		t.Errorf("release %d with %d machines", res.Release, len(b.Sim.State().Apps[0].Machines))
	}
}

func TestPlanChangesNothing(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": local, "src/Dockerfile": "FROM scratch\n"})
	req := deploy.Request{Job: job.Job{ID: job.SaltedID(job.Plan, "shop", "1"), Kind: job.Plan, App: "shop", Config: job.Config{Repo: dir}}}
	p, err := b.deployer.Plan(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("a plan wrote to Fly: %v", w)
	}
	if p.Result.Outcome != job.Created || !strings.Contains(strings.Join(p.Summary, "\n"), "create app shop") {
		t.Errorf("%s: %q", p.Result.Outcome, p.Summary)
	}
	b.deploy("shop", job.Config{Repo: dir}, nil)
	p, err = b.deployer.Plan(t.Context(), req)
	if err != nil || !p.Plan.Empty() || p.Result.Outcome != job.Unchanged {
		t.Errorf("after the deploy: %v %q %s", err, p.Summary, p.Result.Outcome)
	}
}

func TestRejectedWithASentence(t *testing.T) {
	b := newBench(t, flysim.Options{Foreign: []string{"taken"}})
	img := b.Image("hello:1")
	for name, c := range map[string]struct {
		files map[string]string
		app   string
		want  string
	}{
		"no secret":      {map[string]string{"app.yaml": manifestOf(img, "x") + "secrets: [{name: A, type: env}]\n"}, "hello", "app.yaml: secret A: A is not in the runner's environment"},
		"builtin":        {map[string]string{"app.yaml": local + "build: {builtin: node}\n", "src/x": ""}, "shop", "build.builtin: "},
		"no Dockerfile":  {map[string]string{"app.yaml": local, "src/x": "x"}, "shop", "Dockerfile"},
		"no folder":      {map[string]string{"app.yaml": local}, "shop", "src"},
		"no such app":    {map[string]string{"app.yaml": local, "src/Dockerfile": "FROM scratch\n"}, "other", "names no app other: it has shop"},
		"bad manifest":   {map[string]string{"app.yaml": "app: shop\nsorce: {}\n"}, "shop", "app.yaml:2:1: sorce"},
		"somebody's":     {map[string]string{"app.yaml": strings.Replace(manifestOf(img, "x"), "app: hello", "app: taken", 1)}, "taken", "somebody else"},
		"unknown image":  {map[string]string{"app.yaml": manifestOf(b.Registry+"/none:1", "x")}, "hello", "none:1"},
		"missing merged": {map[string]string{"app.yaml": local + "merge_cfg: {include: [nope]}\n", "src/Dockerfile": "FROM scratch\n"}, "shop", "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.files)
			b.FlyRequests.Reset()
			res := b.deploy(c.app, job.Config{Repo: dir}, nil)
			if res.Outcome != job.Rejected || !strings.Contains(res.Detail, c.want) {
				t.Errorf("%s: %s; want rejected with %q", res.Outcome, res.Detail, c.want)
			}
			if w := b.FlyRequests.Writes(); len(w) > 0 {
				t.Errorf("a rejected deploy wrote to Fly: %v", w)
			}
		})
	}
}

func TestProjectOfAnotherRepository(t *testing.T) {
	b := newBench(t, flysim.Options{})
	img := b.Image("hello:1")
	root, team := b.Repo("root"), b.Repo("team")
	team.Commit(map[string]string{"apps/hello/app.yaml": manifestOf(img, "hi")})
	root.Commit(map[string]string{"project.yaml": "project: team\nsource: {type: git, repo: " + team.URL + ", path: apps}\ncommon: {app_overrides: {env: {TEAM: blue}}}\n"})
	tree := job.Config{Repo: root.URL}
	res := b.deploy("hello", tree, nil)
	b.expect(res, job.Created)
	if res.Fingerprint != "" {
		t.Error("the root's commit does not say everything, and yet there is a fingerprint")
	}
	team.Commit(map[string]string{"apps/hello/app.yaml": manifestOf(img, "hello")})
	b.expect(b.deploy("hello", tree, nil), job.Updated)
	res = b.deploy("hello", job.Config{Repo: strings.Replace(root.URL, "root", "gone", 1)}, nil)
	b.expect(res, job.Rejected)
}

// Fly is down for a moment: that is no result.
func TestPassingFailureIsNoResult(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi")})
	if err := b.Sim.SetFaults(flysim.Fault{Match: flysim.Match{Method: "GET"}, Do: flysim.Effect{Status: 500, Repeat: 1000}}); err != nil {
		t.Fatal(err)
	}
	_, err := b.deployer.Deploy(t.Context(), deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", "1"), Kind: job.Deploy, App: "hello", Config: job.Config{Repo: dir}}})
	if err == nil || errors.Is(err, job.ErrRejected) {
		t.Errorf("got %v, want an error that may be tried again", err)
	}
}

// A symlink is merged as the file that it is, so where it leads makes a difference.
func TestMergedSymlinkCounts(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"app.yaml": "app: shop\norg: personal\nsource: {type: inline-docker-file, inline: \"FROM scratch\\n\"}\nmerge_cfg: {include: [conf]}\n",
		"conf/a":   "1", "conf/b": "2",
	})
	var images []string
	for _, target := range []string{"a", "b", "nowhere"} {
		link := filepath.Join(dir, "conf", "current")
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		images = append(images, b.deploy("shop", job.Config{Repo: dir}, nil).Image)
	}
	if images[0] == images[1] || images[1] == images[2] {
		t.Errorf("the symlink led elsewhere, and the images are %q", images)
	}
}

// The value of one flag is no flag, whatever it is called.
func TestFlagsHaveValues(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": local + "launch_params: [\"--name\", \"image\", \"--org\", \"personal\"]\n", "src/Dockerfile": "FROM scratch\n"})
	b.expect(b.deploy("shop", job.Config{Repo: dir}, nil), job.Created)
}
