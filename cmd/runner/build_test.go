package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// builds is a world with runners that build: a real buildkitd in a real sandbox, and a real registry.
type builds struct {
	*deploytest.World
	t        *testing.T
	redis    string
	queue    *queue.Queue
	registry string
	// base is an image with a shell, door what its steps may reach beside the registry.
	base         string
	door         *door
	config, code *deploytest.Repo
	n            int
}

func newBuilds(t *testing.T) *builds {
	t.Helper()
	imagetest.Need(t, "buildkitd", "runc", "docker-registry", "busybox")
	t.Parallel() // they wait for machines most of the time
	b := &builds{t: t, redis: queuetest.Redis(t), World: deploytest.New(t, flysim.Options{}), registry: imagetest.Registry(t, "")}
	b.base, b.door = imagetest.Busybox(t, b.registry, probeProgram(t)), newDoor(t)
	b.config, b.code = b.Repo("config"), b.Repo("code")
	var err error
	if b.queue, err = queue.Open(b.redis, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.queue.Close() })
	return b
}

// commit writes the manifests of apps that are built from the code's repository; more is by app.
func (b *builds) commit(more map[string]string) {
	b.t.Helper()
	b.commitOf(b.code, more)
}

// commitOf is commit for another repository than the code's.
func (b *builds) commitOf(code *deploytest.Repo, more map[string]string) {
	b.t.Helper()
	files := map[string]string{}
	for app, text := range more {
		files[app+"/app.yaml"] = "app: " + app + "\norg: personal\nprimary_region: ams\nsource: {type: git, repo: \"" + code.URL + "\"}\n" + text
	}
	b.config.Commit(files)
}

// log is what is kept in Redis of what a job said.
func (b *builds) log(id job.ID) string {
	b.t.Helper()
	lines, err := b.queue.Tail(b.t.Context(), id, "", 100000)
	if err != nil {
		b.t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.Text + "\n")
	}
	return text.String()
}

// took is what became of a job.
type took struct {
	queue.Record
	said string
}

// built reports whether the runner built an image.
func (r took) built() bool { return strings.Contains(r.said, "msg=building") }

// launch pushes a deploy of the app and takes it.
func (b *builds) launch(app string) queue.Launch {
	b.t.Helper()
	b.n++
	j := job.Job{ID: job.SaltedID(job.Deploy, app, fmt.Sprint(b.n)), Kind: job.Deploy, App: app, Config: job.Config{Repo: b.config.URL}, Created: time.Now()}
	if _, _, err := b.queue.Push(b.t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
		b.t.Fatal(err)
	}
	l, ok, err := b.queue.Take(b.t.Context(), 20)
	if err != nil || !ok {
		b.t.Fatalf("nothing to launch: %v", err)
	}
	return l
}

// run lets a runner do what was launched.
func (b *builds) run(l queue.Launch, more ...string) took {
	b.t.Helper()
	var said bytes.Buffer
	if code := run(b.t.Context(), nil, environment{vars: b.vars(l, more...), out: &said, err: &said}); code != exitOK {
		b.t.Errorf("exit code %d:\n%s", code, said.String())
	}
	return took{b.record(l), said.String()}
}

// vars are the environment of a runner.
func (b *builds) vars(l queue.Launch, more ...string) []string {
	return append([]string{
		"FLYCD_JOB=" + string(l.Job.ID), fmt.Sprintf("FLYCD_ATTEMPT=%d", l.Attempt), "FLY_MACHINE_ID=m-" + string(l.Job.ID),
		"REDIS_URL=" + b.redis, "FLY_API_TOKEN=" + deploytest.Token, "FLYCD_LOG=text,debug", "PATH=" + os.Getenv("PATH"),
		"FLY_FLAPS_BASE_URL=" + b.FlyURL, "FLY_API_BASE_URL=" + b.FlyURL, "FLY_UIEX_BASE_URL=" + b.FlyURL,
		"FLYCD_SMOKE=200ms", "FLYCD_BUILDER=buildkit", "FLY_REGISTRY_HOST=" + b.registry, "FLYCD_BUILD_ALLOW=" + b.registry + "," + b.door.addr,
	}, more...)
}

func (b *builds) record(l queue.Launch) queue.Record {
	b.t.Helper()
	record, err := b.queue.Job(b.t.Context(), l.Job.ID)
	if err != nil {
		b.t.Errorf("no record: %v", err)
	}
	return record
}

func (b *builds) deploy(app string, more ...string) took {
	b.t.Helper()
	return b.run(b.launch(app), more...)
}

func (b *builds) expect(r took, want job.Outcome, built bool) {
	b.t.Helper()
	if r.Result.Outcome != want || r.built() != built {
		b.t.Fatalf("outcome %s (%s), built %v; want %s, built %v\n%s", r.Result.Outcome, r.Result.Detail, r.built(), want, built, r.said)
	}
}

// images are the images that the app's machines run.
func (b *builds) images(app string) []string {
	var all []string
	for _, a := range b.Sim.State().Apps {
		for _, m := range a.Machines {
			var config struct{ Image string }
			if err := json.Unmarshal(m.Config, &config); err == nil && a.Name == app {
				all = append(all, config.Image)
			}
		}
	}
	return all
}

