package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/secret"
)

// resolveSecrets finds the values of the manifest's secrets. Whoever only plans may lack the keys: what
// cannot be had is then taken to be as it is.
func (w *work) resolveSecrets(ctx context.Context) error {
	files, err := w.secretFiles()
	if err != nil {
		return err
	}
	w.values, err = w.Secrets.Resolve(ctx, w.entry.App, files)
	if err != nil && w.dry {
		w.warnings = append(w.warnings, fmt.Sprintf("secrets are left out of the plan: %v", err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.entry.File, err)
	}
	return nil
}

// buildSecrets finds what steps of the build may mount, by id: the secrets of build.secrets and the keys of
// build.ssh.
func (w *work) buildSecrets(ctx context.Context) (secrets, keys map[string]manifest.Secret, err error) {
	names := secret.ForBuild(w.entry.App)
	if len(names) == 0 {
		return nil, nil, nil
	}
	files, err := w.secretFiles()
	if err != nil {
		return nil, nil, err
	}
	values, err := w.Secrets.ResolveNames(ctx, w.entry.App, files, names)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", w.entry.File, err)
	}
	b := w.buildSection()
	secrets, keys = map[string]manifest.Secret{}, map[string]manifest.Secret{}
	for _, name := range b.Secrets {
		secrets[name] = values[name]
	}
	for id, name := range b.SSH {
		keys[id] = values[name]
	}
	return secrets, keys, nil
}

// secretFiles reads the files that secrets come from, out of the config folder.
func (w *work) secretFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range secret.FilesOf(w.entry.App) {
		content, err := readInside(w.entry.FS, w.entry.Dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the resolver says which secret wants it
		}
		if err != nil {
			return nil, job.Reject(fmt.Errorf("%s: read %s: %w", w.entry.File, name, err))
		}
		files[name] = content
	}
	return files, nil
}

// wantedSecrets are the manifest's and the add-ons'. The values of the add-ons that were observed join
// those that were resolved.
func (w *work) wantedSecrets() []plan.WantedSecret {
	all := map[string]plan.WantedSecret{}
	for _, name := range w.target.Secrets {
		if want := w.wantedSecret(name); !want.Unknown || w.holds(name) {
			all[name] = want
		}
	}
	for _, a := range w.target.Addons {
		for _, want := range w.addonSecrets(a) {
			all[want.Name] = want
		}
	}
	out := make([]plan.WantedSecret, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// addonSecrets are those that attach an add-on. Their values come from where it is run, are told by Fly, or
// cannot be had; those of one that is about to be made will be told when it is there.
func (w *work) addonSecrets(a machine.Addon) []plan.WantedSecret {
	if a.From != "" {
		w.attach(a.Secret, w.values[a.From])
	}
	i := slices.IndexFunc(w.observed.Addons, func(o plan.Addon) bool { return o.Type == a.Type && o.Name == a.Name })
	if i >= 0 {
		for name, value := range w.observed.Addons[i].Values {
			w.attach(name, value)
		}
	}
	var all []plan.WantedSecret
	for _, name := range plan.SecretsOf(a) {
		if want := w.wantedSecret(name); !want.Unknown || a.From == "" || w.holds(name) {
			all = append(all, want)
		}
	}
	return all
}

// holds reports whether the app has the secret.
func (w *work) holds(name string) bool {
	return slices.ContainsFunc(w.observed.Secrets, func(s plan.Secret) bool { return s.Name == name })
}

func (w *work) attach(name string, value manifest.Secret) {
	if w.values == nil {
		w.values = map[string]manifest.Secret{}
	}
	if !value.IsZero() {
		w.values[name] = value
	}
}

func (w *work) wantedSecret(name string) plan.WantedSecret {
	value, known := w.values[name]
	if !known {
		return plan.WantedSecret{Name: name, Unknown: true}
	}
	return plan.WantedSecret{Name: name, MAC: secret.MAC(w.DigestKey, w.entry.App.Name, name, value)}
}

// envSum is the HMAC of what the environment holds under the names, empty without names or a key.
func (d *Deployer) envSum(app string, names []string) string {
	if len(names) == 0 || d.DigestKey.IsZero() {
		return ""
	}
	values := map[string]manifest.Secret{}
	for _, name := range names {
		if value, ok := d.Secrets.Env[name]; ok {
			values[name] = manifest.NewSecret(value)
		}
	}
	return secret.Sum(d.DigestKey, app, values)
}
