package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// The types of secrets.
const (
	typeEnv  = "env"
	typeRaw  = "raw"
	typeFile = "file"
	typeSops = "sops"
)

// Resolver finds the values of secrets. Its fields are its settings; the zero value knows raw and file
// secrets only. It may be used by several goroutines at once. It prints as [secret].
type Resolver struct {
	// Env is the environment that env secrets are read from.
	Env map[string]string
	// Allow are the names that apps may read of Env, as path.Match has them (APP_*, DATABASE_URL); empty
	// means all. What Reserved names stays refused.
	Allow []string
	// Kept are the names that env secrets are read from and that nobody here knows the value of: such a secret is left
	// out, and so stays what it is.
	Kept []string
	// Sops is the program; empty means sops on the PATH.
	Sops string
	// Keys are the variables that sops finds its keys by: SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, GNUPGHOME, and
	// whatever else sops knows. It sees nothing else of the environment but PATH.
	Keys map[string]string
	// PGP are armored private keys, one after the other; Passphrase unlocks them where they are locked.
	PGP, Passphrase manifest.Secret
	// Home is the folder that sops looks for a person's own keys in (~/.config/sops/age/keys.txt,
	// ~/.gnupg). Empty means none: an empty folder.
	Home string
	// Dir is where the private folder is made; empty means the system's.
	Dir    string
	Limits Limits
}

// Limits bound what is read. A zero field means its default.
type Limits struct {
	// File is the most bytes of a file that holds secrets: 1 MB.
	File int
	// Value is the most bytes of a secret's name and value together: what Linux takes as one variable, 128 KB.
	Value int
	// Sops is the longest that one start of sops may take: 30 s.
	Sops time.Duration
}

func (l Limits) ready() Limits {
	if l.File == 0 {
		l.File = 1 << 20
	}
	if l.Value == 0 {
		l.Value = 128<<10 - 2 // the = and the zero byte at the end
	}
	if l.Sops == 0 {
		l.Sops = 30 * time.Second
	}
	return l
}

// Format never gives what the resolver holds, whatever the verb.
func (Resolver) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText never gives what the resolver holds; JSON, YAML and slog use it too.
func (Resolver) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// FilesOf gives the files that the app's secrets are in, as they are written (relative to its
// app.yaml), each once, in the order of the manifest.
func FilesOf(app *manifest.App) []string {
	var files []string
	seen := map[string]bool{}
	for _, s := range app.Secrets {
		if (s.Type == typeFile || s.Type == typeSops) && s.File != "" && !seen[s.File] {
			seen[s.File] = true
			files = append(files, s.File)
		}
	}
	return files
}

// Resolve gives the values of the secrets that the app's machines get, by the name of the secret: all of its
// manifest but those that are build_only. It is ResolveNames for the names of ForApp.
func (r Resolver) Resolve(ctx context.Context, app *manifest.App, files map[string][]byte) (map[string]manifest.Secret, error) {
	return r.ResolveNames(ctx, app, files, ForApp(app))
}

// ResolveNames gives the values of the app's secrets that have one of the names (see ForApp, ForBuild), by the name
// of the secret, and looks at no other: what another secret lacks does not matter, and its file is not opened. A
// name that the manifest does not have is left out. Files holds the bytes of what FilesOf names; one that does
// not exist is left out.
//
// Everything that is wrong is told at once. What no attempt can cure wraps job.ErrRejected. It is safe to
// repeat, and leaves nothing behind.
func (r Resolver) ResolveNames(ctx context.Context, app *manifest.App, files map[string][]byte, names []string) (map[string]manifest.Secret, error) {
	app = only(app, names)
	r.Limits = r.Limits.ready()
	opened, errs := r.open(ctx, app, files)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	values := map[string]manifest.Secret{}
	for _, s := range app.Secrets {
		if s.Type == typeEnv && slices.Contains(r.Kept, cmp.Or(s.Env, s.Name)) {
			continue
		}
		text, err := r.find(s, files, opened)
		if err == nil {
			err = r.check(s.Name, text)
		}
		switch {
		case errors.Is(err, errTold):
		case err != nil:
			errs = append(errs, fmt.Errorf("secret %s: %w", clip(s.Name), err))
		default:
			values[s.Name] = manifest.NewSecret(text)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return values, nil
}

// errTold marks a secret whose file could not be opened, which is told once for the file.
var errTold = errors.New("told for its file")

// find gives the text of one secret.
func (r Resolver) find(s manifest.SecretRef, files map[string][]byte, opened map[string]contents) (string, error) {
	switch s.Type {
	case typeRaw:
		return s.Raw.Reveal(), nil
	case typeEnv:
		return r.variable(cmp.Or(s.Env, s.Name))
	case typeFile:
		return r.whole(s, files)
	case typeSops:
		c, ok := opened[s.File]
		if !ok {
			return "", errTold
		}
		text, err := c.at(s)
		if err != nil {
			return "", fmt.Errorf("%s: %w", clip(s.File), err)
		}
		return text, nil
	default:
		return "", job.Rejectf("type: expected env, raw, sops or file, found %q", clip(s.Type))
	}
}

// whole gives a file as a secret.
func (r Resolver) whole(s manifest.SecretRef, files map[string][]byte) (string, error) {
	content, err := r.content(s.File, files)
	if err != nil {
		return "", err
	}
	switch {
	case s.Key != "":
		return "", job.Rejectf("%s: a file is taken as a whole and has no key: leave key out, or encrypt the file with sops and use type: sops", clip(s.File))
	case strings.Contains(string(content), "ENC[AES256_GCM,"):
		return "", job.Rejectf("%s: the file is encrypted by sops: use type: sops", clip(s.File))
	}
	return trim(string(content)), nil
}

// content gives the bytes of a file that a secret names.
func (r Resolver) content(name string, files map[string][]byte) ([]byte, error) {
	if name == "" {
		return nil, job.Rejectf("file: is missing; say which file holds the secret")
	}
	if path.IsAbs(name) {
		return nil, job.Rejectf("file: expected a file of the config repo, relative to the app.yaml; %s is an absolute path", clip(name))
	}
	content, ok := files[name]
	if !ok {
		return nil, job.Rejectf("%s: there is no such file in the config repo, seen from the app.yaml", clip(name))
	}
	if len(content) > r.Limits.File {
		return nil, job.Rejectf("%s: the file has %d bytes; expected at most %d", clip(name), len(content), r.Limits.File)
	}
	return content, nil
}

// trim cuts the one newline that ends a text file. A value that must end in a newline ends in two.
func trim(s string) string {
	s, cut := strings.CutSuffix(s, "\n")
	if cut {
		s = strings.TrimSuffix(s, "\r")
	}
	return s
}

// clip shortens a name from a manifest for a sentence.
func clip(s string) string {
	const most = 120
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
