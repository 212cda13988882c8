package buildkit_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/job"
)

func TestFaultsOfTheDockerfileAreRejectedWithTheirLine(t *testing.T) {
	b, r := sharedBuilder(t)
	from := "FROM " + base(t, r) + "\n"
	for text, says := range map[string][]string{
		"FROM scratch\nCOPPY f /\n":                                                  {"Dockerfile:2", "unknown instruction: COPPY", ">>> COPPY f /"},
		"FROM scratch\nCOPY missing /\n":                                             {"Dockerfile:2", `"/missing": not found`, ">>> COPY missing /"},
		from + "RUN [\"/step\", \"fail\", \"3\", \"50\"]":                            {"Dockerfile:2: RUN [\"/step\", \"fail\"", "exit code 3", "line 31\n", "line 50\n", ">>> RUN"},
		from + "RUN [\"/none\"]":                                                     {"Dockerfile:2", "exit code 1", "/none", "no such file"},
		from + "RUN --mount=type=secret,id=token,required=true [\"/step\", \"say\"]": {"Dockerfile:2", "secret token: not found"},
		from + "RUN --mount=type=ssh,required=true [\"/step\", \"say\"]":             {"Dockerfile:2", `there is no ssh key "default"`, "build.ssh"},
		from + "RUN --network=host [\"/step\", \"say\"]":                             {"network.host is not allowed"},
		from + "RUN --security=insecure [\"/step\", \"say\"]":                        {"security.insecure is not allowed"},
		"FROM " + r + "/no/such:1\nCOPY f /\n":                                       {"no/such:1 does not exist", "Dockerfile:1"},
		"FROM " + r + "/no/such@sha256:" + strings.Repeat("0", 64) + "\n":            {"does not exist", "Dockerfile:1"},
		"FROM scratch\nCOPY --from=" + r + "/no/such:1 /f /\n":                       {"no/such:1 does not exist", "Dockerfile:2"},
		"# syntax=" + r + "/no/such:1\nFROM scratch\n":                               {"no/such:1 does not exist"},
		"FROM scratch\nADD http://" + r + "/none /\n":                                {"404"},
		"": {"empty"},
	} {
		_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": text, "f": "no program"}))
		imagetest.WantRejected(t, err, says...)
		if err != nil && strings.Contains(err.Error(), "line 30\n") {
			t.Errorf("more than the last lines are told: %v", err)
		}
	}
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch AS one\nCOPY f /\n", "f": "f"})
	req.Target = "two"
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "two")
	req = asked(t, map[string]string{"f": "f"})
	_, err = b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "there is no Dockerfile")
}

func TestDeniedBaseIsRejected(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := imagetest.Registry(t, "hunter2-password")
	_, err := builder(t, r).Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM " + r + "/acme/web:1\nCOPY f /\n", "f": "f"}))
	imagetest.WantRejected(t, err, "denies access", "give FlyCD a login for "+r, "Dockerfile:1")
}

func TestBaseForOtherMachinesIsRejected(t *testing.T) {
	b, r := sharedBuilder(t)
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	ref, err := name.ParseReference(r + "/base/arm:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	_, err = b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM " + ref.String() + "\nCOPY f /\n", "f": "f"}))
	imagetest.WantRejected(t, err, "has no image for linux/amd64", "Dockerfile:1")
}

// A registry that the sandbox does not let a build reach is not asked by the runner for it.
func TestRunnerAsksNoRegistryInPlaceOfTheBuild(t *testing.T) {
	b, _ := sharedBuilder(t)
	calls := make(chan struct{}, 10)
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls <- struct{}{} }))
	defer private.Close()
	_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM " + strings.TrimPrefix(private.URL, "http://") + "/acme/web:1\nCOPY f /\n", "f": "f"}))
	imagetest.WantRetry(t, err, "cannot be read")
	if len(calls) > 0 {
		t.Errorf("a private server was asked %d times", len(calls))
	}
}

func TestRegistryThatIsDownMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer broken.Close()
	b := builder(t, r)
	// what a server is not there for is refused, or cut off by what leads out of the sandbox
	hosts := map[string]string{strings.TrimPrefix(down.URL, "http://"): strings.TrimPrefix(down.URL, "http://"), "502": strings.TrimPrefix(broken.URL, "http://")}
	for _, host := range hosts {
		b.Allow = append(b.Allow, netip.MustParseAddrPort(host))
	}
	var all sync.WaitGroup
	for says, host := range hosts {
		based := asked(t, map[string]string{"Dockerfile": "FROM " + host + "/base:1\nCOPY f /\n", "f": "f"})
		push := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
		push.Repository = host + "/acme/web"
		all.Go(func() {
			_, err := b.Build(t.Context(), based)
			imagetest.WantRetry(t, err, "base:1 cannot be read", says, "Dockerfile:1")
		})
		all.Go(func() {
			_, err := b.Build(t.Context(), push)
			imagetest.WantRetry(t, err, "does not take it", says)
		})
	}
	for text, says := range map[string]string{
		"FROM nowhere.invalid/base:1\n": "nowhere.invalid",
		"FROM scratch\nADD http://" + strings.TrimPrefix(down.URL, "http://") + "/f /\n": strings.TrimPrefix(down.URL, "http://"),
		"FROM scratch\nADD http://" + hosts["502"] + "/f /\n":                            "502",
		"FROM scratch\nADD https://nowhere.invalid/acme/x.git /x/\n":                     "nowhere.invalid",
	} {
		req := asked(t, map[string]string{"Dockerfile": text})
		all.Go(func() {
			_, err := b.Build(t.Context(), req)
			imagetest.WantRetry(t, err, says)
		})
	}
	all.Wait()
}

