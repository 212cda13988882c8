package runner_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// The real binary is killed between two steps of a deploy. The claim lapses, the next attempt
// finishes, and nothing was done twice.
func TestKilledRunnerIsFinishedByNextAttempt(t *testing.T) {
	binary := buildRunner(t)
	h := newHouse(t, queuetest.Redis(t))
	img := h.Image("web:1")
	config := h.Repo("config")
	h.roots = []job.Config{{Repo: config.URL}}
	h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "1")}))
	h.drain()
	h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "2")}))
	l, _ := h.take()
	if err := h.runner(l).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, ok := h.take()
	if !ok || l.Job.App != "web" {
		t.Fatalf("no job for web: %+v", l)
	}
	h.FlyRequests.Reset()
	p := h.start(binary, l)
	h.await("the first update", func() bool { return len(h.updates()) > 0 })
	if err := p.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	if r := h.record(l.Job.ID); r.Over() {
		t.Fatalf("the job ended as %s although its runner was killed", r.State)
	}
	killedAt := len(h.updates())
	// a minute later the due pass finds that the claim has lapsed
	h.lapse(l.Job.ID)
	h.Sim.Advance(31 * time.Second) // the leases of the dead runner run out
	h.expect(h.drain(), map[string]job.Outcome{"web": job.Updated})
	if n := len(h.updates()); killedAt == 3 || n != 3 {
		t.Errorf("killed after %d updates, %d in the end, want 3: nothing is done twice", killedAt, n)
	}
	if got := strings.Join(h.env("web", "GREETING"), ""); got != "222" {
		t.Errorf("machines run %q", got)
	}
}

func TestSignalledRunnerGivesBack(t *testing.T) {
	binary := buildRunner(t)
	h := newHouse(t, queuetest.Redis(t))
	img := h.Image("web:1")
	config := h.Repo("config")
	h.roots = []job.Config{{Repo: config.URL}}
	h.push(config, config.Commit(map[string]string{"web/app.yaml": threeMachines(img, "1")}))
	l, _ := h.take()
	if err := h.runner(l).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, _ = h.take()
	p := h.start(binary, l)
	h.await("the first machine", func() bool { return len(h.creates()) > 0 })
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the stopped runner ends with %v, want exit code 0", err)
	}
	if r := h.record(l.Job.ID); r.Over() || r.FailedAttempts != 0 {
		t.Errorf("state %s after %d failed attempts, want one that waits and none", r.State, r.FailedAttempts)
	}
	if !h.free("web") {
		t.Error("the stopped runner kept leases")
	}
	h.expect(h.drain(), map[string]job.Outcome{"web": job.Created})
	if n := len(h.creates()); n != 3 {
		t.Errorf("%d machines were made, want 3", n)
	}
}

func buildRunner(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "runner")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/runner").CombinedOutput()
	if err != nil {
		t.Fatalf("build runner: %v\n%s", err, out)
	}
	return binary
}

// start runs the binary for a launch, as the machine would.
func (h *house) start(binary string, l queue.Launch) *exec.Cmd {
	h.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(h.t.Context()), binary)
	cmd.Env = append(os.Environ(), "FLYCD_JOB="+string(l.Job.ID), fmt.Sprint("FLYCD_ATTEMPT=", l.Attempt), "FLY_MACHINE_ID=the-binary",
		"REDIS_URL="+h.redis, "FLY_API_TOKEN=the-token-of-the-test-world", "FLY_FLAPS_BASE_URL="+h.FlyURL, "FLYCD_BUILDER=fact")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if strings.Contains(out.String(), "the-token-of-the-test-world") {
			h.t.Errorf("the runner told its token:\n%s", out.String())
		}
		if h.t.Failed() {
			h.t.Log(out.String())
		}
	})
	return cmd
}

func (h *house) await(what string, met func() bool) {
	h.t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if met() {
			return
		}
	}
	h.t.Fatalf("waited in vain for %s", what)
}

// updates are the requests that changed a machine in place, creates those that made one.
func (h *house) updates() []string {
	return h.FlyRequests.Matching(func(method, uri string) bool {
		parts := strings.Split(strings.Trim(uri, "/"), "/")
		return method == "POST" && len(parts) == 5 && parts[3] == "machines"
	})
}

func (h *house) creates() []string {
	return h.FlyRequests.Matching(func(method, uri string) bool { return method == "POST" && strings.HasSuffix(uri, "/machines") })
}

// free reports whether nobody holds a lease of the app's machines.
func (h *house) free(app string) bool {
	for _, a := range h.Sim.State().Apps {
		for _, m := range a.Machines {
			if a.Name == app && m.Lease != nil {
				return false
			}
		}
	}
	return true
}

// images gives images a fate.
func (h *house) images(fates map[string]flysim.Behavior) {
	for ref, b := range fates {
		h.Sim.SetImage(ref[:strings.LastIndex(ref, ":")], b)
	}
}

// lapse lets time pass for a claim, as Redis reckons it.
func (h *house) lapse(id job.ID) {
	h.t.Helper()
	o, err := redis.ParseURL(h.redis)
	if err != nil {
		h.t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	if err := rdb.ZAddXX(h.t.Context(), "flycd:active", redis.Z{Score: 1, Member: string(id)}).Err(); err != nil {
		h.t.Fatal(err)
	}
}
