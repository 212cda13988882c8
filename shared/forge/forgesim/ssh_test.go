package forgesim_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

func TestDeployKeysOpenTheirRepositoryForReading(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			t.Fatal("ssh is not installed")
		}
		t.Skip("ssh is not installed")
	}
	s, _ := serve(t, forgesim.Options{})
	known, err := s.ListenSSH("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"key": string(pem.EncodeToMemory(block)), "known": known + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sha := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	repoWith(t, s, "acme/other", map[string]string{"a": "1"})
	if _, err := s.SetRepo(forgesim.Repo{Repo: "acme/web", DeployKeys: []string{string(ssh.MarshalAuthorizedKey(signer))}}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSH_COMMAND", "ssh -F /dev/null -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile="+dir+"/known -i "+dir+"/key")
	url := s.State().Repo("acme/web").SSHURL
	git(t, dir, "clone", "-q", url, "clone")
	if got := git(t, filepath.Join(dir, "clone"), "rev-parse", "HEAD"); got != sha {
		t.Errorf("the clone is at %s, want %s", got, sha)
	}
	if out, err := tryGit(t, filepath.Join(dir, "clone"), "push", "-q", "origin", "HEAD:refs/heads/x"); err == nil || !strings.Contains(out, "read only") {
		t.Errorf("a push by a deploy key: %v %s", err, out)
	}
	if out, err := tryGit(t, dir, "clone", "-q", s.State().Repo("acme/other").SSHURL, "other"); err == nil || !strings.Contains(out, "Repository not found") {
		t.Errorf("a clone of another repository: %v %s", err, out)
	}
}
