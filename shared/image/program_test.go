package image

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func request() Request {
	return Request{
		Dir: "/ctx", Dockerfile: "docker/web.Dockerfile", Ignorefile: "docker/web.ignore", Target: "prod",
		Args: map[string]string{"B": "2", "A": "1 and more"}, App: "web", Tag: "t-abc", NoCache: true,
	}
}

func TestBuildctlCommandLine(t *testing.T) {
	req := request()
	level := 3
	req.Labels, req.Network, req.Provenance = map[string]string{"org.example": "x=1,y"}, "none", true
	req.Compression, req.Level, req.Epoch = "zstd", &level, time.Unix(1_700_000_000, 5)
	req.Secrets = map[string]manifest.Secret{"NPM_TOKEN": manifest.NewSecret("s3cret")}
	req.SSH = map[string]manifest.Secret{"default": manifest.NewSecret("s3cret")}
	got := call{req: req, image: "registry.fly.io/web:t-abc", private: "/private", insecure: true}.args("tcp://builder:1234")
	want := []string{
		"--addr", "tcp://builder:1234", "build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context=/ctx", "--local", "dockerfile=/private/dockerfile",
		"--opt", "filename=docker/web.Dockerfile", "--opt", "platform=linux/amd64", "--opt", "target=prod",
		"--opt", "build-arg:A=1 and more", "--opt", "build-arg:B=2", "--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000",
		"--opt", "label:org.example=x=1,y", "--opt", "force-network-mode=none", "--opt", "attest:provenance=mode=min", "--no-cache",
		"--secret", "id=NPM_TOKEN,env=BUILD_SECRET_0", "--ssh", "default=/private/ssh0",
		"--export-cache", "type=registry,ref=registry.fly.io/web:cache-web,registry.insecure=true,mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true",
		"--output", "type=image,name=registry.fly.io/web:t-abc,push=true,rewrite-timestamp=true,compression=zstd,force-compression=true,oci-mediatypes=true," +
			"compression-level=3,registry.insecure=true",
		"--metadata-file", "/private/metadata.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFlyctlCommandLineHoldsNoToken(t *testing.T) {
	f := Flyctl{Token: manifest.NewSecret("s3cret"), Registry: "localhost:5000"}
	got := f.args(request(), "/private/fly.toml")
	want := []string{
		"deploy", "/ctx", "--config", "/private/fly.toml", "--app", "web", "--build-only", "--push", "--image-label", "t-abc",
		"--dockerfile", "/ctx/docker/web.Dockerfile", "--ignorefile", "/ctx/docker/web.ignore", "--build-target", "prod",
		"--build-arg", "A=1 and more", "--build-arg", "B=2", "--no-cache",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantEnv := []string{"FLY_NO_UPDATE_CHECK=1", "NO_COLOR=1", "FLY_API_TOKEN=s3cret", "FLY_REGISTRY_HOST=localhost:5000"}
	if diff := cmp.Diff(wantEnv, f.env()); diff != "" {
		t.Error(diff)
	}
}

func TestLoginsAreForTheirOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	if err := writeLogins(dir, map[string]Login{"registry.fly.io": {"x", manifest.NewSecret("s3cret")}, "docker.io": {"me", manifest.NewSecret("p")}}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v %v, want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"auths":{"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("me:p")) +
		`"},"registry.fly.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("x:s3cret")) + `"}}}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestUsersFailureIsRejectedAndBuildersIsNot(t *testing.T) {
	run := func(script string) error {
		return judge("build web", program{path: "/bin/sh", args: []string{"-c", script}}.run(t.Context()))
	}
	err := run("for i in $(seq 30); do echo step $i; done; echo '    indented'; echo; echo 'process \"go build\" did not complete successfully: exit code: 1' >&2; exit 1")
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "step 30\n    indented\nprocess \"go build\" did not complete") {
		t.Errorf("error = %v, want a rejection with the last lines", err)
	}
	if strings.Contains(err.Error(), "step 3\n") {
		t.Errorf("error = %v, want only the last lines", err)
	}
	err = run("echo 'error: listing workers for Build: dial tcp 127.0.0.1:1: connect: connection refused' >&2; exit 1")
	if err == nil || errors.Is(err, job.ErrRejected) {
		t.Errorf("error = %v, want one that may be tried again", err)
	}
}

func TestCancelledBuildEndsItsProgram(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was called off")
	started := &signal{seen: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- judge("build web", program{path: "/bin/sh", args: []string{"-c", "echo started; exec sleep 600"}, log: started}.run(ctx))
	}()
	<-started.seen
	cancel(why)
	if err := <-done; !errors.Is(err, why) || errors.Is(err, job.ErrRejected) {
		t.Errorf("error = %v, want the cause of the cancellation", err)
	}
}

// signal closes seen at the first write.
type signal struct{ seen chan struct{} }

func (s *signal) Write(p []byte) (int, error) {
	select {
	case <-s.seen:
	default:
		close(s.seen)
	}
	return len(p), nil
}

func TestDigestIsReadFromMetadata(t *testing.T) {
	file := filepath.Join(t.TempDir(), "metadata.json")
	digest := "sha256:" + strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		`{"containerimage.digest":"` + digest + `","image.name":"x"}`: digest,
		`{"containerimage.digest":"latest"}`:                          "",
		`{}`:                                                          "",
		`nonsense`:                                                    "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readMade(file)
		if got.digest != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q %v, want %q", text, got.digest, err, want)
		}
	}
}

