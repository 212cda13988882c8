package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
)

// TestCredentialsInAddressesAreRefusedAndNotShown holds both kinds of manifests to it, in every form of an address.
func TestCredentialsInAddressesAreRefusedAndNotShown(t *testing.T) {
	const instead = "has a password or token in it, which everyone can read who reads this file; write the address without it"
	for _, address := range []string{
		"https://me:hunter2@example.com/r", "https://hunter2@example.com/r.git", "http://x-access-token:hunter2@example.com:8080/r",
		"HTTPS://hunter2@example.com/r", "https://example.com/r?private_token=hunter2", "ssh://git:hunter2@example.com/r",
		"git:hunter2@example.com:o/r", " https://me:hunter2@example.com/r",
	} {
		for name, content := range map[string]map[string]string{
			"app.yaml:2:28":     {"app.yaml": "app: a\nsource: {type: git, repo:  \"" + address + "\"}"},
			"project.yaml:2:28": {"project.yaml": "project: p\nsource: {type: git, repo:  \"" + address + "\"}", "app.yaml": "app: a"},
		} {
			tree, err := manifest.Read(files(content), ".", manifest.Options{Lenient: true, Repos: shelf{}})
			if !strings.HasPrefix(fmt.Sprint(err), name+": source.repo: "+instead) || len(tree.Apps) > 0 {
				t.Errorf("%s: %v", address, err)
			}
			if shown := fmt.Sprint(err, tree.Warnings, tree.Repos); strings.Contains(shown, "hunter2") {
				t.Errorf("%s is shown: %s", address, shown)
			}
		}
	}
	for _, address := range []string{
		"https://github.com/o/r", "git@github.com:o/r.git", "ssh://git@github.com:22/o/r", "github.com:o/r", "/srv/git/r@2", "https://example.com/@o/r",
	} {
		if _, err := readText("app: a\nsource: {type: git, repo: \"" + address + "\"}"); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestCredentialsOfRegistriesAreRefusedAndNotShown(t *testing.T) {
	for _, text := range []string{
		"source: {type: image, image: 'me:hunter2@ghcr.io/o/r:1'}", "build: {image: 'https://me:hunter2@ghcr.io/o/r'}",
		"image: {repository: 'me:hunter2@ghcr.io/o/r'}",
	} {
		_, err := readText("app: a\n" + text)
		if said := fmt.Sprint(err); !strings.Contains(said, ": has a password or token in it") || strings.Contains(said, "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