func TestBuildThatTakesTooLongNamesTheKey(t *testing.T) {
	t.Parallel()
	b, r := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"sleep\", \"1h\", \"so far\"]\n"})
	var log bytes.Buffer
	req.Log = &log
	// a busy machine may need longer to come to the step
	for req.Timeout = time.Second; ; req.Timeout *= 3 {
		begun := time.Now()
		_, err := b.Build(t.Context(), req)
		imagetest.WantRetry(t, err, "build.timeout", req.Timeout.String())
		if took := time.Since(begun); took > req.Timeout+20*time.Second {
			t.Fatalf("the build ended after %s", took)
		}
		if strings.Contains(log.String(), " so far\n") {
			imagetest.WantSays(t, "error", err.Error(), "\nso far")
			break
		}
	}
	// the step is gone, and the next build is well
	mustBuild(t, b, asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
}

func TestCancelledBuildGivesTheCause(t *testing.T) {
	b, r := sharedBuilder(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was called off")
	log := &watched{seen: make(chan struct{}), want: "here"}
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"sleep\", \"1h\", \"here\"]\n"})
	req.Log = log
	done := make(chan error, 1)
	go func() {
		_, err := b.Build(ctx, req)
		done <- err
	}()
	select {
	case <-log.seen:
	case err := <-done:
		t.Fatalf("the build ended before it was cancelled: %v", err)
	}
	cancel(why)
	if err := <-done; !errors.Is(err, why) || errors.Is(err, job.ErrRejected) {
		t.Errorf("error = %v, want the cause of the cancellation", err)
	}
	_, err := b.Build(ctx, req)
	if !errors.Is(err, why) {
		t.Errorf("error of a build that is cancelled before it begins = %v, want the cause", err)
	}
}

func TestKilledBuildkitdMayBeTriedAgainAndTheNextBuildIsWell(t *testing.T) {
	t.Parallel()
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	b := builder(t, r)
	log := &watched{seen: make(chan struct{}), want: "here"}
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"sleep\", \"1h\", \"here\"]\n"})
	req.Log = log
	done := make(chan error, 1)
	go func() {
		_, err := b.Build(context.Background(), req)
		done <- err
	}()
	select {
	case <-log.seen:
	case err := <-done:
		t.Fatalf("the build ended before buildkitd was killed: %v", err)
	}
	pids := processesOf(t, b.Dir)
	if len(pids) == 0 {
		t.Fatal("buildkitd is not found")
	}
	for _, pid := range pids {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
	err := <-done
	imagetest.WantRetry(t, err, "buildkitd")
	if !errors.Is(err, sandbox.ErrDied) {
		t.Errorf("error = %v, want one that says that buildkitd died", err)
	}
	mustBuild(t, b, asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
}

func TestStepThatEatsTheMemoryIsRejectedAndTheNextBuildIsWell(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	b := builder(t, r)
	b.Limits = sandbox.Limits{Memory: 512 << 20}
	_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"eat\", \"2000\"]\n"}))
	imagetest.WantRejected(t, err, "FLYCD_BUILD_MEMORY", "FLYCD_RUNNER_SIZE")
	if !errors.Is(err, sandbox.ErrMemory) {
		t.Errorf("error = %v, want one that says that the memory ran out", err)
	}
	// what ran out before is not told of another fault
	_, err = b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY none /\n"}))
	imagetest.WantRejected(t, err, "not found")
	mustBuild(t, b, asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
}

func TestStepThatFillsTheDiskIsRejectedAndTheNextBuildIsWell(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	b := builder(t, r)
	b.Limits = sandbox.Limits{Disk: 200 << 20}
	_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"fill\", \"3000\", \"/full\"]\nRUN [\"/step\", \"sleep\", \"1m\"]\n"}))
	imagetest.WantRejected(t, err, "FLYCD_BUILD_DISK")
	if !errors.Is(err, sandbox.ErrDisk) {
		t.Errorf("error = %v, want one that says that the disk ran full", err)
	}
	mustBuild(t, b, asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
}

func TestProgramThatIsNotInstalledIsNamed(t *testing.T) {
	const r = "127.0.0.1:5000"
	for _, b := range []*buildkit.Builder{
		{Dir: t.TempDir(), Registry: r, Program: "no-such-buildkitd", Runc: "true"},
		{Dir: t.TempDir(), Registry: r, Program: "true", Runc: "no-such-runc"},
	} {
		_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM scratch\n"}))
		imagetest.WantRejected(t, err, "no-such-", "is not installed", "build.backend")
		if left, err := os.ReadDir(b.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, error %v", left, err)
		}
	}
}

func TestProgramThatDoesNotServeSaysWhy(t *testing.T) {
	imagetest.Need(t, "runc")
	imagetest.NeedRoot(t)
	b := &buildkit.Builder{Dir: t.TempDir(), Registry: "127.0.0.1:5000", Program: "runc"}
	if len(b.Dir) > 72 {
		t.Fatalf("the test's folder %s has too long a path", b.Dir)
	}
	_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM scratch\n"}))
	imagetest.WantRetry(t, err, "start buildkitd", "flag")
}
