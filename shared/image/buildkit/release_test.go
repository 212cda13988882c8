package buildkit_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

var _ image.Builder = (*buildkit.Builder)(nil)

// The tag of every image names the release: it is the one that is spoken to.
func TestRecipeNamesTheReleaseThatIsSpokenTo(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-json", "github.com/moby/buildkit").Output()
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Version string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	if want := "buildkit " + module.Version; image.Recipe != want {
		t.Errorf("recipe = %q, want %q", image.Recipe, want)
	}
}

func TestInstalledBuildkitdIsOfThatRelease(t *testing.T) {
	imagetest.Need(t, "buildkitd")
	out, err := exec.Command("buildkitd", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if release := strings.TrimPrefix(image.Recipe, "buildkit "); !strings.Contains(string(out), " "+release+" ") {
		t.Errorf("buildkitd says %q, want %s", out, release)
	}
}
