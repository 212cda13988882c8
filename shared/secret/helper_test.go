package secret_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// need gives a program; a test that needs it is skipped by name where it is missing.
func need(tb testing.TB, name string) string {
	tb.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			tb.Fatal(name + " is not installed")
		}
		tb.Skip(name + " is not installed")
	}
	return program
}

// ageKey is a key pair of age.
type ageKey struct{ private, public string }

func newAgeKey(tb testing.TB) ageKey {
	tb.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		tb.Fatal(err)
	}
	return ageKey{id.String(), id.Recipient().String()}
}

// resolver has the key for sops.
func (k ageKey) resolver(tb testing.TB) secret.Resolver {
	tb.Helper()
	return secret.Resolver{Sops: need(tb, "sops"), Keys: map[string]string{"SOPS_AGE_KEY": k.private}, Dir: tb.TempDir()}
}

// encrypt encrypts for the key, in the format, with sops.
func (k ageKey) encrypt(tb testing.TB, format, plain string) []byte {
	tb.Helper()
	return sops(tb, plain, nil, "encrypt", "--age", k.public, "--input-type", format, "--output-type", format, "/dev/stdin")
}

// sops runs the real sops.
func sops(tb testing.TB, stdin string, env []string, args ...string) []byte {
	tb.Helper()
	dir := tb.TempDir()
	cmd := exec.CommandContext(tb.Context(), need(tb, "sops"), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("sops %v: %v: %s", args, err, stderr.String())
	}
	return out
}

// app is an app with secrets.
func app(refs ...manifest.SecretRef) *manifest.App {
	return &manifest.App{Name: "shop", Secrets: refs}
}

// reveal gives the values as they are.
func reveal(values map[string]manifest.Secret) map[string]string {
	out := map[string]string{}
	for name, v := range values {
		out[name] = v.Reveal()
	}
	return out
}

// script writes a program that stands before the real sops.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sops")
	if err := os.WriteFile(name, []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}
