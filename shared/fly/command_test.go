package fly

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

const commandImage = "registry.fly.io/shop@sha256:3333333333333333333333333333333333333333333333333333333333333333"

func command(name string) plan.RunCommand {
	return plan.RunCommand{
		App: testApp, Name: name, Region: "ams", Kind: plan.ReleaseCommand, Timeout: time.Minute,
		Config: &flygo.MachineConfig{
			Image: commandImage, AutoDestroy: true, Restart: &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo},
			Init: flygo.MachineInit{Cmd: []string{"migrate"}}, Env: map[string]string{"RELEASE_COMMAND": "1"},
			Metadata: map[string]string{"fly_process_group": "fly_app_release_command", "fly_platform_version": "v2", "flycd_job": "j1"},
		},
	}
}

// runs counts the machines that there ever were of a name.
func (w *world) runs(t *testing.T, name string) int {
	t.Helper()
	n := 0
	for _, m := range w.app(t).Machines {
		if m.Name == name {
			n++
		}
	}
	return n
}

func ends(code int, says ...string) map[string]flysim.Behavior {
	return map[string]flysim.Behavior{commandImage: {Exit: &code, Output: says}}
}

func TestCommandRunsOncePerNameAndItsOutputIsTold(t *testing.T) {
	w := deployed(t, flysim.Options{Images: ends(0, "migrating", "all done with open-sesame")})
	var out bytes.Buffer
	for range 2 { // the second is the next attempt at the job
		ch := begin(t, w.client(t), plan.Scope{Commands: true})
		ch.Output = &out
		ch.Provide(secretsOf(map[string]string{"PASSWORD": "open-sesame"}))
		apply(t, ch, command("shop-release-j1"), command("shop-release-j1"))
		_ = ch.Close()
	}
	if n := w.runs(t, "shop-release-j1"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
	if said := out.String(); !strings.Contains(said, "migrating\nall done with [secret]\n") || strings.Contains(said, "sesame") {
		t.Errorf("output: %s", said)
	}
	o := w.scoped(t, plan.Scope{Commands: true})
	if len(o.Commands) != 1 || o.Commands[0].Name != "shop-release-j1" || len(o.Machines) != 1 {
		t.Errorf("%d commands and %d machines are seen", len(o.Commands), len(o.Machines))
	}
	apply(t, begin(t, w.client(t)), command("shop-release-j2"))
	if n := w.runs(t, "shop-release-j2"); n != 1 {
		t.Errorf("the next job's ran %d times", n)
	}
}

func TestCommandThatFailsSaysHowAndIsNotRunAgain(t *testing.T) {
	w := deployed(t, flysim.Options{Images: ends(3, "no such table")})
	for range 2 {
		ch := begin(t, w.client(t))
		err := ch.Apply(t.Context(), command("shop-release-j1"))
		_ = ch.Close()
		if !errors.Is(err, ErrUnproven) || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "exit code 3") || !strings.Contains(err.Error(), "no such table") {
			t.Errorf("error: %v", err)
		}
	}
	if n := w.runs(t, "shop-release-j1"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

func TestCommandIsTakenUpWhereTheLastAttemptLeftIt(t *testing.T) {
	w := deployed(t, flysim.Options{Command: time.Hour, Remember: 24 * time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	first := begin(t, w.client(t))
	ended := make(chan error)
	go func() { ended <- first.Apply(ctx, command("shop-release-j1")) }()
	for w.runs(t, "shop-release-j1") == 0 || w.state(t, "shop-release-j1").State != "started" {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("the first attempt: %v", err)
	}
	_ = first.Close()
	if got := w.state(t, "shop-release-j1").State; got != "started" {
		t.Errorf("who stops waiting stops the command: it is %s", got)
	}
	second := begin(t, w.client(t))
	go func() { ended <- second.Apply(t.Context(), command("shop-release-j1")) }()
	w.sim.Advance(2 * time.Hour)
	if err := <-ended; err != nil {
		t.Errorf("the second attempt: %v", err)
	}
	if n := w.runs(t, "shop-release-j1"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

func TestCommandOverItsTimeIsStopped(t *testing.T) {
	w := deployed(t, flysim.Options{Command: time.Hour})
	ch := begin(t, w.client(t))
	late := command("shop-release-j1")
	late.Timeout = 150 * time.Millisecond
	err := ch.Apply(t.Context(), late)
	if !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), "did not end within 150ms") {
		t.Errorf("error: %v", err)
	}
	for _, m := range w.app(t).Machines {
		if m.Name == late.Name && m.State != "destroyed" && m.State != "destroying" {
			t.Errorf("its machine is %s", m.State)
		}
	}
	late.Timeout = time.Minute
	if err := ch.Apply(t.Context(), late); !errors.Is(err, ErrUnproven) {
		t.Errorf("again: %v", err)
	}
	if n := w.runs(t, late.Name); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// renewed is a context as a claim gives it: its deadline is always near, and never comes.
type renewed struct {
	context.Context //nolint:containedctx // it is a context itself
	left            time.Duration
}

func (r renewed) Deadline() (time.Time, bool) { return time.Now().Add(r.left), true }

func TestCommandKeepsItsTimeUnderAClaimThatIsRenewed(t *testing.T) {
	short := func(o *Options) { o.LeaseTTL = 3 * time.Second } // a write may take half of it
	for _, left := range []time.Duration{2 * time.Second, time.Minute} {
		w := deployed(t, flysim.Options{Command: time.Hour})
		ch := begin(t, w.client(t, short))
		late := command("shop-release-j1")
		late.Timeout = 2500 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := ch.Apply(renewed{ctx, left}, late)
		cancel()
		if !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), "did not end within 2.5s") {
			t.Errorf("error under %s of trust: %v", left, err)
		}
	}
}

func TestCommandThatSomebodyStopsIsNoSuccess(t *testing.T) {
	w := deployed(t, flysim.Options{Command: time.Hour, Images: map[string]flysim.Behavior{commandImage: {Output: []string{"half of it"}}}})
	ch, ended := begin(t, w.client(t)), make(chan error)
	go func() { ended <- ch.Apply(t.Context(), command("shop-release-j1")) }()
	for w.runs(t, "shop-release-j1") == 0 || w.state(t, "shop-release-j1").State != "started" {
		time.Sleep(time.Millisecond)
	}
	id := w.state(t, "shop-release-j1").ID
	if err := w.client(t).flaps.Stop(t.Context(), testApp, flygo.StopMachineInput{ID: id}, ""); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), "stopped before it ended") || !strings.Contains(err.Error(), "half of it") {
		t.Errorf("error: %v", err)
	}
}

func TestEndingThatNobodyKnowsIsNoSuccess(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t, hurried))
	// the machine is forgotten as soon as it is made, and with it how it ended
	w.road.breaks(
		&fault{method: http.MethodGet, path: `/machines/[0-9a-f]{14}$`, status: 404, body: `{"error":"machine not found"}`},
		&fault{method: http.MethodGet, path: `/machines$`, status: 200, body: `[]`},
	)
	err := ch.Apply(t.Context(), command("shop-release-j1"))
	if !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), "is not known") || !strings.Contains(err.Error(), "deploy again") {
		t.Errorf("error: %v", err)
	}
}

