package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gigurra/flycd/shared/manifest"
)

// entry reads one manifest that must be sound.
func entry(t *testing.T, name string, data []byte) manifest.Entry {
	t.Helper()
	tree, err := manifest.Read(fstest.MapFS{name: {Data: data}}, name, manifest.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if len(tree.Apps) != 1 {
		t.Fatalf("%d apps in\n%s", len(tree.Apps), data)
	}
	return tree.Apps[0]
}

func flyTOMLs(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/fly/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(filepath.Base(file), "28-") {
			all[filepath.Base(file)] = data
		}
	}
	return all
}

func TestConvertingThereAndBackGivesAnEqualManifest(t *testing.T) {
	for name, data := range flyTOMLs(t) {
		t.Run(name, func(t *testing.T) {
			asYAML, err := manifest.ToYAML(name, data)
			if err != nil {
				t.Fatal(err)
			}
			asTOML, err := manifest.ToTOML("app.yaml", asYAML)
			if err != nil {
				t.Fatal(err)
			}
			want := entry(t, name, data)
			for what, got := range map[string]manifest.Entry{
				"app.yaml": entry(t, "app.yaml", asYAML), "back.toml": entry(t, "back.toml", asTOML),
			} {
				if diff := cmp.Diff(want.App, got.App, cmpopts.EquateEmpty(), cmp.AllowUnexported(manifest.Secret{})); diff != "" {
					t.Errorf("%s: app (-want +got):\n%s", what, diff)
				}
				if diff := cmp.Diff(throughJSON(t, want.JSON()), throughJSON(t, got.JSON())); diff != "" {
					t.Errorf("%s: tree (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

const commented = `# fly.toml of my app
#
# made by hand

app = "my-app" # the name
primary_region = "ams"

# what it says
[env] # variables
  # how loud
  LOUD = "no" # not at all
  TEXT = """
two
lines
"""

# the web
[[services]]
  internal_port = 8080
  # open to all
  [[services.ports]]
    port = 80
    handlers = [
      # plain
      "http", # not secure
      # that was all
    ]
# the end
`

const commentedYAML = `# yaml-language-server: $schema=` + manifest.SchemaURL + `
# fly.toml of my app
#
# made by hand
app: my-app # the name
primary_region: ams
# what it says
# variables
env:
  # how loud
  LOUD: "no" # not at all
  TEXT: |
    two
    lines
services:
  # the web
  - internal_port: 8080
    ports:
      # open to all
      - port: 80
        handlers:
          # plain
          - http # not secure
          # that was all
# the end
`

func TestConvertingKeepsCommentsAndOrder(t *testing.T) {
	got, err := manifest.ToYAML("fly.toml", []byte(commented))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(commentedYAML, string(got)); diff != "" {
		t.Fatalf("YAML (-want +got):\n%s", diff)
	}
	back, err := manifest.ToTOML("app.yaml", got)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(commented) {
		if _, comment, ok := strings.Cut(line, "#"); ok && strings.TrimSpace(comment) != "" && !bytes.Contains(back, []byte("# "+strings.TrimSpace(comment))) {
			t.Errorf("comment %q is lost in\n%s", comment, back)
		}
	}
}