// code is a source whose image says what it is of.
func (b *builds) files(says string) map[string]string {
	return map[string]string{
		"Dockerfile": "FROM " + b.base + " AS build\nARG WHO\nCOPY says /says\nRUN --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN && sha256sum /run/secrets/TOKEN > /sum && echo \"$WHO $(cat /says)\" > /out\n" +
			"FROM scratch AS app\nCOPY --from=build /out /sum /app/\nFROM scratch AS other\nCOPY says /other\n",
		"says": says,
	}
}

const built = "build: {build-target: app, args: {WHO: world}, secrets: [TOKEN]}\nsecrets: [{name: TOKEN, type: env, build_only: true}]\n"

func TestImageIsBuiltPushedAndDeployedByItsDigest(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(b.files("hello"))
	b.commit(map[string]string{"web": built})
	const token = "the-token-of-the-steps"
	res := b.deploy("web", "TOKEN="+token)
	b.expect(res, job.Created, true)
	images := b.images("web")
	if len(images) != 1 || images[0] != res.Result.Image || !strings.HasPrefix(images[0], b.registry+"/web:t-") || !strings.Contains(images[0], "@sha256:") {
		t.Fatalf("the app runs %v, and the result says %s", images, res.Result.Image)
	}
	files := imagetest.Files(t, images[0])
	if len(files) != 2 || files["app/out"] != "world hello\n" || files["app/sum"] == "" {
		t.Errorf("the image has %v", files)
	}
	lines := b.log(res.Job.ID)
	if !strings.Contains(lines, "***") || !strings.Contains(lines, "COPY says /says") {
		t.Errorf("the job's log lacks the build:\n%s", lines)
	}
	for where, text := range map[string]string{"log": lines, "output": res.said, "result": fmt.Sprint(res.Result)} {
		if strings.Contains(text, token) {
			t.Errorf("the %s tells the secret", where)
		}
	}
}

func TestWhatWasBuiltOnceIsNotBuiltAgain(t *testing.T) {
	b := newBuilds(t)
	plain := map[string]string{"Dockerfile": "FROM " + b.base + "\nCOPY says /says\nRUN cat /says\n", "says": "one"}
	b.code.Commit(plain)
	shared := "image: {repository: \"" + b.registry + "/shared\"}\n"
	b.commit(map[string]string{"web": shared, "worker": shared})
	first := b.deploy("web")
	b.expect(first, job.Created, true)
	b.expect(b.deploy("web"), job.Unchanged, false)

	t.Log("a second app of the same tree")
	other := b.deploy("worker")
	b.expect(other, job.Created, false)
	if other.Result.Image != first.Result.Image {
		t.Errorf("the second app runs %s, the first %s", other.Result.Image, first.Result.Image)
	}
	t.Log("another tree")
	b.code.Commit(map[string]string{"says": "two"})
	second := b.deploy("web")
	b.expect(second, job.Updated, true)
	t.Log("back to the first")
	b.code.Commit(map[string]string{"says": "one"})
	b.GitRequests.Reset()
	back := b.deploy("web")
	b.expect(back, job.Updated, false)
	if back.Result.Image != first.Result.Image {
		t.Errorf("the revert runs %s, want %s", back.Result.Image, first.Result.Image)
	}
}

// The steps that another machine made come out of the registry.
func TestSecondMachineTakesStepsFromTheRegistrysCache(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN echo it ran $((40+2)) times\nCOPY says /says\n", "says": "one"})
	b.commit(map[string]string{"web": ""})
	const ran = "it ran 42 times"
	first := b.deploy("web")
	b.expect(first, job.Created, true)
	if !strings.Contains(first.said, ran) {
		t.Errorf("the step did not run in the first build:\n%s", first.said)
	}
	b.code.Commit(map[string]string{"says": "two"})
	second := b.deploy("web")
	b.expect(second, job.Updated, true)
	if strings.Contains(second.said, ran) {
		t.Errorf("the step ran again in the second build:\n%s", second.said)
	}
}

func TestTwoJobsThatWantOneImageBuildItOnce(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN sleep 2\nCOPY says /says\n", "says": "one"})
	shared := "image: {repository: \"" + b.registry + "/shared\"}\n"
	b.commit(map[string]string{"a": shared, "b": shared, "c": shared})
	var launches []queue.Launch
	for _, app := range []string{"a", "b", "c"} {
		launches = append(launches, b.launch(app))
	}
	results := make([]took, len(launches))
	var all sync.WaitGroup
	for i, l := range launches {
		all.Go(func() { results[i] = b.run(l) })
	}
	all.Wait()
	n := 0
	for _, r := range results {
		if r.Result.Outcome != job.Created || r.Result.Image != results[0].Result.Image {
			t.Errorf("%s: %s (%s) with %s", r.Job.App, r.Result.Outcome, r.Result.Detail, r.Result.Image)
		}
		if r.built() {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the image was built %d times", n)
	}
}

func TestFailedStepIsRejectedWithItsLinesAndTheNextJobIsWell(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN echo compiling; echo line 7 is wrong >&2; false\n"})
	b.commit(map[string]string{"web": ""})
	res := b.deploy("web")
	if res.Result.Outcome != job.Rejected || !strings.Contains(res.Result.Detail, "line 7 is wrong") || !strings.Contains(res.Result.Detail, "exit code 1") {
		t.Errorf("%s: %s", res.Result.Outcome, res.Result.Detail)
	}
	if len(b.images("web")) > 0 {
		t.Error("a failed build was deployed")
	}
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN true\n"})
	b.expect(b.deploy("web"), job.Created, true)
}
