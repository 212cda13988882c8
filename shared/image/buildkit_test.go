package image_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

// The tests of this file and of buildkit_failure_test.go build with a real buildkitd, and push to a real registry (package imagetest). Base
// images are scratch or loopback ones: nothing is asked of the world.

// world holds the servers that these tests share.
var world imagetest.World

func TestMain(m *testing.M) { os.Exit(world.Run(m)) }

// realBuildkit gives the builder under test.
func realBuildkit(t *testing.T) image.Buildctl {
	t.Helper()
	imagetest.Need(t, "buildctl")
	return image.Buildctl{Addr: world.Buildkitd(t), Registry: world.Registry(t), Insecure: true}
}

func asked(t *testing.T, files map[string]string) image.Request {
	t.Helper()
	return image.Request{Dir: imagetest.Folder(t, files), App: "buildkit-test", Tag: fmt.Sprintf("t-%x", time.Now().UnixNano()), Log: t.Output()}
}

// pushed gives the image that the registry serves under a reference's tag, which must be its digest.
func pushed(t *testing.T, ref image.Reference) v1.Image {
	t.Helper()
	got, err := image.Registry{}.Resolve(t.Context(), ref.Name)
	if err != nil || got != ref {
		t.Fatalf("the registry says %v (error %v), Build said %v", got, err, ref)
	}
	return imagetest.Image(t, ref.String())
}

func wantFiles(t *testing.T, b image.Buildctl, req image.Request, want map[string]string) {
	t.Helper()
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, imagetest.FilesOf(t, pushed(t, ref))); diff != "" {
		t.Errorf("files of the image (-want +got):\n%s", diff)
	}
}

func TestBuildkitPushesTheDigestThatBuildTells(t *testing.T) {
	b := realBuildkit(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY hello /app/hello\n", "hello": "hi\n"})
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if want := b.Registry + "/" + req.App + ":" + req.Tag; ref.Name != want {
		t.Errorf("name = %s, want %s", ref.Name, want)
	}
	img := pushed(t, ref)
	if diff := cmp.Diff(map[string]string{"app/hello": "hi\n"}, imagetest.FilesOf(t, img)); diff != "" {
		t.Error(diff)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != "amd64" {
		t.Errorf("the image is for %s/%s", config.OS, config.Architecture)
	}
	again, err := b.Build(t.Context(), req)
	if err != nil || again != ref {
		t.Errorf("building the same again: %v %v, want %v", again, err, ref)
	}
}

func TestBuildkitHonoursArgsTargetAndDockerfile(t *testing.T) {
	b := realBuildkit(t)
	req := asked(t, map[string]string{
		"docker/web.Dockerfile": "FROM scratch AS first\nARG WHO=nobody\nARG SAYS\nLABEL says=$SAYS\nCOPY ${WHO}.txt /who\nFROM scratch AS last\nCOPY b.txt /who\n",
		"a.txt":                 "a", "b.txt": "b",
	})
	req.Dockerfile, req.Target, req.Args = "docker/web.Dockerfile", "first", map[string]string{"WHO": "a", "SAYS": `x=1, "y" and more`}
	ref, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	img := pushed(t, ref)
	if diff := cmp.Diff(map[string]string{"who": "a"}, imagetest.FilesOf(t, img)); diff != "" {
		t.Error(diff)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Labels["says"]; got != req.Args["SAYS"] {
		t.Errorf("argument arrived as %q, want %q", got, req.Args["SAYS"])
	}
	req.Target = "third"
	_, err = b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "third")
}

func TestBuildkitFollowsALinkToTheDockerfile(t *testing.T) {
	b := realBuildkit(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f", "docker/web.ignore": "g\n"})
	if err := os.Symlink("../Dockerfile", filepath.Join(req.Dir, "docker", "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	req.Dockerfile = "docker/Dockerfile"
	wantFiles(t, b, req, map[string]string{"f": "f"})
	req.Ignorefile = "docker/web.ignore"
	wantFiles(t, b, req, map[string]string{"f": "f"})
}

func TestBuildkitHonoursTheIgnoreFile(t *testing.T) {
	b := realBuildkit(t)
	files := map[string]string{
		"docker/Dockerfile": "FROM scratch\nCOPY a b c /\n", ".dockerignore": "a\n", "docker/web.ignore": "b\n", "none.ignore": "",
		"a/f": "a", "b/f": "b", "c/f": "c", "c/g": "g",
	}
	req := asked(t, files)
	req.Dockerfile = "docker/Dockerfile"
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, `"/a": not found`)
	req.Ignorefile = "docker/web.ignore"
	_, err = b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, `"/b": not found`)
	req.Ignorefile = "none.ignore"
	wantFiles(t, b, req, map[string]string{"f": "c", "g": "g"})
	if _, err := os.Stat(filepath.Join(req.Dir, "docker/Dockerfile.dockerignore")); err == nil {
		t.Error("the build left an ignore file in the folder that it was given")
	}
}

func TestBuildkitBuildsEveryStepAgainWithoutCache(t *testing.T) {
	b := realBuildkit(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /a\nCOPY f /b\n", "f": time.Now().String()})
	for _, c := range []struct{ noCache, cached bool }{{false, false}, {false, true}, {true, false}} {
		var log bytes.Buffer
		req.NoCache, req.Log = c.noCache, &log
		if _, err := b.Build(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "CACHED"); got != c.cached {
			t.Errorf("no cache %v: steps from the cache = %v, want %v:\n%s", c.noCache, got, c.cached, &log)
		}
	}
}

// Builds of several apps meet in one buildkitd, which keeps what it was sent and asks only for files
// whose size or time differs.
func TestBuildkitTakesNoFileOfAnotherApp(t *testing.T) {
	b := realBuildkit(t)
	now := time.Now()
	for _, app := range []string{"buildkit-test-a", "buildkit-test-b"} {
		req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY name /\n", "name": app})
		if err := os.Chtimes(filepath.Join(req.Dir, "name"), now, now); err != nil {
			t.Fatal(err)
		}
		req.App = app
		wantFiles(t, b, req, map[string]string{"name": app})
	}
}
