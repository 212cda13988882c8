package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreWrittenAllOrNone cannot write the last of several files: those before it are as they were,
// and nothing else lies about.
func TestFilesAreWrittenAllOrNone(t *testing.T) {
	dir := t.TempDir()
	there, made, blocked := filepath.Join(dir, "a", "app.yaml"), filepath.Join(dir, "b", "app.yaml"), filepath.Join(dir, "c", "app.yaml")
	if err := os.MkdirAll(filepath.Join(blocked, "a-folder-in-the-way"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(there), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(there, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []newFile{{there, []byte("new")}, {made, []byte("new")}, {blocked, []byte("new")}}
	if err := writeAll(files, true); err == nil {
		t.Fatal("a folder was overwritten")
	}
	if got, err := os.ReadFile(there); err != nil || string(got) != "old" {
		t.Errorf("a file is %q now: %v", got, err)
	}
	for _, folder := range []string{filepath.Dir(there), filepath.Dir(made)} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := filepath.Join(folder, e.Name()); name != there {
				t.Errorf("%s was left behind", name)
			}
		}
	}
	if err := writeAll(files[:2], false); err == nil {
		t.Error("a file was overwritten unasked")
	}
}
