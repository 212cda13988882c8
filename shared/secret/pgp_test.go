package secret_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// gpgHome is a key ring of gpg's own.
type gpgHome struct {
	t   *testing.T
	dir string
}

func newGPGHome(t *testing.T) gpgHome {
	t.Helper()
	need(t, "gpg")
	dir, err := os.MkdirTemp("", "gpg") //nolint:usetesting // a short name: its agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	h := gpgHome{t, dir}
	t.Cleanup(func() {
		kill := exec.Command("gpgconf", "--kill", "all")
		kill.Env = h.env()
		if err := errors.Join(kill.Run(), os.RemoveAll(dir)); err != nil {
			t.Log(err)
		}
	})
	return h
}

func (h gpgHome) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "GNUPGHOME=" + h.dir}
}

func (h gpgHome) gpg(args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "gpg", append([]string{"--batch", "--quiet", "--pinentry-mode", "loopback"}, args...)...)
	cmd.Env = h.env()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("gpg %v: %v: %s", args, err, stderr.String())
	}
	return string(out)
}

// key makes a key and gives its fingerprint.
func (h gpgHome) key(name, algorithm, passphrase string) string {
	h.t.Helper()
	h.gpg("--passphrase", passphrase, "--quick-gen-key", name, algorithm, "default", "never")
	fingerprint := h.fingerprint(name)
	if algorithm == "rsa2048" { // gpg makes a key that only signs
		h.gpg("--passphrase", passphrase, "--quick-add-key", fingerprint, algorithm, "encr", "never")
	}
	return fingerprint
}

func (h gpgHome) fingerprint(name string) string {
	for line := range strings.Lines(h.gpg("--with-colons", "--list-keys", name)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	h.t.Fatal("no fingerprint")
	return ""
}

func (h gpgHome) export(what, passphrase, fingerprint string) manifest.Secret {
	return manifest.NewSecret(h.gpg("--passphrase", passphrase, what, "--armor", fingerprint))
}

// encrypt makes a file with A in it.
func (h gpgHome) encrypt(fingerprint string) []byte {
	return sops(h.t, "A: v\n", h.env(), "encrypt", "--pgp", fingerprint, "--input-type", "yaml", "--output-type", "yaml", "/dev/stdin")
}

// There is no gpg on the PATH of these: the key alone is enough.
func TestPGPKeysOpenFiles(t *testing.T) {
	home := newGPGHome(t)
	rsa, curve, locked := home.key("Rsa <r@example.com>", "rsa2048", ""), home.key("Curve <c@example.com>", "future-default", ""), home.key("Locked <l@example.com>", "future-default", canary)
	rsaKey, curveKey := home.export("--export-secret-keys", "", rsa), home.export("--export-secret-keys", "", curve)
	lockedKey := home.export("--export-secret-keys", canary, locked)
	files := map[string][]byte{"rsa.yaml": home.encrypt(rsa), "curve.yaml": home.encrypt(curve), "locked.yaml": home.encrypt(locked)}
	both := manifest.NewSecret("the keys:\n" + rsaKey.Reveal() + "\n" + curveKey.Reveal())
	const mine = "no key that the runner has opens the file: it is encrypted for "
	for _, c := range []struct {
		name, file      string
		pgp, passphrase manifest.Secret
		want            string
	}{
		{name: "RSA", file: "rsa.yaml", pgp: rsaKey},
		{name: "elliptic curve", file: "curve.yaml", pgp: curveKey},
		{name: "several keys, the first", file: "rsa.yaml", pgp: both},
		{name: "several keys, the second", file: "curve.yaml", pgp: both},
		{name: "subkeys only", file: "curve.yaml", pgp: home.export("--export-secret-subkeys", "", curve)},
		{name: "passphrase", file: "locked.yaml", pgp: lockedKey, passphrase: manifest.NewSecret(canary)},
		{name: "locked subkeys only", file: "locked.yaml", pgp: home.export("--export-secret-subkeys", canary, locked), passphrase: manifest.NewSecret(canary)},
		{name: "no passphrase", file: "locked.yaml", pgp: lockedKey, want: "FLYCD_PGP_KEY is locked by a passphrase, and FLYCD_PGP_PASSPHRASE does not open it"},
		{name: "wrong passphrase", file: "locked.yaml", pgp: lockedKey, passphrase: manifest.NewSecret(canary + "x"), want: "FLYCD_PGP_KEY is locked"},
		{name: "another's key", file: "rsa.yaml", pgp: curveKey, want: mine + rsa},
		{name: "no key", file: "rsa.yaml", want: "the runner has none: it is encrypted for " + rsa + "; give the runner its private key: SOPS_AGE_KEY for age, FLYCD_PGP_KEY for PGP"},
		{name: "public key", file: "rsa.yaml", pgp: manifest.NewSecret(home.gpg("--export", "--armor", rsa)), want: "FLYCD_PGP_KEY holds no armored private key"},
		{name: "no armor", file: "rsa.yaml", pgp: manifest.NewSecret(canary), want: "FLYCD_PGP_KEY holds no armored private key"},
		{name: "line breaks lost", file: "rsa.yaml", pgp: manifest.NewSecret(strings.ReplaceAll(rsaKey.Reveal(), "\n", " ")), want: "FLYCD_PGP_KEY holds no armored private key"},
		{name: "cut", file: "rsa.yaml", pgp: manifest.NewSecret(rsaKey.Reveal()[:len(rsaKey.Reveal())/2]), want: "FLYCD_PGP_KEY holds no armored private key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := secret.Resolver{Sops: need(t, "sops"), PGP: c.pgp, Passphrase: c.passphrase, Dir: t.TempDir()}
			got, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "A", Type: "sops", File: c.file}), files)
			left(t, r.Dir)
			if c.want == "" {
				if err != nil || got["A"].Reveal() != "v" {
					t.Errorf("got %q, %v", got["A"].Reveal(), err)
				}
				return
			}
			if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestKeyRingOfAPersonIsUsed(t *testing.T) {
	home := newGPGHome(t)
	fingerprint := home.key("Person <p@example.com>", "future-default", "")
	r := secret.Resolver{Sops: need(t, "sops"), Env: map[string]string{"PATH": os.Getenv("PATH")}, Keys: map[string]string{"GNUPGHOME": home.dir}}
	got, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "A", Type: "sops", File: "s.yaml"}), map[string][]byte{"s.yaml": home.encrypt(fingerprint)})
	if err != nil || got["A"].Reveal() != "v" {
		t.Errorf("got %q, %v", got["A"].Reveal(), err)
	}
}

func TestPGPKeyIsKeptFromOthers(t *testing.T) {
	home := newGPGHome(t)
	fingerprint := home.key("A <a@example.com>", "future-default", "")
	r, notes := watched(t, secret.Resolver{Dir: t.TempDir(), PGP: home.export("--export-secret-keys", "", fingerprint)})
	if _, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "A", Type: "sops", File: "s.yaml"}), map[string][]byte{"s.yaml": home.encrypt(fingerprint)}); err != nil {
		t.Fatal(err)
	}
	if text := notes(); !strings.Contains(text, "mode 700 secring.gpg \n") || !strings.Contains(text, "mode 600 secring.gpg\n") || strings.Contains(text, "PRIVATE KEY") {
		t.Error(text)
	}
}
