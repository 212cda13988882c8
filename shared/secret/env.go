package secret

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// The variables of the runner's environment that Environment looks for beside sops's own.
const (
	// EnvPGP holds the armored private keys that open files which sops encrypted for PGP, and EnvPassphrase
	// what unlocks them.
	EnvPGP        = "FLYCD_PGP_KEY"
	EnvPassphrase = "FLYCD_PGP_PASSPHRASE" //nolint:gosec // the name of a variable
	// EnvAllow lists the names that apps may read, comma separated, as Resolver.Allow has them.
	EnvAllow = "FLYCD_SECRETS_ALLOW"
)

// Environment makes a Resolver from an environment (os.Environ()): Env is all of it, Keys are the
// variables that sops knows, PGP, Passphrase and Allow those of this package's constants.
func Environment(environ []string) Resolver {
	r := Resolver{Env: map[string]string{}, Keys: map[string]string{}}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		r.Env[name] = value
		if strings.HasPrefix(name, "SOPS_") || name == "GNUPGHOME" {
			r.Keys[name] = value
		}
	}
	r.PGP, r.Passphrase = manifest.NewSecret(r.Env[EnvPGP]), manifest.NewSecret(r.Env[EnvPassphrase])
	for name := range strings.SplitSeq(r.Env[EnvAllow], ",") {
		if name = strings.TrimSpace(name); name != "" {
			r.Allow = append(r.Allow, name)
		}
	}
	return r
}

// Reserved reports whether a variable is FlyCD's own, Fly's, sops's, or another that gives power over
// them or over the machine, which no app can read.
func Reserved(name string) bool { return manifest.ReservedVariable(name) }

// EnvOf gives the names in the runner's environment that the app's secrets are read from, sorted, each once.
func EnvOf(app *manifest.App) []string {
	var names []string
	for _, s := range app.Secrets {
		if s.Type == typeEnv {
			names = append(names, cmp.Or(s.Env, s.Name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Variables gives the values of variables of the environment, by their names there, and fails as Resolve
// does. It does no I/O: Sum over its answer tells cheaply whether the env secrets of an app are the same.
func (r Resolver) Variables(names []string) (map[string]manifest.Secret, error) {
	values := map[string]manifest.Secret{}
	var errs []error
	for _, name := range names {
		text, err := r.variable(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("secret from %s: %w", clip(name), err))
			continue
		}
		values[name] = manifest.NewSecret(text)
	}
	return values, errors.Join(errs...)
}

// variable gives the value of a variable that an app may read.
func (r Resolver) variable(name string) (string, error) {
	if Reserved(name) {
		return "", job.Rejectf("%s is FlyCD's own and no app's: give the runner the app's value under another name, such as MY_APP_%s, and say so with env:", clip(name), clip(name))
	}
	if !r.allowed(name) {
		return "", job.Rejectf("apps may not read %s of the runner's environment; whoever runs FlyCD can add it to %s", clip(name), EnvAllow)
	}
	value, ok := r.Env[name]
	if !ok {
		return "", job.Rejectf("%s is not in the runner's environment: set it there (fly secrets set %s=… on the runner app, or in the shell that flycd deploy is started from)", clip(name), clip(name))
	}
	if own := r.borrowed(value); own != "" {
		return "", job.Rejectf("%s of the runner's environment holds the value of %s, which is FlyCD's own and no app's: make the app a token of its own", clip(name), own)
	}
	return value, nil
}

func (r Resolver) allowed(name string) bool {
	return len(r.Allow) == 0 || slices.ContainsFunc(r.Allow, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return ok && err == nil
	})
}

// shortestToken is the length from which on a part of a reserved variable counts as a token: shorter
// ones are hosts, levels and sizes, which others may have by chance.
const shortestToken = 16

// borrowed names the reserved variable that holds power and whose token is in the value, or gives nothing.
func (r Resolver) borrowed(value string) string {
	var owners []string
	for name, own := range r.Env {
		if !Reserved(name) || !powerful(name) {
			continue
		}
		for token := range strings.FieldsFuncSeq(own, func(c rune) bool { return strings.ContainsRune(",= \r\n\t", c) }) {
			if len(token) >= shortestToken && strings.Contains(value, token) {
				owners = append(owners, name)
			}
		}
	}
	if len(owners) == 0 {
		return ""
	}
	return slices.Min(owners)
}

// powerful tells the reserved variables whose values are secrets.
func powerful(name string) bool {
	return strings.HasPrefix(name, "REDIS_URL") || slices.ContainsFunc(
		[]string{"_TOKEN", "_TOKENS", "_KEY", "_SECRET", "_PASSPHRASE"},
		func(end string) bool { return strings.HasSuffix(name, end) })
}
