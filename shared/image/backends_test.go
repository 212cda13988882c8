package image_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestBackendIsTheOneThatTheRequestNeeds(t *testing.T) {
	kit, fly := image.Buildctl{Addr: "tcp://b:1"}, image.Flyctl{Path: "flyctl"}
	both, kitOnly, flyOnly := image.Backends{BuildKit: kit, Fly: fly}, image.Backends{BuildKit: kit}, image.Backends{Fly: fly}
	packs := image.Buildpacks{Builder: "paketobuildpacks/builder-jammy-base"}
	for _, c := range []struct {
		have    image.Backends
		backend string
		packs   image.Buildpacks
		want    any
	}{
		{both, "", image.Buildpacks{}, kit},
		{both, "auto", image.Buildpacks{}, kit},
		{both, "buildkit", image.Buildpacks{}, kit},
		{both, "fly", image.Buildpacks{}, fly},
		{both, "", packs, fly},
		{both, "fly", packs, fly},
		{both, "buildkit", packs, "builds Dockerfiles only"},
		{both, "", image.Buildpacks{Use: []string{"heroku/go"}}, "build.builder"},
		{both, "docker", image.Buildpacks{}, "expected buildkit, fly or auto"},
		{kitOnly, "auto", image.Buildpacks{}, kit},
		{kitOnly, "fly", image.Buildpacks{}, "install flyctl"},
		{kitOnly, "", packs, "install flyctl"},
		{flyOnly, "", image.Buildpacks{}, fly},
		{flyOnly, "buildkit", image.Buildpacks{}, "BUILDKIT_HOST"},
		{flyOnly, "", packs, fly},
		{image.Backends{}, "", image.Buildpacks{}, image.Missing{}},
	} {
		req := image.Request{App: "web", Backend: c.backend, Buildpacks: c.packs}
		got, err := c.have.For(req)
		if says, rejected := c.want.(string); rejected {
			imagetest.WantRejected(t, err, says)
			_, err := c.have.Build(t.Context(), req)
			imagetest.WantRejected(t, err, says)
			continue
		}
		if diff := cmp.Diff(c.want, any(got), cmp.AllowUnexported(manifest.Secret{})); err != nil || diff != "" {
			t.Errorf("%+v %q: %v\n%s", c.packs, c.backend, err, diff)
		}
	}
	_, err := image.Backends{}.Build(t.Context(), image.Request{App: "web"})
	imagetest.WantRejected(t, err, "no builder is set up")
}

