package source_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

func TestLongestPlaceDecides(t *testing.T) {
	_, one := newKey(t)
	_, two := newKey(t)
	_, three := newKey(t)
	k := &source.Keyring{}
	if err := k.AddTokens("github.com=host-token, GitHub.com/Acme=owner-token\n# a comment, with=commas\ngithub.com/acme/web=bob:repo-token\n" +
		"git.example.com:8443=port-token,git.example.com=any-port"); err != nil {
		t.Fatal(err)
	}
	if err := k.AddKeys(one + "\n# acme's\ngithub.com/acme\n" + two + "\n\nhttps://github.com/acme/web.git\n" + three); err != nil {
		t.Fatal(err)
	}
	if err := k.Add("https://github.com/acme/granted.git", source.Credential{Username: "x-access-token", Password: manifest.NewSecret("granted")}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ repo, user, password, key string }{
		{"https://github.com/acme/web", "bob", "repo-token", ""},
		{"https://github.com/ACME/Web.git", "bob", "repo-token", ""},
		{"https://github.com:443/acme/web/", "bob", "repo-token", ""},
		{"https://github.com/acme/website", "", "owner-token", ""},
		{"https://github.com/acme/granted", "x-access-token", "granted", ""},
		{"https://github.com/acmeevil/web", "", "host-token", ""},
		{"https://github.com/eve/acme", "", "host-token", ""},
		{"https://github.com.evil.com/acme/web", "", "", ""},
		{"https://evil.com/github.com/acme/web", "", "", ""},
		{"https://git.example.com:8443/a/b", "", "port-token", ""},
		{"https://git.example.com:9000/a/b", "", "any-port", ""},
		{"http://github.com/acme/web", "", "", ""},
		{"git@github.com:acme/web.git", "", "", three},
		{"ssh://git@github.com:22/acme/web", "", "", three},
		{"git@github.com:acme/other.git", "", "", two},
		{"git@github.com:eve/other.git", "", "", one},
		{"ssh://git@git.example.com:2222/a/b", "", "", one},
		{"file:///srv/github.com/acme/web", "", "", ""},
	} {
		got, err := k.Credential(t.Context(), tt.repo)
		if err != nil || got.Username != tt.user || got.Password.Reveal() != tt.password || strings.TrimSpace(got.SSHKey.Reveal()) != strings.TrimSpace(tt.key) {
			t.Errorf("%s: got %q %q and a key of %d bytes, %v; want %q %q and one of %d", tt.repo, got.Username, got.Password.Reveal(), len(got.SSHKey.Reveal()), err, tt.user, tt.password, len(tt.key))
		}
	}
	if got, err := (*source.Keyring)(nil).Credential(t.Context(), "https://github.com/a/b"); err != nil || !got.Password.IsZero() {
		t.Errorf("no keyring gave %v, %v", got, err)
	}
}

// The original's FLY_SSH_PRIVATE_KEY is one key, and some ways to set a secret lose its line breaks.
func TestOneKeyIsForEveryHost(t *testing.T) {
	_, key := newKey(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	for name, text := range map[string]string{
		"as it is": key, "without line breaks": strings.ReplaceAll(key, "\n", `\n`), "of Windows": strings.ReplaceAll(key, "\n", "\r\n"), "indented": "  " + strings.ReplaceAll(key, "\n", "\n  "), "of RSA": old,
	} {
		k := &source.Keyring{}
		if err := k.AddKeys(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := k.Credential(t.Context(), "git@git.example.com:a/b")
		if err != nil || got.SSHKey.IsZero() {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		if _, err := ssh.ParsePrivateKey([]byte(got.SSHKey.Reveal())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongCredentialsAreToldWithoutQuotingThem(t *testing.T) {
	_, key := newKey(t)
	lines := strings.Split(strings.TrimSpace(key), "\n")
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	locked := string(pem.EncodeToMemory(block))
	for _, tt := range []struct{ tokens, keys, says string }{
		{"hunter2hunter2", "", "entry 1: expected HOST"},
		{"github.com=fine,=hunter2hunter2", "", "entry 2"},
		{"github.com=", "", "expected HOST"},
		{"github.com=bob:", "", "the token is empty"},
		{"https://bob:hunter2hunter2@github.com=x", "", "expected HOST"},
		{"git hub/hunter2hunter2=x", "", "expected HOST"},
		{"", lines[1], "is cut off"},
		{"", strings.Join(lines[:3], "\n"), "is cut off"},
		{"", strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), "\n"), "cannot be read"},
		{"", "hunter2 hunter2\n" + key, "the line before it is none of HOST"},
		{"", "github.com\ngithub.com/acme\n" + key, "comes no key"},
		{"", key + locked, "key 2: it has a passphrase"},
	} {
		k := &source.Keyring{}
		err := k.AddTokens(tt.tokens)
		if err == nil {
			err = k.AddKeys(tt.keys)
		}
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("error = %v, want it to say %q", err, tt.says)
			continue
		}
		for _, part := range append(lines[1:len(lines)-1], "hunter2", strings.Split(locked, "\n")[3]) {
			if strings.Contains(err.Error(), part) {
				t.Errorf("the error tells the secret: %v", err)
			}
		}
	}
}

func TestKeyringShowsItselfNowhere(t *testing.T) {
	_, key := newKey(t)
	k := &source.Keyring{}
	if err := k.AddTokens("github.com=hunter2hunter2"); err != nil {
		t.Fatal(err)
	}
	if err := k.AddKeys(key); err != nil {
		t.Fatal(err)
	}
	c := &source.Client{Auth: k}
	cred, err := k.Credential(t.Context(), "https://github.com/a/b")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, v := range []any{k, *k, struct{ K *source.Keyring }{k}, c, c.For("https://github.com/a/b"), cred} {
			shown := fmt.Sprintf(verb, v)
			for _, secret := range k.Secrets() {
				if strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) {
					t.Errorf("%s of a %T shows a secret", verb, v)
				}
			}
		}
	}
	if n := len(k.Secrets()); n < 4 {
		t.Errorf("%d texts are secret, want the token, the key and its lines", n)
	}
}

func TestKnownHostsAreReadLineByLine(t *testing.T) {
	signer, _ := newKey(t)
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	good := "git.example.com " + line
	for text, says := range map[string]string{
		"": "", "# only a comment\n\n": "", good + "\n[git.example.com]:2222 " + line + " a comment\n": "",
		"@revoked " + good: "", good + "\n" + line + "\n": "line 2", "git.example.com ssh-ed25519\n": "line 1", "git.example.com ssh-ed25519 !!!": "line 1",
	} {
		err := source.CheckKnownHosts(text)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
