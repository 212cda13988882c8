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

// kept checks that a job's log in Redis has the lines.
func (b *builds) kept(res took, lines ...string) {
	b.t.Helper()
	log := b.log(res.Job.ID)
	for _, line := range lines {
		if !strings.Contains(log, line) {
			b.t.Errorf("%s: %q is not in the log:\n%s", res.Job.App, line, log)
		}
	}
}

func TestFaultsOfTheUserAreRejectedAtOnce(t *testing.T) {
	b := newBuilds(t)
	from := "FROM " + b.base + "\n"
	cases := map[string]struct {
		dockerfile string
		says       []string
	}{
		"syntax":  {from + "COPPY a b\n", []string{"syntax:2", "unknown instruction: COPPY", ">>> COPPY a b"}},
		"step":    {from + "RUN echo one && echo two && exit 42\n", []string{"step:2", "exit code 42", "one\ntwo"}},
		"words":   {from + "RUN echo connection refused; echo i/o timeout >&2; false\n", []string{"exit code 1", "i/o timeout"}},
		"base":    {"FROM " + b.registry + "/no/such:1\nCOPY Dockerfile /\n", []string{"/no/such:1 does not exist", "base:1"}},
		"missing": {from + "COPY nothing /\n", []string{"missing:2", `"/nothing": not found`}},
		"target":  {from + "RUN true\n", []string{"no-such-stage"}},
		"empty":   {"\n", []string{"empty"}},
	}
	more, files := map[string]string{}, map[string]string{}
	for name, c := range cases {
		more[name], files[name] = "build: {dockerfile: "+name+"}\n", c.dockerfile
	}
	more["target"] = "build: {dockerfile: target, build-target: no-such-stage}\n"
	b.code.Commit(files)
	b.commit(more)
	var all sync.WaitGroup
	for name, c := range cases {
		launch := b.launch(name)
		all.Go(func() {
			res := b.run(launch)
			b.rejected(res, c.says...)
			b.kept(res, "msg=building", "outcome=rejected")
			if res.FailedAttempts > 0 || len(b.images(name)) > 0 {
				t.Errorf("%s: %d attempts failed, and %v runs", name, res.FailedAttempts, b.images(name))
			}
		})
	}
	all.Wait()
	b.code.Commit(map[string]string{"step": from + "RUN echo mended\n"})
	b.expect(b.deploy("step"), job.Created, true)
}

// What is the world's fault is tried again as often as the app says, and then the job has failed.
func TestFaultsOfTheWorldFailAfterRetries(t *testing.T) {
	b := newBuilds(t)
	private, nobody := imagetest.Registry(t, "right"), freePort(t)
	cases := map[string]struct {
		dockerfile, more string
		vars             []string
		says             []string
		// builds are how many were begun.
		builds int
	}{
		"unreachable": {"FROM scratch\nCOPY unreachable /\n", "", []string{"FLY_REGISTRY_HOST=" + nobody, "FLYCD_BUILD_ALLOW=" + nobody}, []string{nobody, "connection refused"}, 0},
		"denied": {"FROM scratch\nCOPY denied /\n", "", []string{
			"FLY_REGISTRY_HOST=" + private, "FLYCD_BUILD_ALLOW=" + private, "FLYCD_REGISTRY_LOGINS=" + private + "=" + imagetest.User + ":wrong-password",
		}, []string{private, "login may push"}, 2},
		"base":    {"FROM " + nobody + "/base:1\nCOPY base /\n", "", []string{"FLYCD_BUILD_ALLOW=" + b.registry + "," + nobody}, []string{nobody + "/base:1 cannot be read"}, 2},
		"timeout": {"FROM " + b.base + "\nRUN echo it waits; " + b.door.hold("timeout") + "\n", "build: {dockerfile: timeout, timeout: 5s}\n", nil, []string{"took too long", "after 5s", "build.timeout", "it waits"}, 1},
	}
	more, files := map[string]string{}, map[string]string{}
	for name, c := range cases {
		more[name], files[name] = c.more, c.dockerfile
		if c.more == "" {
			more[name] = "build: {dockerfile: " + name + "}\n"
		}
	}
	b.code.Commit(files)
	b.commit(more)
	launches, most := map[string]queue.Launch{}, map[string]int{}
	for name, c := range cases {
		most[name] = max(c.builds, 1)
		b.retry(name, most[name])
		launches[name] = b.launch(name)
	}
	var all sync.WaitGroup
	for name, c := range cases {
		all.Go(func() {
			res := b.run(launches[name], c.vars...)
			if n := strings.Count(res.said, "msg=building"); res.Result.Outcome != job.Failed || res.FailedAttempts != most[name] || n != c.builds {
				t.Errorf("%s: %s after %d attempts with %d builds:\n%s", name, res.Result.Outcome, res.FailedAttempts, n, res.said)
			}
			for _, s := range c.says {
				if !strings.Contains(res.Result.Detail, s) {
					t.Errorf("%s: %q is not told: %s", name, s, res.Result.Detail)
				}
			}
			if strings.Contains(res.said, "wrong-password") {
				t.Errorf("%s: the password is told", name)
			}
			b.kept(res, "attempt ended")
		})
	}
	all.Wait()
	b.door.gone("timeout")

	t.Log("the same again, when the world is well")
	b.expect(b.deploy("denied", "FLY_REGISTRY_HOST="+private, "FLYCD_BUILD_ALLOW="+private, "FLYCD_REGISTRY_LOGINS="+private+"="+imagetest.User+":right"), job.Created, true)
	b.expect(b.deploy("unreachable"), job.Created, true)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := newListener()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return fmt.Sprint(l.Addr())
}

func TestCancelledJobEndsItsBuild(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN trap '' TERM INT HUP; " + b.door.hold("step") + "; " + b.door.hold("more") + "\n"})
	b.commit(map[string]string{"web": ""})
	launch := b.launch("web")
	done := make(chan took, 1)
	go func() { done <- b.run(launch) }()
	b.door.await("step")
	if _, err := b.queue.Cancel(t.Context(), launch.Job.ID); err != nil {
		t.Fatal(err)
	}
	res := <-done
	if res.State != string(job.Cancelled) || !strings.Contains(res.said, "called off") || res.FailedAttempts > 0 {
		t.Errorf("%s (%s) after %d failed attempts:\n%s", res.State, res.Detail, res.FailedAttempts, res.said)
	}
	b.kept(res, "hold/step")
	b.door.gone("step")
	b.well("web")
}

func TestStoppedRunnerEndsItsBuildAndGivesTheJobBack(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN " + b.door.hold("step") + "\n"})
	b.commit(map[string]string{"web": ""})
	launch := b.launch("web")
	m := b.start(launch)
	b.door.await("step")
	m.signal(terminate)
	m.wait()
	b.door.gone("step")
	if r := b.record(launch); m.cmd.ProcessState.ExitCode() != exitOK || r.Over() || r.FailedAttempts > 0 {
		t.Errorf("exit code %d, state %s after %d failed attempts:\n%s", m.cmd.ProcessState.ExitCode(), r.State, r.FailedAttempts, m.said)
	}
	m.leavesNothing()
	b.door.open("step")
	b.expect(b.run(b.next(launch)), job.Created, true)
}
