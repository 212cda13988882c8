package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/secret"
)

func TestGitTokensThatSopsEncryptedAreOpenedInMemory(t *testing.T) {
	program := need(t, "sops")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("github.com/acme=canary-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.CommandContext(t.Context(), program, "encrypt", "--age", identity.Recipient().String(), "--input-type", "binary", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	vars := full("FLYCD_GIT_TOKENS="+string(text), "SOPS_AGE_KEY="+identity.String(), "PATH="+os.Getenv("PATH"))
	cfg, err := readConfig(vars)
	if err != nil {
		t.Fatalf("what is encrypted is judged once it is open: %v", err)
	}
	open, err := cfg.opened(t.Context(), secret.Environment(vars))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := open.keyring(launch.Grant{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := keys.Credential(t.Context(), "https://github.com/acme/config"); err != nil || c.Password.Reveal() != "canary-token" {
		t.Errorf("the credential is not the one that was encrypted (%v)", err)
	}
	if !strings.Contains(strings.Join(keys.Secrets(), " "), "canary-token") {
		t.Error("what was opened is not hidden from the log")
	}
	// without the key the error says what is missing, and quotes nothing
	_, err = cfg.opened(t.Context(), secret.Environment(full("PATH="+os.Getenv("PATH"))))
	if err == nil || !strings.Contains(err.Error(), "FLYCD_GIT_TOKENS") || strings.Contains(err.Error(), "ENC[") {
		t.Errorf("without the key: %v", err)
	}
}
