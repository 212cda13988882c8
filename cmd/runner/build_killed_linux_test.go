package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	terminate = syscall.SIGTERM
	kill      = syscall.SIGKILL
)

func newListener() (net.Listener, error) { return net.Listen("tcp4", "127.0.0.1:0") }

func (m *machine) signal(s os.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// leavesNothing checks that the runner, which has ended, has left nothing.
func (m *machine) leavesNothing() {
	m.t.Helper()
	if left := traces(m.cmd.Process.Pid, m.temp); len(left) > 0 {
		m.t.Errorf("the runner left behind:\n%s", strings.Join(left, "\n"))
	}
}

// next takes the next attempt of a job that was given back, or whose runner is gone.
func (b *builds) next(l queue.Launch) queue.Launch {
	b.t.Helper()
	for late := time.After(patience); ; {
		if _, err := b.queue.Due(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		next, ok, err := b.queue.Take(b.t.Context(), 20)
		switch {
		case err != nil:
			b.t.Fatal(err)
		case ok && next.Job.ID == l.Job.ID && next.Attempt > l.Attempt:
			return next
		case ok:
			b.t.Fatalf("another job was launched: %+v", next)
		}
		select {
		case <-late:
			b.t.Fatal("the job does not come back")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// of gives those of the runner's processes that have the name.
func (m *machine) of(name string) []int {
	var found []int
	for pid, n := range m.descendants() {
		if n == name {
			found = append(found, pid)
		}
	}
	return found
}

func TestKilledBuildkitdIsTriedAgainByTheSameRunner(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN " + b.door.hold("step") + "\n"})
	b.commit(map[string]string{"web": ""})
	b.retry("web", 2)
	launch := b.launch("web")
	m := b.start(launch)
	b.door.await("step")
	pids := m.of("buildkitd")
	if len(pids) == 0 {
		t.Fatalf("no buildkitd among %v", m.descendants())
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, kill); err != nil {
			t.Fatal(err)
		}
	}
	b.door.gone("step")
	b.door.open("step")
	m.wait()
	r := took{b.record(launch), m.said.String()}
	if r.Result.Outcome != job.Created || r.FailedAttempts != 1 || !strings.Contains(r.said, "buildkitd is gone") {
		t.Errorf("%s after %d failed attempts:\n%s", r.Result.Outcome, r.FailedAttempts, r.said)
	}
	b.kept(r, "buildkitd is gone", "it was killed")
	m.leavesNothing()
}

// A runner that is killed takes its buildkitd and its steps along at once. What it had of the machine beside them is cleared
// away by the next one, which does the job.
func TestKilledRunnerTakesItsBuildAlong(t *testing.T) {
	b := newBuilds(t)
	b.code.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN " + b.door.hold("step") + "\n"})
	b.commit(map[string]string{"web": ""})
	launch := b.launch("web")
	m := b.start(launch)
	b.door.await("step")
	processes := m.descendants()
	if len(m.of("buildkitd")) == 0 || len(traces(m.cmd.Process.Pid, m.temp)) < 3 {
		t.Fatalf("nothing is seen of the build: processes %v, traces %v", processes, traces(m.cmd.Process.Pid, m.temp))
	}
	m.signal(kill)
	m.wait()
	b.door.gone("step")
	for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		alive := ""
		for pid, name := range processes {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(text)) == name {
				alive += " " + name
			}
		}
		if alive == "" {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("these outlived their runner:%s", alive)
		}
	}
	if r := b.record(launch); r.Over() {
		t.Fatalf("the job ended as %s although its runner was killed", r.State)
	}
	if ok, err := b.queue.Lapse(t.Context(), launch.Job.ID, launch.Attempt, "the machine is gone"); err != nil || !ok {
		t.Fatalf("the attempt does not lapse: %v", err)
	}
	b.aMinuteLater(m)
	b.door.open("step")
	next := b.next(launch)
	second := b.start(next, "TMPDIR="+m.temp)
	second.wait()
	r := took{b.record(next), second.said.String()}
	b.expect(r, job.Created, true)
	m.leavesNothing()
	second.leavesNothing()
}

// aMinuteLater is when the claim of a killed runner lapses: its turn at building has long done so, and its folders are no
// longer taken for ones that are being made.
func (b *builds) aMinuteLater(m *machine) {
	b.t.Helper()
	o, err := redis.ParseURL(b.redis)
	if err != nil {
		b.t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	turns, err := rdb.Keys(b.t.Context(), "flycd:build:*").Result()
	if err != nil || len(turns) != 1 || rdb.Del(b.t.Context(), turns...).Err() != nil {
		b.t.Fatalf("the killed runner had the turns %v: %v", turns, err)
	}
	for _, pattern := range []string{"flycd-*", "flycd-*/lock"} {
		files, err := filepath.Glob(filepath.Join(m.temp, pattern))
		if err != nil || len(files) == 0 {
			b.t.Fatalf("the killed runner had no %s: %v", pattern, err)
		}
		for _, f := range files {
			if err := os.Chtimes(f, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}