func TestLostAnswerRunsNoCommandTwice(t *testing.T) {
	for _, status := range []int{0, 408, 500, 502, 503} {
		w := deployed(t, flysim.Options{})
		w.road.breaks(&fault{method: http.MethodPost, path: `/machines$`, nth: 1, status: status, after: true})
		apply(t, begin(t, w.client(t)), command("shop-release-j1"))
		if n := w.runs(t, "shop-release-j1"); n != 1 {
			t.Errorf("after %d it ran %d times", status, n)
		}
	}
}

func TestCheckKnowsTheMachineThatItIsAbout(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	ch.Provide(secretsOf(map[string]string{"A": "first-value"}))
	check := command("shop-check-j1")
	check.Kind, check.Beside = plan.MachineCheck, "shop-app-ams-0"
	check.Config.Image = ""
	check.Config.Env = map[string]string{"GREETING": "of the app", "FLY_PROCESS_GROUP": "fly_app_test_machine_command"}
	check.Config.Metadata["fly_process_group"] = "fly_app_test_machine_command"
	apply(t, ch, plan.SetSecrets{App: testApp, Set: []string{"A"}}, check)
	about := w.machines(t)[0]
	made := w.scoped(t, plan.Scope{Commands: true}).Commands[0]
	for name, want := range map[string]string{
		"GREETING": "hello", "FLY_TEST_COMMAND": "1", "FLY_TEST_MACHINE_IP": about.PrivateIP, "FLY_PROCESS_GROUP": "fly_app_test_machine_command",
	} {
		if got := made.Config.Env[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if made.Config.Image != imageOne || made.Config.Guest.MemoryMB != about.Config.Guest.MemoryMB || about.PrivateIP == "" {
		t.Errorf("image %s, guest %+v", made.Config.Image, made.Config.Guest)
	}
	for _, m := range w.app(t).Machines {
		if m.Name == "shop-check-j1" && m.SecretsVersion != w.secretsVersion(t) {
			t.Errorf("it has secrets version %d", m.SecretsVersion)
		}
	}
	check.Name, check.Beside = "shop-check-j2", "nobody"
	if err := ch.Apply(t.Context(), check); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a check beside nobody: %v", err)
	}
}

func TestLogsThatMayNotBeReadFailNothing(t *testing.T) {
	w := deployed(t, flysim.Options{})
	w.road.breaks(&fault{method: http.MethodGet, path: `/logs$`, status: 401, body: `{"error":"unauthorized"}`})
	ch := begin(t, w.client(t))
	var out bytes.Buffer
	ch.Output = &out
	apply(t, ch, command("shop-release-j1"))
	if said := out.String(); strings.Count(said, "cannot be read") != 1 {
		t.Errorf("output: %s", said)
	}
}

func TestNameThatIsNoCommandsIsNotTakenForOne(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t, hurried))
	if err := ch.Apply(t.Context(), command("shop-app-ams-0")); err == nil || errors.Is(err, ErrUnproven) {
		t.Errorf("run under a machine's name: %v", err)
	}
}
