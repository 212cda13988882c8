// Package imagetest is what the tests of builds need beside BuildKit: Debian's docker-registry on loopback, a buildkitd as a
// person may run one, programs for steps to run, and base images that a test makes itself, since no public registry can be
// counted on. What is not installed skips a test by name, or fails it under FLYCD_TEST_REQUIRE=all.
//
// A server of a test's own ends with the test; those of a World are shared by the tests of one program and end with them.
package imagetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gigurra/flycd/shared/job"
)

// Need skips a test that lacks a program. A buildkitd wants root beside it.
func Need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			miss(tb, "the program "+p+" is not installed")
		}
		if p == "buildkitd" {
			NeedRoot(tb)
		}
	}
}

// NeedRoot skips a test that is not run by root.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		miss(tb, "builds and their sandboxes need root")
	}
}

func miss(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" { //nolint:forbidigo // a test's own switch
		tb.Fatal(what)
	}
	tb.Skip(what)
}

// Folder writes a build's folder.
func Folder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for file, text := range files {
		file = filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as a checkout has it
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // as a checkout has it
			tb.Fatal(err)
		}
	}
	return dir
}

// Key gives a private ssh key in PEM form, and the fingerprint of its public half.
func Key(tb testing.TB) (private, fingerprint string) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		tb.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), ssh.FingerprintSHA256(public)
}

// WantSays fails a test whose text lacks one of the parts.
func WantSays(tb testing.TB, what, text string, says ...string) {
	tb.Helper()
	for _, s := range says {
		if !strings.Contains(text, s) {
			tb.Errorf("%s = %q, want one that says %q", what, text, s)
		}
	}
}

// WantRejected fails a test whose error is not one that no attempt can cure, or lacks one of the parts.
func WantRejected(tb testing.TB, err error, says ...string) {
	tb.Helper()
	if !errors.Is(err, job.ErrRejected) {
		tb.Errorf("error = %v, want a rejection that says %q", err, says)
		return
	}
	WantSays(tb, "error", err.Error(), says...)
}

// WantRetry fails a test whose error is not one that may be tried again, or lacks one of the parts.
func WantRetry(tb testing.TB, err error, says ...string) {
	tb.Helper()
	if err == nil || errors.Is(err, job.ErrRejected) {
		tb.Errorf("error = %v, want one that may be tried again and says %q", err, says)
		return
	}
	WantSays(tb, "error", err.Error(), says...)
}
