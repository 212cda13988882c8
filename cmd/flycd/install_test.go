//go:build unix

package main

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// said runs flycd and gives what it printed and its exit code.
func said(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "flycd", args...)
	cmd.Env, cmd.Dir = append(os.Environ(), env...), t.TempDir()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// held is what the simulated Fly and forge hold of an installation: apps, and hooks by their answers.
func (s *simulated) held() string {
	s.t.Helper()
	return s.ask(http.MethodGet, s.fly+"/_sim/state", "") + s.ask(http.MethodGet, s.forge+"/_sim/state", "")
}

// From nothing to a push that is taken, and back to nothing: each command a process of its own, and the dispatcher too.
func TestInstalledByOneCommandAndRemovedByAnother(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "dispatcher")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/gigurra/flycd/cmd/dispatcher").CombinedOutput(); err != nil {
		t.Fatalf("build the dispatcher: %v\n%s", err, out)
	}
	reg := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(reg.Close)
	host := strings.TrimPrefix(reg.URL, "http://")
	for _, part := range []string{"dispatcher", "runner"} {
		img, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(host + "/" + part + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	}
	s := newSimulated(t, "--redis", queuetest.Embedded(t), "--forge-token", "forge-token=alice", "--org", "acme",
		"--exec", host+"/dispatcher="+program, "--exec", host+"/runner=true")
	s.ask(http.MethodPut, s.forge+"/_sim/repos", `{"repo":"acme/config","members":{"alice":"admin"}}`)
	s.ask(http.MethodPost, s.forge+"/_sim/commit", `{"repo":"acme/config","branch":"main","message":"one","files":{"README":"hej"}}`)
	env := []string{
		"FLY_API_TOKEN=fo1_person", "FLY_FLAPS_BASE_URL=" + s.fly, "FLYCD_SMOKE=200ms", "GITHUB_TOKEN=forge-token", "FLYCD_GITHUB_URL=" + s.forge + "/api/v3/", "FLYCD_ORG=acme",
	}
	images := []string{"--image", host + "/dispatcher:v1", "--runner-image", host + "/runner:v1"}
	install := append([]string{"install", "--repo", s.forge + "/acme/config.git"}, images...)
	for _, step := range []struct {
		args []string
		code int
		says string
	}{
		{append(install, "--check"), exitChanges, "to do    app flycd-acme: the dispatcher has no app"},
		{install, exitOK, "flycd-acme: "},
		{append(install, "--check"), exitOK, "nothing to do"},
		{append([]string{"upgrade", "--check"}, images...), exitOK, "nothing to do"},
		{[]string{"webhook", "rotate"}, exitOK, "old webhook secret"},
		{[]string{"token", "rotate", "--check"}, exitChanges, "tokens of Fly: asked for"},
	} {
		if out, code := said(t, env, step.args...); code != step.code || !strings.Contains(out, step.says) || strings.Contains(out, "fo1_person") || strings.Contains(out, "forge-token") {
			t.Fatalf("flycd %s ended with %d:\n%s", strings.Join(step.args, " "), code, out)
		}
	}
	pushed := s.ask(http.MethodPost, s.forge+"/_sim/commit", `{"repo":"acme/config","branch":"main","message":"two","files":{"README":"hej hej"},"push":true,"sender":"alice"}`)
	if !strings.Contains(pushed, `"status_code":202`) {
		t.Errorf("a push: %s", pushed)
	}
	if out, code := said(t, env, "uninstall"); code != exitUsage || !strings.Contains(s.held(), "flycd-acme") {
		t.Errorf("an uninstall that nobody confirmed ended with %d:\n%s", code, out)
	}
	if out, code := said(t, env, "uninstall", "--yes"); code != exitOK || strings.Contains(s.held(), "flycd-acme") {
		t.Errorf("flycd uninstall ended with %d:\n%s\n%s", code, out, s.held())
	}
	s.p.interrupt()
}
