package source_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gigurra/flycd/shared/source"
)

func TestLocalTreeNamesItsOriginWithoutCredentials(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://you:secret@example.com/acme/config.git": "https://example.com/acme/config.git",
		"git@example.com:acme/config.git":                "ssh://git@example.com/acme/config.git",
		"":                                               "",
		"not a url":                                      "",
	} {
		r := newRepo(t)
		r.commit(map[string]string{"apps/web/app.yaml": "app: web"})
		if url != "" {
			text, err := os.ReadFile(filepath.Join(r.dir, ".git", "config"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(r.dir, ".git", "config"), string(text)+"[remote \"origin\"]\n\turl = "+url+"\n")
		}
		tree, err := (&source.Client{}).Local(t.Context(), filepath.Join(r.dir, "apps", "web"))
		if err != nil {
			t.Fatal(err)
		}
		if tree.Origin != want || tree.Path != "apps/web" {
			t.Errorf("origin %q: got %q at %q, want %q", url, tree.Origin, tree.Path, want)
		}
	}
	tree, err := (&source.Client{}).Local(t.Context(), t.TempDir())
	if err != nil || tree.Origin != "" {
		t.Errorf("a folder that is no repository has origin %q, %v", tree.Origin, err)
	}
}
