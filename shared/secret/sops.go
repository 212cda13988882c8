package secret

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// open decrypts every file that a sops secret is in. A file that could not be opened is missing in
// the answer, and told once.
func (r Resolver) open(ctx context.Context, app *manifest.App, files map[string][]byte) (map[string]contents, []error) {
	users := map[string][]string{}
	var names []string
	for _, s := range app.Secrets {
		if s.Type == typeSops {
			if users[s.File] == nil {
				names = append(names, s.File)
			}
			users[s.File] = append(users[s.File], clip(s.Name))
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	p, err := r.program()
	if err != nil {
		return nil, []error{fmt.Errorf("secrets from %s: %w", strings.Join(clipped(names), ", "), err)}
	}
	defer os.RemoveAll(p.dir) //nolint:errcheck // best effort: the folder is private
	opened := map[string]contents{}
	var errs []error
	for _, name := range names {
		content, err := r.content(name, files)
		if err == nil {
			opened[name], err = p.decrypt(ctx, name, content)
		}
		if err != nil {
			delete(opened, name)
			errs = append(errs, fmt.Errorf("secrets %s: %w", strings.Join(users[name], ", "), err))
		}
	}
	return opened, errs
}

func clipped(names []string) []string {
	out := slices.Clone(names)
	for i, name := range out {
		out[i] = clip(name)
	}
	return out
}

// program is sops, about to run in a private folder.
type program struct {
	path string
	// dir is the private folder: where it runs, and its home where it has no other.
	dir  string
	env  []string
	time time.Duration
}

// program finds sops and lays out what it needs. The caller removes the folder.
func (r Resolver) program() (program, error) {
	binary, err := exec.LookPath(cmp.Or(r.Sops, "sops"))
	if err != nil {
		return program{}, job.Rejectf("the program sops is not installed: the runner's image has it; elsewhere go install github.com/getsops/sops/v3/cmd/sops@latest")
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return program{}, fmt.Errorf("find sops: %w", err)
	}
	dir, err := os.MkdirTemp(r.Dir, "flycd-sops-*") // only its owner may look into it
	if err != nil {
		return program{}, fmt.Errorf("make a private folder for sops: %w", err)
	}
	p := program{path: binary, dir: dir, time: r.Limits.Sops}
	if p.env, err = r.environment(dir); err != nil {
		return program{}, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

// environment is all that sops knows of the world.
func (r Resolver) environment(dir string) ([]string, error) {
	noGPG := filepath.Join(dir, "no-gpg")
	env := map[string]string{
		"PATH": r.Env["PATH"],
		"HOME": cmp.Or(r.Home, dir),
		// a file may name any Vault server; this runner's word goes to none
		"SOPS_HC_VAULT_ALLOWLIST":    "none",
		"SOPS_DISABLE_VERSION_CHECK": "true",
	}
	if r.Home == "" {
		// without a person's key ring there is nothing that gpg could know, and it would leave its agent behind
		env["GNUPGHOME"], env["SOPS_GPG_EXEC"] = dir, noGPG
	}
	if r.Keys["GNUPGHOME"] != "" {
		delete(env, "SOPS_GPG_EXEC")
	}
	for name, value := range r.Keys {
		if here, err := filepath.Abs(value); err == nil && (strings.HasSuffix(name, "_FILE") || name == "GNUPGHOME") {
			value = here // sops runs elsewhere
		}
		env[name] = value
	}
	if !r.PGP.IsZero() {
		if err := r.writeRing(dir); err != nil {
			return nil, err
		}
		env["GNUPGHOME"], env["SOPS_GPG_EXEC"] = dir, noGPG
	}
	var out []string
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out, nil
}

// ringFile is where sops looks for private keys in GNUPGHOME by itself.
const ringFile = "secring.gpg"

func (r Resolver) writeRing(dir string) error {
	ring, err := keyRing(r.PGP, r.Passphrase)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ringFile), ring, 0o600); err != nil {
		return fmt.Errorf("write the PGP key for sops: %w", err)
	}
	return nil
}

// formatOf gives the format of a file as sops tells it by the ending of its name.
func formatOf(name string) string {
	switch path.Ext(strings.ToLower(name)) {
	case ".yaml", ".yml":
		return "yaml"
	case ".json":
		return "json"
	case ".env":
		return "dotenv"
	case ".ini":
		return "ini"
	}
	return "binary"
}

// decrypt gives what is in the file. Its errors name the file.
func (p program) decrypt(ctx context.Context, name string, content []byte) (contents, error) {
	format := formatOf(name)
	output := "json"
	if format == "binary" {
		output = "binary" // as JSON it would lose what is no text
	}
	ctx, cancel := context.WithTimeout(ctx, p.time)
	defer cancel()
	// sops before 3.11 reads no standard input unless it is named
	cmd := exec.CommandContext(ctx, p.path, "decrypt", "--input-type", format, "--output-type", output, "/dev/stdin") //nolint:gosec // the arguments are made by this package
	cmd.Dir, cmd.Env, cmd.WaitDelay = p.dir, p.env, 5*time.Second
	clear, talk := bounded{most: mostClear}, bounded{most: mostTalk, cut: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(content), &clear, &talk
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return contents{}, fmt.Errorf("%s: sops did not answer within %s: it may be waiting for a key service that cannot be reached", clip(name), p.time)
	case ctx.Err() != nil:
		return contents{}, context.Cause(ctx)
	case clear.over:
		return contents{}, job.Rejectf("%s: what is in it has more than %d bytes", clip(name), mostClear)
	case errors.As(err, &exit):
		return contents{}, fmt.Errorf("%s: %w", clip(name), explain(exit.ExitCode(), talk.kept.String(), format, p.hasKeys()))
	case err != nil:
		return contents{}, fmt.Errorf("%s: start sops: %w", clip(name), err)
	}
	c, err := read(format, clear.kept.Bytes())
	if err != nil {
		return contents{}, fmt.Errorf("%s: %w", clip(name), err)
	}
	return c, nil
}

const (
	mostClear = 8 << 20
	mostTalk  = 64 << 10
)

// bounded keeps what is written up to a bound. What is over it ends the program, or is cut.
type bounded struct {
	kept bytes.Buffer // not embedded: its ReadFrom knows no bound
	most int
	cut  bool
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) <= b.most {
		return b.kept.Write(p)
	}
	b.over = true
	if b.cut {
		b.kept.Write(p[:b.most-b.kept.Len()])
		return len(p), nil
	}
	return 0, errors.New("too much")
}
