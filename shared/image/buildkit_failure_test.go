package image_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestBuildkitRejectsWhatTheDockerfileDoesWrong(t *testing.T) {
	b := realBuildkit(t)
	for text, says := range map[string]string{
		"FROM scratch\nCOPPY f /\n":                              "Dockerfile:2: dockerfile parse error on line 2: unknown instruction: COPPY (did you mean COPY?):\nDockerfile:2\n---",
		"FROM scratch\nCOPY missing /\n":                         `Dockerfile:2: "/missing": not found:`,
		"FROM scratch\nCOPY f /\nRUN [\"/f\"]\n":                 "Dockerfile:3: RUN [\"/f\"] ended with exit code 1:\nrunc run failed",
		"FROM " + b.Registry + "/buildkit-test/none:1\nCOPY f /": "Dockerfile:1: image " + b.Registry + "/buildkit-test/none:1 does not exist: check its name and tag:",
		"": "empty",
	} {
		_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": text, "f": "no program"}))
		imagetest.WantRejected(t, err, says)
	}
}

func TestUnreachableRegistryMayBeTriedAgain(t *testing.T) {
	b := realBuildkit(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	host := strings.TrimPrefix(down.URL, "http://")
	_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM " + host + "/base:1\n"}))
	imagetest.WantRetry(t, err, "Dockerfile:1: image "+host+"/base:1 cannot be read: registry "+host+" cannot be reached: see that its name is right", "and try again: dial tcp", "refused")
	_, err = b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM nowhere.invalid/base:1\n"}))
	imagetest.WantRetry(t, err, "registry nowhere.invalid cannot be reached")
	if strings.Contains(err.Error(), "exit status") {
		t.Errorf("error tells how buildctl ended, which helps nobody: %v", err)
	}
	b.Registry = host
	_, err = b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
	imagetest.WantRetry(t, err, "push")
}

func TestDeniedPushMayBeTriedAgainAndLoginOpensIt(t *testing.T) {
	b := realBuildkit(t)
	b.Registry, _ = startRegistry(t, "hunter2-secret")
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	_, err := b.Build(t.Context(), req)
	imagetest.WantRetry(t, err, "push")
	b.Logins = map[string]image.Login{b.Registry: {Username: "u", Password: manifest.NewSecret("wrong-secret")}}
	_, err = b.Build(t.Context(), req)
	imagetest.WantRetry(t, err, "push")
	if strings.Contains(fmt.Sprint(err), "wrong-secret") {
		t.Errorf("error tells the password: %v", err)
	}

	// a program between us and buildctl writes down what it is started with
	seen := filepath.Join(t.TempDir(), "seen")
	b.Path = filepath.Join(t.TempDir(), "buildctl")
	script := "#!/bin/sh\n{ printf '%s\\n' \"$@\"; env; } >'" + seen + "'\nexec buildctl \"$@\"\n"
	if err := os.WriteFile(b.Path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLY_API_TOKEN", "hunter2-secret")
	b.Logins = map[string]image.Login{b.Registry: {Username: "u", Password: manifest.NewSecret("hunter2-secret")}}
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := image.Registry{Logins: b.Logins}.Resolve(t.Context(), ref.Name)
	if err != nil || got != ref {
		t.Errorf("the registry says %v %v, Build said %v", got, err, ref)
	}
	text, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(text), "--metadata-file") || strings.Contains(string(text), "hunter2") {
		t.Errorf("buildctl was started with (error %v):\n%s", err, text)
	}
}

func TestCancelledBuildkitBuildEnds(t *testing.T) {
	b := realBuildkit(t)
	reached, ended := make(chan struct{}), make(chan struct{})
	var once sync.Once
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(reached) })
		<-ended
	}))
	defer silent.Close()
	defer close(ended)
	b.Registry = strings.TrimPrefix(silent.URL, "http://")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was called off")
	done := make(chan error, 1)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	go func() {
		_, err := b.Build(ctx, req)
		done <- err
	}()
	select {
	case <-reached:
	case err := <-done:
		t.Fatalf("the build ended before it pushed: %v", err)
	}
	cancel(why)
	if err := <-done; !errors.Is(err, why) || errors.Is(err, job.ErrRejected) {
		t.Errorf("error = %v, want the cause of the cancellation", err)
	}
}

func TestBuildkitThatIsDownMayBeTriedAgain(t *testing.T) {
	b := realBuildkit(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	for _, addr := range []string{"unix://" + filepath.Join(t.TempDir(), "buildkitd.sock"), "tcp" + strings.TrimPrefix(down.URL, "http"), "tcp://nowhere.invalid:1234"} {
		b.Addr = addr
		_, err := b.Build(t.Context(), asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
		imagetest.WantRetry(t, err, "BUILDKIT_HOST="+addr)
	}
}

func TestDeniedBaseImageIsRejectedAndLoginOpensIt(t *testing.T) {
	b := realBuildkit(t)
	host, _ := startRegistry(t, "hunter2-secret")
	req := asked(t, map[string]string{"Dockerfile": "FROM " + host + "/acme/web:1.0\nCOPY f /\n", "f": "f"})
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "its registry denies access", "give FlyCD a login for "+host)
	b.Logins = map[string]image.Login{host: {Username: "u", Password: manifest.NewSecret("hunter2-secret")}}
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got := imagetest.FilesOf(t, pushed(t, ref)); got["f"] != "f" || len(got) < 2 {
		t.Errorf("%d files, want the base image's and f", len(got))
	}
}
