package source_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// Whoever asks while the folder is committed finds the old commit or the new one, never none.
func TestReaderNeverFindsAMirrorWithoutACommit(t *testing.T) {
	dir, repos := t.TempDir(), t.TempDir()
	mirror, err := source.NewMirror(dir, filepath.Join(repos, "x.git"))
	if err != nil {
		t.Fatal(err)
	}
	commit := func(i int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(strconv.Itoa(i)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := mirror.Commit(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	commit(0)
	forge := httptest.NewServer(&source.Server{Dir: repos})
	t.Cleanup(forge.Close)
	done := make(chan error, 1)
	go func() {
		client := &source.Client{Memory: -1}
		defer client.Close() //nolint:errcheck // nothing was fetched
		for range 300 {
			if _, err := client.Resolve(t.Context(), forge.URL+"/x.git", manifest.Ref{}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := 1; ; i++ {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("after %d commits: %v", i, err)
			}
			return
		default:
			commit(i)
		}
	}
}
