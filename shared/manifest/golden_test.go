package manifest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

// read reads a tree of the test data.
func read(t *testing.T, dir, path string) manifest.Tree {
	t.Helper()
	tree, err := manifest.Read(os.DirFS(dir), path, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTreesGiveWhatTheOriginalGave(t *testing.T) {
	expectations, err := filepath.Glob("testdata/trees/*.expected.json")
	if err != nil || len(expectations) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	for _, file := range expectations {
		name := strings.TrimSuffix(filepath.Base(file), ".expected.json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]struct{ Manifest any }
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			got := map[string]struct{ Manifest any }{}
			for _, e := range read(t, "testdata/trees", name).Apps {
				got[e.App.Name] = struct{ Manifest any }{throughJSON(t, e.JSON())}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("manifests (-want +got):\n%s", diff)
			}
		})
	}
}

func throughJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryFlyTOMLIsUnderstood(t *testing.T) {
	files, err := filepath.Glob("testdata/fly/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		_, err := manifest.Read(os.DirFS("testdata/fly"), filepath.Base(file), manifest.Options{})
		if invalid := strings.HasPrefix(filepath.Base(file), "28-"); (err != nil) != invalid {
			t.Errorf("%s: %v", file, err)
		}
	}
}