func TestIgnoreFileGoesWithItsDockerfile(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "dockerfile")
	for file, text := range map[string]string{"web.Dockerfile": "FROM scratch", "web.ignore": ""} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	req := Request{Dir: dir, Dockerfile: "web.Dockerfile", Ignorefile: "web.ignore", App: "web", Tag: "t-abc"}
	if _, err := (Fact{}).Build(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if err := copyDockerfile(to, req); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"web.Dockerfile": "FROM scratch\n", "web.Dockerfile.dockerignore": "\n"} {
		if got, err := os.ReadFile(filepath.Join(to, file)); err != nil || string(got) != want {
			t.Errorf("%s = %q %v, want %q", file, got, err, want)
		}
	}
	req.Ignorefile = "no.ignore"
	if _, err := (Fact{}).Build(t.Context(), req); !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "no.ignore") {
		t.Errorf("error = %v, want a rejection that names the file", err)
	}
}

func TestFilesOfTwoAppsHaveNoTimeInCommon(t *testing.T) {
	epoch := time.Unix(1_700_000_000, 0)
	times := map[string]time.Time{}
	for _, app := range []string{"a", "b"} {
		dir := t.TempDir()
		for run := range 2 {
			// when the file came to be does not matter
			if err := os.WriteFile(filepath.Join(dir, "name"), []byte(app), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := stamp(Request{Dir: dir, App: app, Tag: "t-1", Epoch: epoch}); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{dir, filepath.Join(dir, "name")} {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				if run > 0 && !times[app].Equal(info.ModTime()) {
					t.Errorf("stamping %s again: %v, was %v", file, info.ModTime(), times[app])
				}
				times[app] = info.ModTime()
			}
		}
	}
	if times["a"].Equal(times["b"]) || times["a"].Unix() != epoch.Unix() || times["b"].Unix() != epoch.Unix() {
		t.Errorf("times = %v, want two within the second of %v", times, epoch)
	}
}

func TestBuildctlIsNotToldWhatFlyCDWasTold(t *testing.T) {
	t.Setenv("FLY_API_TOKEN", "s3cret")
	t.Setenv("REDIS_URL", "redis://:s3cret@host")
	t.Setenv("HTTPS_PROXY", "http://proxy")
	dir, bin := t.TempDir(), filepath.Join(t.TempDir(), "buildctl")
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, []byte("#!/bin/sh\nenv\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	_, err := Buildctl{Path: bin, Addr: "tcp://b:1"}.Build(t.Context(), Request{Dir: dir, App: "web", Tag: "t-1", Log: &log})
	if err == nil || strings.Contains(log.String(), "s3cret") || !strings.Contains(log.String(), "HTTPS_PROXY=http://proxy") {
		t.Errorf("error = %v, environment:\n%s", err, &log)
	}
}
