package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gigurra/flycd/shared/image/imagetest"
)

// TestBuildScripts runs the scripts in testdata/build, which build with a real BuildKit.
func TestBuildScripts(t *testing.T) {
	t.Parallel()
	imagetest.Need(t, "buildctl")
	addr := imagetest.Buildkitd(t).Addr
	commands := scriptCommands()
	commands["unwritten"] = registryUnwritten
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "build"),
		RequireExplicitExec: true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			if err := surround(t, env); err != nil {
				return err
			}
			env.Vars = append(env.Vars, "FLYCD_BUILDER=", "BUILDKIT_HOST="+addr, "REDIS_URL=")
			return staticStep(t, env.WorkDir)
		},
	})
}

// staticStep compiles the program that the steps run, for images that have nothing else.
func staticStep(t *testing.T, work string) error {
	t.Helper()
	program := filepath.Join(work, "secret", "step")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join(work, "step")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return errors.Join(os.Link(program, filepath.Join(work, "fails", "step")), os.Link(program, filepath.Join(work, "hostile", "step")))
}

func TestLinesOfABuilderKeepTheirPlaceAndMoveNoTerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := lineWriter{newBoard(&out, []string{"web"}), "web"}
	if _, err := io.WriteString(w, "  indented \x1b[2Jline \r\n\n\x1b]0;evil\x07\nred\x1b[0m"); err != nil {
		t.Fatal(err)
	}
	if want := "web:   indented line\nweb: red\n"; out.String() != want {
		t.Errorf("it shows %q, want %q", &out, want)
	}
}

// registryUnwritten wants nothing to have been written to the registry.
func registryUnwritten(ts *testscript.TestScript, _ bool, _ []string) {
	if wrote := worldOf(ts).RegistryRequests.Matching(func(method, _ string) bool { return method != "GET" && method != "HEAD" }); len(wrote) > 0 {
		ts.Fatalf("the registry was written to: %v", wrote)
	}
}
