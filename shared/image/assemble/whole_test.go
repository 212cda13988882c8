//go:build !race

// These compile and pack a hundred megabytes, for which the race detector takes minutes and sees nothing.

package assemble_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/assemble"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

func TestDispatchersImageIsTheBinaryAndItsAuthorities(t *testing.T) {
	registry := imagetest.Registry(t, "")
	var refs []image.Reference
	for range 2 {
		// nothing is kept from one to the next
		made, err := assemble.Own{Dir: checkout(t), Keep: t.TempDir()}.Dispatcher(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ref, err := image.Registry{}.Push(t.Context(), made, registry+"/flycd-dispatcher:v1")
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	if refs[0] != refs[1] {
		t.Errorf("the same sources made %s and %s", refs[0], refs[1])
	}
	root, paths := unpacked(t, refs[0])
	if diff := cmp.Diff([]string{"/dispatcher", "/etc/ssl/certs/ca-certificates.crt"}, paths); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
	if err := assemble.Static(filepath.Join(root, "dispatcher")); err != nil {
		t.Error(err)
	}
	inside(t, root, "FLYCD_WEBHOOK_SECRET", "/dispatcher", "--help")
	text, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if n := bytes.Count(text, []byte("BEGIN CERTIFICATE")); err != nil || n < 100 || !x509.NewCertPool().AppendCertsFromPEM(text) {
		t.Errorf("%d authorities, %v", n, err)
	}
}

func TestRunnersImageHasItsProgramsBesideIt(t *testing.T) {
	imagetest.Need(t, "docker-registry", "buildctl", "runc", "sops")
	made, without, err := assemble.Own{Dir: checkout(t), Keep: t.TempDir()}.Runner(t.Context())
	if err != nil || len(without) != 0 {
		t.Fatalf("without %v, %v", without, err)
	}
	ref, err := image.Registry{}.Push(t.Context(), made, imagetest.Registry(t, "")+"/flycd-runner:v1")
	if err != nil {
		t.Fatal(err)
	}
	root, paths := unpacked(t, ref)
	programs := []string{"/runner", "/usr/bin/buildctl", "/usr/bin/buildkitd", "/usr/bin/runc", "/usr/bin/sops"}
	if diff := cmp.Diff(slices.Concat([]string{"/etc/ssl/certs/ca-certificates.crt"}, programs), paths); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
	for _, p := range programs {
		if err := assemble.Static(filepath.Join(root, p)); err != nil {
			t.Error(err)
		}
	}
	version := strings.TrimPrefix(image.Recipe, "buildkit ")
	inside(t, root, "FLYCD_JOB", "/runner", "--help")
	inside(t, root, version, "/usr/bin/buildkitd", "--version")
	inside(t, root, version, "/usr/bin/buildctl", "--version")
	inside(t, root, "runc version", "/usr/bin/runc", "--version")
	inside(t, root, "sops", "/usr/bin/sops", "--version", "--disable-version-check")
	config, err := imagetest.Image(t, ref.String()).ConfigFile()
	if err != nil || config.Config.WorkingDir != "/tmp" || !slices.Contains(config.Config.Env, "PATH=/usr/bin") {
		t.Errorf("config %+v %v", config.Config, err)
	}
}

// Without a runc, or what compiles one, there is no BuildKit either: then the runner says that it cannot build.
func TestImageWithoutRuncSaysWhatItLacks(t *testing.T) {
	imagetest.Need(t, "docker-registry", "sops")
	bin := t.TempDir()
	for _, program := range []string{"go", "sops"} {
		at, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(at, filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	// a runc that is not static is none
	if err := os.WriteFile(filepath.Join(bin, "runc"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	made, without, err := assemble.Own{Dir: checkout(t), Keep: t.TempDir()}.Runner(t.Context())
	if err != nil || len(without) != 1 {
		t.Fatalf("without %v, %v", without, err)
	}
	imagetest.WantSays(t, "without", without[0], "runc, and so builds", "Install gcc, pkg-config and libseccomp-dev", "the program gcc is not installed")
	t.Setenv("PATH", "/usr/bin:/bin")
	ref, err := image.Registry{}.Push(t.Context(), made, imagetest.Registry(t, "")+"/flycd-runner:v1")
	if err != nil {
		t.Fatal(err)
	}
	_, paths := unpacked(t, ref)
	if diff := cmp.Diff([]string{"/etc/ssl/certs/ca-certificates.crt", "/runner", "/usr/bin/sops"}, paths); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
}
