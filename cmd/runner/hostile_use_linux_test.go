package main

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
)

// well proves that the next job on this machine is done.
func (b *builds) well(app string) {
	b.t.Helper()
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN echo all is well\n"})
	b.commit(map[string]string{app: ""})
	res := b.deploy(app)
	b.expect(res, job.Created, true)
	if !strings.Contains(res.said, "all is well") {
		b.t.Errorf("the next job did not run its step:\n%s", res.said)
	}
}

// hostile deploys an app whose Dockerfile has the steps.
func (b *builds) hostile(steps, more string, vars ...string) took {
	b.t.Helper()
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\n" + steps})
	b.commit(map[string]string{"web": more})
	return b.deploy("web", vars...)
}

func (b *builds) rejected(res took, says ...string) {
	b.t.Helper()
	if res.Result.Outcome != job.Rejected {
		b.t.Errorf("outcome %s: %s\n%s", res.Result.Outcome, res.Result.Detail, res.said)
	}
	for _, s := range says {
		if !strings.Contains(res.Result.Detail, s) {
			b.t.Errorf("%q is not told: %s", s, res.Result.Detail)
		}
	}
}

func TestForkBombEndsInItsStepAndTheNextJobIsWell(t *testing.T) {
	b := newBuilds(t)
	// what there is no room for in the end is the shell's own next process
	res := b.hostile("RUN bomb() { bomb | bomb & }; bomb; while (:); do :; done\n", "build: {timeout: 60s}\n")
	b.rejected(res, "can't fork", "exit code")
	b.well("web")
}

func TestMemoryBombIsRejectedWithItsLimitAndTheNextJobIsWell(t *testing.T) {
	b := newBuilds(t)
	res := b.hostile("RUN dd if=/dev/zero of=/dev/null bs=1000M count=1\n", "", "FLYCD_BUILD_MEMORY=256m")
	b.rejected(res, "out of memory", "FLYCD_BUILD_MEMORY", "FLYCD_RUNNER_SIZE", "limit of 256MiB")
	b.well("web")
}

func TestStepThatFillsTheDiskIsRejectedWithItsLimitAndTheNextJobIsWell(t *testing.T) {
	b := newBuilds(t)
	res := b.hostile("RUN echo filling; dd if=/dev/zero of=/full bs=1M count=3000; "+b.door.hold("full")+"\n", "", "FLYCD_BUILD_DISK=100m")
	b.rejected(res, "out of disk", "FLYCD_BUILD_DISK", "limit of 100MiB")
	b.well("web")
}

// A process that left its step's session and does not end when it is asked to ends with its step.
func TestDaemonEndsWithItsStep(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\n" +
		"RUN /bin/busybox setsid /bin/busybox setsid sh -c \"trap '' TERM HUP INT; " + b.door.hold("daemon") + "; " + b.door.hold("again") + "\" & " + b.door.hold("step") + "\n" +
		"RUN ps > /processes\nFROM scratch\nCOPY --from=0 /processes /\n"})
	b.commit(map[string]string{"web": ""})
	launch := b.launch("web")
	done := make(chan took, 1)
	go func() { done <- b.run(launch) }()
	b.door.await("step")
	b.door.await("daemon")
	b.door.open("step")
	res := <-done
	b.expect(res, job.Created, true)
	b.door.gone("daemon")
	if ps := imagetest.Files(t, res.Result.Image)["processes"]; !strings.Contains(ps, "ps") || strings.Contains(ps, "wget") {
		t.Errorf("the next step has the processes\n%s", ps)
	}
	b.well("other")
}

// A log without end is cut, and the job ends all the same.
func TestFloodOfOutputIsBounded(t *testing.T) {
	b := newBuilds(t)
	res := b.hostile("RUN /bin/busybox yes 'a line of the flood' | head -c 50m\n"+
		"RUN /bin/busybox yes | /bin/busybox tr -d '\\n' | head -c 50m\nRUN echo the last step\n", "")
	b.expect(res, job.Created, true)
	text := b.log(res.Job.ID)
	o, err := redis.ParseURL(b.redis)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	used, err := rdb.MemoryUsage(t.Context(), "flycd:log:"+string(res.Job.ID)).Result()
	if n := strings.Count(text, "\n"); err != nil || used > 8<<20 || n < 5000 || n > 11000 {
		t.Errorf("the log takes %d bytes of Redis for %d lines, error %v", used, n, err)
	}
	if !strings.Contains(text, "the last step") || !strings.Contains(text, "outcome=created") || !strings.Contains(text, "output clipped") {
		t.Errorf("the log lacks its end:\n%s", text[max(0, len(text)-3000):])
	}
}

// What a step prints moves no terminal: neither in the log, nor in what is told of a failure.
func TestGarbageInTheLogIsInert(t *testing.T) {
	b := newBuilds(t)
	res := b.hostile(`RUN printf 'before \033]0;title\007\033[2J\033[31mred\033[0m \033]52;c;ZXZpbA==\007 \302\233 31m \r over \000\010\001 after\n'; head -c 20000 /dev/urandom | /bin/busybox tr -d '\\n'; printf '\n\033[1mend of it\033c\n'; false`+"\n", "")
	b.rejected(res, "end of it", "exit code 1")
	text := b.log(res.Job.ID)
	if !strings.Contains(text, "before") || !strings.Contains(text, "red") {
		t.Errorf("the log lacks what is no garbage:\n%s", text)
	}
	for where, text := range map[string]string{"log": text, "detail": res.Result.Detail, "output": res.said} {
		for _, r := range text {
			if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
				t.Errorf("the %s has the control character %U", where, r)
				break
			}
		}
	}
}

// A Dockerfile with lines of megabytes is told in part, as are the last lines of its steps.
func TestWhatIsToldOfAFailureIsBounded(t *testing.T) {
	b := newBuilds(t)
	endless := b.hostile("# "+strings.Repeat("x", 1<<20)+"\n", "")
	b.rejected(endless, "Dockerfile:")
	failing := b.hostile("RUN : "+strings.Repeat("y", 60<<10)+"; for i in 1 2 3; do head -c 1000000 /dev/zero | /bin/busybox tr '\\0' z; echo; done; false\n", "")
	b.rejected(failing, "exit code 1", "zzzz")
	for what, res := range map[string]took{"a Dockerfile that is not read": endless, "a step": failing} {
		if n := len(res.Result.Detail); n > 16<<10 {
			t.Errorf("%d bytes are told of %s", n, what)
		}
	}
	b.well("web")
}
