package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestFolderIsReadOnceForAllItsApps(t *testing.T) {
	t.Parallel()
	w := deploytest.New(t, flysim.Options{})
	ref, dir := w.Image("web:1"), t.TempDir()
	for _, app := range []string{"web", "api"} {
		text := fmt.Sprintf("app: %s\nprimary_region: arn\nsource: {type: image, image: %q}\n", app, ref)
		if err := os.Mkdir(filepath.Join(dir, app), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, app, "app.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := w.Source()
	folder, err := deploy.OpenFolder(t.Context(), client, dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	// whoever read a manifest again would now find nothing
	for _, e := range folder.Apps {
		if err := os.Remove(filepath.Join(dir, e.File)); err != nil {
			t.Fatal(err)
		}
	}
	d := &deploy.Deployer{Fly: w.Fly(), Source: client, Images: w.Images()}
	for _, e := range folder.Apps {
		j := job.Job{ID: job.SaltedID(job.Deploy, e.App.Name, "x"), Kind: job.Deploy, App: e.App.Name, Config: job.Config{Repo: folder.Path()}}
		res, err := d.Deploy(t.Context(), deploy.Request{Job: j, Folder: folder})
		if err != nil || res.Outcome != job.Created {
			t.Fatalf("deploy %s: %s %s, %v", e.App.Name, res.Outcome, res.Detail, err)
		}
	}
	if got, want := len(folder.Apps), 2; got != want {
		t.Errorf("%d apps, want %d", got, want)
	}
}
