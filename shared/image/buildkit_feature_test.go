package image_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/manifest"
)

// steps is a request whose Dockerfile begins with an image that holds the program /step.
func steps(t *testing.T, dockerfile string) image.Request {
	t.Helper()
	req := asked(t, map[string]string{"Dockerfile": "FROM " + imagetest.Base(t, world.Registry(t), world.Program(t, imagetest.Step)) + "\n" + dockerfile})
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
	req := steps(t, `RUN --mount=type=secret,id=TOKEN ["/step","hash","/run/secrets/TOKEN"]
RUN --mount=type=secret,id=TOKEN ["/step","show","/run/secrets/TOKEN"]
`)
	var log bytes.Buffer
	req.Log, req.Secrets = &log, map[string]manifest.Secret{"TOKEN": manifest.NewSecret("hunter2,\"secret\"\nof two lines"), "OTHER": manifest.NewSecret("no-step-asks")}
	build(t, b, req)
	imagetest.WantSays(t, "log", log.String(), fmt.Sprintf("hash %x\n", sha256.Sum256([]byte(req.Secrets["TOKEN"].Reveal()))), "shows [secret]")
	told, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"log": log.String(), "command line and files": string(told)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "of two lines") || strings.Contains(text, "no-step-asks") {
			t.Errorf("the secret is in %s:\n%s", where, text)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestBuildkitStepAsksForKeysAndNeverSeesThem(t *testing.T) {
	b := realBuildkit(t)
	key, print := imagetest.Key(t)
	req := steps(t, "RUN --mount=type=ssh [\"/step\",\"ssh\"]\nRUN --mount=type=ssh,id=none,required=false [\"/step\",\"say\",\"no key is fine\"]\n")
	req.SSH = map[string]manifest.Secret{"default": manifest.NewSecret(key)}
	var log bytes.Buffer
	req.Log = &log
	build(t, b, req)
	imagetest.WantSays(t, "log", log.String(), "signed "+print+" true", "removed false", "no key is fine")
	req.SSH = map[string]manifest.Secret{"default": manifest.NewSecret("hunter2-secret")}
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, `build.ssh: the secret for "default" is no private key`)
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
	req := steps(t, "RUN [\"/step\",\"get\",\"http://"+b.Registry+"/v2/\"]\n")
	build(t, b, req)
	req.Network, req.NoCache = "none", true
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "ended with exit code 1")
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
	var first, second bytes.Buffer
	req := steps(t, "RUN [\"/step\",\"copy\",\"/step\",\"/a\"]\nRUN [\"/step\",\"hash\",\"/a\"]\n")
	req.App, req.Cache, req.Log = "cached", "max", &first
	build(t, b, req)
	imagetest.WantSays(t, "log", first.String(), " hash ", "there is none yet")
	if strings.Contains(first.String(), "ERROR") || strings.Contains(first.String(), "------") {
		t.Errorf("a first build shows an error:\n%s", &first)
	}
	if _, there, err := (image.Registry{}).Exists(t.Context(), b.Registry+"/cached:cache-cached"); !there || err != nil {
		t.Fatalf("there is no cache: %v", err)
	}
	// another machine: a buildkitd that has built nothing
	b.Addr, req.Log = imagetest.Buildkitd(t).Addr, &second
	build(t, b, req)
	imagetest.WantSays(t, "log", second.String(), "CACHED")
	if strings.Contains(second.String(), " hash ") {
		t.Errorf("a step was run again:\n%s", &second)
	}
}

func TestBuildkitStepThatFailsIsShown(t *testing.T) {
	b := realBuildkit(t)
	_, err := b.Build(t.Context(), steps(t, "RUN [\"/step\",\"fail\",\"7\",\"3\"]\n"))
	imagetest.WantRejected(t, err, `Dockerfile:2: RUN ["/step","fail","7","3"] ended with exit code 7:`+"\nline 1\nline 2\nline 3\nDockerfile:2\n---", ">>> RUN")
	_, err = b.Build(t.Context(), steps(t, "RUN [\"/step\",\"fail\",\"137\",\"0\"]\n"))
	imagetest.WantRejected(t, err, "Dockerfile:2: a step ran out of memory, or was killed")
}
