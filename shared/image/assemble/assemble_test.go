package assemble_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/assemble"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

// checkout is the folder of this module.
func checkout(t *testing.T) string {
	t.Helper()
	dir, ok := assemble.Checkout(".")
	if !ok {
		t.Fatal("this test is not in a checkout")
	}
	return dir
}

// unpacked gives a folder with the image's files, and their paths.
func unpacked(t *testing.T, ref image.Reference) (dir string, paths []string) {
	t.Helper()
	dir = t.TempDir()
	for path, text := range imagetest.FilesOf(t, imagetest.Image(t, ref.String())) {
		paths = append(paths, "/"+path)
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(paths)
	return dir, paths
}

// inside runs a program of an image with nothing but the image's files.
func inside(t *testing.T, root string, says string, command ...string) {
	t.Helper()
	imagetest.NeedRoot(t)
	out, err := exec.CommandContext(t.Context(), "chroot", append([]string{root}, command...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), says) {
		t.Errorf("%v: %v, %s; want one that says %q", command, err, out, says)
	}
}

func TestCompileTellsWhatTheCompilerSays(t *testing.T) {
	dir := imagetest.Folder(t, map[string]string{
		"go.mod": "module m\n", "a/main.go": "package main\n\nfunc main() { undefined() }\n", "b/main.go": "package main\n\nfunc main() {}\n",
	})
	out := filepath.Join(t.TempDir(), "programs", "a")
	var log strings.Builder
	err := assemble.Compile(t.Context(), assemble.GoBuild{Dir: dir, Package: "./a", Out: out, Log: &log})
	imagetest.WantRetry(t, err, "undefined: undefined", "a/main.go:3")
	imagetest.WantSays(t, "log", log.String(), "a/main.go:3")
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); len(left) != 0 {
		t.Errorf("a build that failed left %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); len(left) != 0 {
		t.Errorf("a build that failed left %v", left)
	}
	if err := assemble.Compile(t.Context(), assemble.GoBuild{Dir: dir, Package: "./b", Out: out, Go: "no-such-go"}); !errors.Is(err, assemble.ErrNoGo) {
		t.Errorf("without Go: %v", err)
	}
	gone, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := assemble.Compile(gone, assemble.GoBuild{Dir: dir, Package: "./b", Out: out}); !errors.Is(err, why) {
		t.Errorf("a build that was called off: %v", err)
	}
}

func TestCompilerSeesNoSecretOfOurs(t *testing.T) {
	t.Setenv("FLY_API_TOKEN", "fo1_secret")
	t.Setenv("GOFLAGS", "-mod=mod")
	dir := t.TempDir()
	fake := filepath.Join(dir, "go")
	script := "#!/bin/sh\nenv >" + filepath.Join(dir, "seen") + "\nwhile [ \"$1\" != -o ]; do shift; done\necho made >\"$2\"\n"
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := assemble.Compile(t.Context(), assemble.GoBuild{Dir: dir, Package: "./b", Out: filepath.Join(dir, "out"), Go: fake}); err != nil {
		t.Fatal(err)
	}
	seen, err := os.ReadFile(filepath.Join(dir, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	imagetest.WantSays(t, "environment", string(seen), "GOFLAGS=-mod=mod", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if strings.Contains(string(seen), "secret") {
		t.Errorf("the compiler is given %s", seen)
	}
}

// released makes a module proxy of a folder, which has one version of FlyCD: a dispatcher that says hello.
func released(t *testing.T, version string) {
	t.Helper()
	module := "github.com/gigurra/flycd"
	dir := filepath.Join(t.TempDir(), module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	gomod := "module " + module + "\n\ngo 1.24\n"
	var packed bytes.Buffer
	zipped := zip.NewWriter(&packed)
	for name, text := range map[string]string{
		"go.mod": gomod, "cmd/dispatcher/main.go": "package main\n\nfunc main() { println(\"FLYCD_WEBHOOK_SECRET of a release\") }\n",
	} {
		w, err := zipped.Create(module + "@" + version + "/" + name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list": version + "\n", version + ".info": `{"Version":"` + version + `"}`, version + ".mod": gomod, version + ".zip": packed.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOPROXY", "file://"+strings.TrimSuffix(dir, module+"/@v"))
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GOFLAGS", "-modcacherw")
}

func TestReleasedVersionIsFetchedAndCompiled(t *testing.T) {
	released(t, "v1.98.7")
	made, err := assemble.Own{Version: "v1.98.7", Keep: t.TempDir()}.Dispatcher(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := image.Registry{}.Push(t.Context(), made, imagetest.Registry(t, "")+"/flycd-dispatcher:v1.98.7")
	if err != nil {
		t.Fatal(err)
	}
	root, _ := unpacked(t, ref)
	inside(t, root, "FLYCD_WEBHOOK_SECRET of a release", "/dispatcher")
	_, err = assemble.Own{Version: "v1.98.8", Keep: t.TempDir()}.Dispatcher(t.Context())
	imagetest.WantRetry(t, err, "fetch github.com/gigurra/flycd@v1.98.8", "go get")
	_, err = assemble.Own{Keep: t.TempDir()}.Dispatcher(t.Context())
	imagetest.WantRetry(t, err, "neither a checkout of FlyCD nor a version is known")
}

func TestProgramsAreInTheVersionsOfTheDockerfile(t *testing.T) {
	dir := checkout(t)
	dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile.runner"))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/moby/buildkit").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(kit)), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	imagetest.WantSays(t, "Dockerfile.runner", string(dockerfile), "cmd/sops@"+assemble.SopsVersion+"\n", "moby/buildkit:"+strings.TrimPrefix(image.Recipe, "buildkit ")+"\n")
	imagetest.WantSays(t, "BuildKit's Dockerfile", string(theirs), "ARG RUNC_VERSION="+assemble.RuncVersion+"\n")
}