// flyctl writes a program that stands for flyctl: it writes down what it is started with and its fly.toml.
func flyctl(t *testing.T, then string) (program string, told func() string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "flyctl")
	script := "#!/bin/sh\nwhile [ $# -gt 0 ]; do echo \"$1\"; [ \"$1\" = --config ] && { echo \"[$(cat \"$2\")]\"; shift; }; shift; done >'" + dir + "/told'\n" + then + "\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func() string {
		text, err := os.ReadFile(filepath.Join(dir, "told"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestBuildpacksGoToFlyctlByItsConfiguration(t *testing.T) {
	host, digest := startRegistry(t, "")
	path, told := flyctl(t, "exit 0")
	level := 9
	ref, err := image.Flyctl{Path: path, Registry: host + "/acme"}.Build(t.Context(), image.Request{
		Dir: t.TempDir(), App: "web", Tag: "1.0", Labels: map[string]string{"a": "b=c"}, Compression: "zstd", Level: &level,
		Buildpacks: image.Buildpacks{Builder: `x"y`, Use: []string{"heroku/go", "b"}},
	})
	if err != nil || ref != (image.Reference{Name: host + "/acme/web:1.0", Digest: digest}) {
		t.Errorf("%v %v", ref, err)
	}
	for _, want := range []string{"app = 'web'", `builder = 'x"y'`, `buildpacks = ['heroku/go', 'b']`, "--label\na=b=c\n", "--compression\nzstd\n--compression-level\n9\n", "--push\n"} {
		if !strings.Contains(told(), want) {
			t.Errorf("flyctl was not told %q:\n%s", want, told())
		}
	}
	if strings.Contains(told(), "--dockerfile") {
		t.Errorf("flyctl was told of a Dockerfile:\n%s", told())
	}
}

func TestFlyctlRejectsWhatItCannotDo(t *testing.T) {
	path, told := flyctl(t, "exit 0")
	f := image.Flyctl{Path: path}
	files := map[string]string{"Dockerfile": "FROM scratch\n"}
	secret := map[string]manifest.Secret{"TOKEN": manifest.NewSecret("hunter2-secret")}
	for says, change := range map[string]func(*image.Request){
		"build.secrets of app buildkit-test": func(r *image.Request) { r.Secrets = secret },
		"build.ssh of app":                   func(r *image.Request) { r.SSH = secret },
		"build.network none":                 func(r *image.Request) { r.Network = "none" },
		"image.repository of app":            func(r *image.Request) { r.Repository = "ghcr.io/acme/web" },
		"leave one of them out": func(r *image.Request) {
			r.Target, r.Buildpacks.Builder = "prod", "b"
		},
	} {
		req := asked(t, files)
		change(&req)
		_, err := f.Build(t.Context(), req)
		imagetest.WantRejected(t, err, says)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error tells the secret: %v", err)
		}
	}
	req := asked(t, files)
	req.NoPush = true
	if ref, err := f.Build(t.Context(), req); err != nil || ref.Digest != "" || strings.Contains(told(), "--push") {
		t.Errorf("without a push: %v %v\n%s", ref, err, told())
	}
}

func TestBadRequestsAreRejectedByTheirKeys(t *testing.T) {
	for says, change := range map[string]func(*image.Request){
		"is no app name":                      func(r *image.Request) { r.App = "No App" },
		"is no image tag":                     func(r *image.Request) { r.Tag = "a b" },
		"tag cache-web is of those":           func(r *image.Request) { r.Tag = "cache-web" },
		"tag c-0123456789abcdef is of those":  func(r *image.Request) { r.Tag = "c-0123456789abcdef" },
		`image.repository "ghcr.io/a:1"`:      func(r *image.Request) { r.Repository = "ghcr.io/a:1" },
		`image.repository "a,push=false"`:     func(r *image.Request) { r.Repository = "a,push=false" },
		`"A,src=/etc/shadow" is no name`:      func(r *image.Request) { r.Secrets = map[string]manifest.Secret{"A,src=/etc/shadow": {}} },
		`"default=/etc" is no name`:           func(r *image.Request) { r.SSH = map[string]manifest.Secret{"default=/etc": {}} },
		"build.ignorefile \"../x\" leaves":    func(r *image.Request) { r.Ignorefile = "../x" },
		"build.dockerfile \"/etc/x\" leaves":  func(r *image.Request) { r.Dockerfile = "/etc/x" },
		"there is no docker/Dockerfile":       func(r *image.Request) { r.Dockerfile = "docker/Dockerfile" },
		"there is no x.ignore in the source:": func(r *image.Request) { r.Ignorefile = "x.ignore" },
	} {
		req := asked(t, map[string]string{"Dockerfile": "FROM scratch\n"})
		change(&req)
		_, err := req.Check("")
		imagetest.WantRejected(t, err, says)
	}
	req := asked(t, nil)
	req.Buildpacks.Builder, req.Repository = "b", "ghcr.io/acme/web"
	if got, err := req.Check(""); err != nil || got != "ghcr.io/acme/web:"+req.Tag {
		t.Errorf("%s %v", got, err)
	}
	req.Dir = filepath.Join(req.Dir, "none")
	if _, err := req.Check(""); err == nil || strings.Contains(fmt.Sprint(err), job.ErrRejected.Error()) {
		t.Errorf("error = %v, want one that may be tried again", err)
	}
}

func TestPeopleChooseNoTagOfFlyCDsOwn(t *testing.T) {
	sum := strings.Repeat("0a", 20)
	for tag, says := range map[string]string{
		"try-1": "", "t-1": "", "c-web": "", "T-" + sum: "", "t-" + sum + "0": "", "_": "",
		"t-" + sum: "FlyCD's own", "c-0a": "FlyCD's own", "cache-web": "FlyCD's own",
		"": "is no image tag", "-x": "is no image tag", "a b": "is no image tag", strings.Repeat("a", 129): "is no image tag",
	} {
		switch err := image.CheckTag(tag); {
		case says == "" && err != nil, says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%q: %v, want %q", tag, err, says)
		}
	}
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	req.Tag = "t-" + sum
	if _, err := req.Check(""); err != nil {
		t.Errorf("the corridor's own tag: %v", err)
	}
}

func TestBuildThatTakesTooLongNamesItsLimit(t *testing.T) {
	path, _ := flyctl(t, "exec sleep 600")
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	req.Timeout = 50 * time.Millisecond
	_, err := image.Flyctl{Path: path}.Build(t.Context(), req)
	imagetest.WantRetry(t, err, "it took longer than 50ms: see in its log where the time goes, or raise build.timeout")
}
