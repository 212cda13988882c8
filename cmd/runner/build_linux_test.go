package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

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
	if !strings.Contains(lines, "[secret]") || !strings.Contains(lines, "COPY says /says") {
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

// Two machines that share nothing, not even the registry, make the same image of one tree.
func TestTwoMachinesMakeOneDigestOfOneTree(t *testing.T) {
	b := newBuilds(t)
	other := imagetest.Registry(t, "")
	b.code.Commit(map[string]string{
		"plain": "FROM scratch\nCOPY says /says\nCOPY folder /folder\n", "says": "hello", "folder/a": "a", "folder/b": "b",
		"steps": "FROM " + b.base + " AS build\nARG WHO\nRUN --mount=type=secret,id=TOKEN cp /run/secrets/TOKEN /tmp/token; mkdir /made; echo \"$WHO\" > /made/out\nFROM " + b.base + "\nCOPY --from=build /made /made\nENV A=b\n",
	})
	b.commit(map[string]string{
		"plain-1": "build: {dockerfile: plain}\n", "plain-2": "build: {dockerfile: plain}\n",
		"steps-1": "build: {dockerfile: steps, args: {WHO: world}, secrets: [TOKEN]}\nsecrets: [{name: TOKEN, type: env, build_only: true}]\n",
		"steps-2": "build: {dockerfile: steps, args: {WHO: world}, secrets: [TOKEN]}\nsecrets: [{name: TOKEN, type: env, build_only: true}]\n",
	})
	digest := func(image string) string { return image[strings.LastIndexByte(image, '@'):] }
	for _, app := range []string{"plain", "steps"} {
		first := b.launch(app + "-1")
		one := b.start(first, "TOKEN=first")
		two := b.deploy(app+"-2", "TOKEN=second", "FLY_REGISTRY_HOST="+other, "FLYCD_BUILD_ALLOW="+b.registry+","+other)
		b.expect(two, job.Created, true)
		one.wait()
		res := took{b.record(first), one.said.String()}
		b.expect(res, job.Created, true)
		if a, c := res.Result.Image, two.Result.Image; strings.HasPrefix(c, b.registry) || digest(a) != digest(c) {
			t.Errorf("one machine made %s, the other %s", a, c)
		}
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
