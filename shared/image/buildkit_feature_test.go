package image_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/ssh"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
)

// stepProgram compiles what steps run.
var stepProgram = sync.OnceValues(func() ([]byte, error) {
	out := filepath.Join(worldDir, "step")
	cmd := exec.Command("go", "build", "-o", out, "./testdata/step")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, &exec.Error{Name: string(text), Err: err}
	}
	return os.ReadFile(out)
})

// steps is a request whose Dockerfile begins with an image that holds the program /step.
func steps(t *testing.T, dockerfile string) image.Request {
	t.Helper()
	program, err := stepProgram()
	if err != nil {
		t.Fatal(err)
	}
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY --chmod=755 step /step\n" + dockerfile, "step": string(program)})
	req.Cache = "off"
	return req
}

func build(t *testing.T, b image.Buildctl, req image.Request) (image.Reference, v1.Image) {
	t.Helper()
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return ref, pushed(t, ref)
}

// An image's step sees a secret; the image, the log, the command line and the folder of temporary files do not.
func TestBuildkitSecretReachesItsStepAlone(t *testing.T) {
	b := realBuildkit(t)
	t.Setenv("TMPDIR", t.TempDir())
	b.Path = filepath.Join(t.TempDir(), "buildctl")
	seen := filepath.Join(t.TempDir(), "seen")
	script := "#!/bin/sh\n{ printf '%s\\n' \"$@\"; cat \"$DOCKER_CONFIG\"/*; } >'" + seen + "' 2>&1\nexec buildctl \"$@\"\n"
	if err := os.WriteFile(b.Path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	req := steps(t, `RUN --mount=type=secret,id=TOKEN ["/step","reverse","/run/secrets/TOKEN","/reversed"]
RUN --mount=type=secret,id=TOKEN ["/step","show","/run/secrets/TOKEN"]
`)
	var log bytes.Buffer
	req.Log, req.Secrets = &log, map[string]manifest.Secret{"TOKEN": manifest.NewSecret("hunter2,\"secret\"\nof two lines"), "OTHER": manifest.NewSecret("no-step-asks")}
	_, img := build(t, b, req)
	files := filesOf(t, img)
	if got := []byte(files["reversed"]); true {
		slices.Reverse(got)
		if string(got) != req.Secrets["TOKEN"].Reveal() {
			t.Errorf("the step saw %q", got)
		}
	}
	told, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"log": log.String(), "command line and files": string(told)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "of two lines") || strings.Contains(text, "no-step-asks") {
			t.Errorf("the secret is in %s:\n%s", where, text)
		}
	}
	if !strings.Contains(log.String(), "it says [secret]") {
		t.Errorf("the log does not hide what the step showed:\n%s", &log)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestBuildkitStepAsksForKeysAndNeverSeesThem(t *testing.T) {
	b := realBuildkit(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	req := steps(t, "RUN --mount=type=ssh [\"/step\",\"keys\",\"/default\"]\nRUN --mount=type=ssh,id=none,required=false [\"/step\",\"show\",\"/default\"]\n")
	req.SSH = map[string]manifest.Secret{"default": manifest.NewSecret(string(pem.EncodeToMemory(block)))}
	_, img := build(t, b, req)
	if got := filesOf(t, img)["default"]; !strings.Contains(got, string(want.Marshal())) {
		t.Errorf("the agent answered %q", got)
	}
	req.SSH = map[string]manifest.Secret{"default": manifest.NewSecret("hunter2-secret")}
	_, err = b.Build(t.Context(), req)
	wantRejected(t, err, `build.ssh: the secret for "default" is no private key`)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error tells the secret: %v", err)
	}
}

func TestBuildkitMakesOneImageOfOneTreeOnTwoMachines(t *testing.T) {
	b := realBuildkit(t)
	epoch := time.Date(2024, 2, 3, 4, 5, 6, 7, time.UTC)
	digests := map[string]bool{}
	for i := range 2 {
		req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /app/\n", "f": "f", "d/g": "g"})
		// the machines differ in when they wrote the files, and have no cache in common
		at := time.Now().Add(-time.Duration(i) * 1000 * time.Hour)
		for _, file := range []string{"f", "d/g", "d"} {
			if err := os.Chtimes(filepath.Join(req.Dir, file), at, at); err != nil {
				t.Fatal(err)
			}
		}
		req.Tag, req.Epoch, req.NoCache, req.Cache = "t-same", epoch, true, "off"
		ref, img := build(t, b, req)
		digests[ref.Digest] = true
		config, err := img.ConfigFile()
		if err != nil || !config.Created.Equal(epoch.Truncate(time.Second)) {
			t.Errorf("created %v (error %v), want %v", config.Created, err, epoch)
		}
	}
	if len(digests) != 1 {
		t.Errorf("digests %v, want one", digests)
	}
}

func TestBuildkitWritesWhatTheRequestSaysOfTheImage(t *testing.T) {
	b := realBuildkit(t)
	level := 3
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	req.Labels = map[string]string{"org.example.who": `a=b,"c"`}
	req.Compression, req.Level, req.Provenance, req.Repository = "zstd", &level, true, b.Registry+"/shared/web"
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if want := b.Registry + "/shared/web:" + req.Tag; ref.Name != want {
		t.Errorf("name = %s, want %s", ref.Name, want)
	}
	img := pushed(t, ref) // the digest is the one of the image, not of the index that holds the record beside it
	config, err := img.ConfigFile()
	if err != nil || config.Config.Labels["org.example.who"] != `a=b,"c"` {
		t.Errorf("labels %v %v", config.Config.Labels, err)
	}
	m, err := img.Manifest()
	if err != nil || !strings.HasSuffix(string(m.Layers[0].MediaType), "+zstd") {
		t.Errorf("layers %v %v", m.Layers, err)
	}
	tag, err := name.ParseReference(ref.Name)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	children, err := index.IndexManifest()
	if err != nil || len(children.Manifests) != 2 {
		t.Errorf("%d manifests in the index (error %v), want the image and its record", len(children.Manifests), err)
	}
	got, there, err := b.Built(t.Context(), req)
	if err != nil || !there || got != ref {
		t.Errorf("Built = %v %v %v, want %v", got, there, err, ref)
	}
}

func TestBuildkitStepsReachNothingWithoutANetwork(t *testing.T) {
	b := realBuildkit(t)
	req := steps(t, "RUN [\"/step\",\"dial\",\""+b.Registry+"\"]\n")
	build(t, b, req)
	req.Network, req.NoCache = "none", true
	_, err := b.Build(t.Context(), req)
	wantRejected(t, err, "the build failed")
}

func TestBuildkitWithoutAPushLeavesNothingInTheRegistry(t *testing.T) {
	b := realBuildkit(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": time.Now().String()})
	req.App, req.NoPush = "never-pushed", true
	ref, err := b.Build(t.Context(), req)
	if err != nil || !strings.HasPrefix(ref.Digest, "sha256:") {
		t.Fatalf("%v %v", ref, err)
	}
	for _, tag := range []string{req.Tag, "cache-never-pushed"} {
		if _, there, err := (image.Registry{}).Exists(t.Context(), b.Registry+"/never-pushed:"+tag); there || err != nil {
			t.Errorf("%s is there: %v %v", tag, there, err)
		}
	}
	req.NoPush = false
	if again, err := b.Build(t.Context(), req); err != nil || again != ref {
		t.Errorf("with a push: %v %v, want %v", again, err, ref)
	}
}

func TestBuildkitCacheIsInTheRepository(t *testing.T) {
	b := realBuildkit(t)
	req := steps(t, "RUN [\"/step\",\"reverse\",\"/step\",\"/a\"]\n")
	req.App, req.Cache = "cached", "max"
	build(t, b, req)
	if _, there, err := (image.Registry{}).Exists(t.Context(), b.Registry+"/cached:cache-cached"); !there || err != nil {
		t.Fatalf("there is no cache: %v", err)
	}
	// another machine: a buildkitd that has built nothing
	var log bytes.Buffer
	addr, end, err := startBuildkitd(filepath.Join(worldDir, "second"))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	b.Addr, req.Log = addr, &log
	build(t, b, req)
	if !strings.Contains(log.String(), "CACHED") {
		t.Errorf("no step came from the cache:\n%s", &log)
	}
}

func TestBuildkitStepThatFailsIsShown(t *testing.T) {
	b := realBuildkit(t)
	_, err := b.Build(t.Context(), steps(t, "RUN [\"/step\",\"fail\"]\n"))
	for _, says := range []string{"the build failed", "last words", "exit code: 7", "Dockerfile:3"} {
		wantRejected(t, err, says)
	}
	_, err = b.Build(t.Context(), steps(t, "RUN [\"/step\",\"killed\"]\n"))
	wantRejected(t, err, "ran out of memory, or was killed")
}
