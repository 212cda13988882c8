package install

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// release is the dispatcher as it is to be deployed.
type release struct {
	want  Want
	state State
	mem   memory
	// set are the values of the secrets that change, kept the names of those that stay.
	set  map[string]manifest.Secret
	kept []string
}

// wouldChange asks the corridor what deploying the dispatcher as it is wanted would change.
func (in *Installer) wouldChange(ctx context.Context, p Plan) ([]string, error) {
	var lines []string
	r := release{want: p.Want, state: p.state, mem: p.remember(), kept: p.kept(nil)}
	err := in.through(ctx, r, func(d *deploy.Deployer, req deploy.Request) error {
		got, err := d.Plan(ctx, req)
		lines = got.Summary
		return err
	})
	return lines, err
}

// deploy deploys the dispatcher, and proves that it runs.
func (in *Installer) deploy(ctx context.Context, r release) error {
	return in.through(ctx, r, func(d *deploy.Deployer, req deploy.Request) error {
		got, err := d.Deploy(ctx, req)
		switch {
		case err != nil:
			return fmt.Errorf("deploy the dispatcher: %w", err)
		case !got.Outcome.Done():
			return fmt.Errorf("deploy the dispatcher: %s: %s", got.Outcome, got.Detail)
		}
		return nil
	})
}

// through opens the release's manifest for the corridor.
func (in *Installer) through(ctx context.Context, r release, do func(*deploy.Deployer, deploy.Request) error) (err error) {
	names := slices.Sorted(maps.Keys(r.set))
	names = append(names, r.kept...)
	slices.Sort(names)
	text, err := r.want.dispatcherManifest(r.state, r.mem, slices.Compact(names))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "flycd-install-")
	if err != nil {
		return fmt.Errorf("make a folder for the dispatcher's manifest: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), text, 0o600); err != nil {
		return fmt.Errorf("write the dispatcher's manifest: %w", err)
	}
	folder, err := deploy.OpenFolder(ctx, in.Source, dir, manifest.Options{})
	if err != nil {
		return fmt.Errorf("read the dispatcher's manifest: %w", err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if len(folder.Problems) > 0 {
		return job.Reject(fmt.Errorf("the dispatcher's manifest: %w", folder.Problems))
	}
	d := *in.Deployer
	d.Secrets, d.DigestKey = resolver(r), manifest.NewSecret(rand.Text()+rand.Text())
	j := job.Job{
		ID: job.SaltedID(job.Deploy, r.want.App, rand.Text()), Kind: job.Deploy, App: r.want.App, Org: r.want.Org,
		Config: job.Config{Repo: folder.Path()}, Reason: job.ByDeploy, Created: in.Now(),
	}
	return do(&d, deploy.Request{Job: j, Folder: folder, Final: true})
}

// resolver knows the values that change, and leaves the others as they are.
func resolver(r release) secret.Resolver {
	known := secret.Resolver{Env: map[string]string{}}
	for name, v := range r.set {
		known.Env[sourceVariable(name)] = v.Reveal()
	}
	for _, name := range r.kept {
		known.Kept = append(known.Kept, sourceVariable(name))
	}
	return known
}
