//go:build unix

package source_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gigurra/flycd/shared/source"
)

// Broken when: one tree makes two images, as the umask of who builds it is another one.
func TestUmaskIsNotInTheBuildsFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Dockerfile", "a/b/file", "a/run"} {
		write(t, filepath.Join(dir, name), "x")
	}
	if err := os.Chmod(filepath.Join(dir, "a/run"), 0o700); err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0o077)
	got, err := client(t).Context(t.Context(), source.ContextSpec{Source: local(t, dir)})
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Close() }()
	for name, want := range map[string]fs.FileMode{"": 0o755, "a": 0o755, "a/b": 0o755, "a/b/file": 0o644, "a/run": 0o755, "Dockerfile": 0o644, ".dockerignore": 0o644} {
		info, err := os.Stat(filepath.Join(got.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%q has the mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}
