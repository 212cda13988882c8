package source_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// trap stands for every program that could be started: it writes down what it was given.
const trap = `#!/bin/sh
{ echo "$0 $*"; env; } >> "%s/caught"
exit 1
`

func TestCredentialsStayInMemory(t *testing.T) {
	f := newPrivateForge(t)
	home, caught, programs := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"git", "ssh", "ssh-add", "ssh-agent", "ssh-keyscan", "git-upload-pack", "sh-askpass"} {
		if err := os.WriteFile(filepath.Join(programs, name), fmt.Appendf(nil, trap, caught), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k := keyring(t, f.host+"="+goodToken, f.key)
	granted := f.installationToken(t, "other")
	if err := k.Add(f.url+"/acme/other", source.Credential{Password: manifest.NewSecret(granted)}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	for _, name := range []string{"HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, home)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("FLYCD_GIT_TOKENS", f.host+"="+goodToken)
	t.Setenv("FLYCD_GIT_KEYS", f.key)
	t.Setenv("FLY_SSH_PRIVATE_KEY", f.key)
	var told []string
	for _, person := range []bool{false, true} {
		c := &source.Client{Auth: k, HostKeys: f.knownHosts, Git: person, Memory: -1, HTTP: &watched{t, home, k.Secrets()}}
		for _, url := range []string{
			f.url + "/acme/web.git", f.url + "/acme/other", f.ssh, f.State().Repo("acme/other").SSHURL, f.url + "/acme/none", strings.Replace(f.ssh, "127.0.0.1", "localhost", 1),
		} {
			at, err := c.Resolve(t.Context(), url, manifest.Ref{})
			told = append(told, fmt.Sprint(err))
			if err != nil {
				continue
			}
			tree, err := c.Fetch(t.Context(), url, at)
			told = append(told, fmt.Sprintf("%v %+v", err, tree))
			leaks(t, home, k.Secrets())
		}
		// without a credential, a person's own programs are asked
		c.Auth = nil
		for _, url := range []string{f.url + "/acme/web", "https://127.0.0.1:1/acme/web", f.ssh} {
			_, err := c.Resolve(t.Context(), url, manifest.Ref{})
			told = append(told, fmt.Sprint(err))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(filepath.Join(caught, "told"), []byte(strings.Join(told, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	leaks(t, caught, k.Secrets())
	leaks(t, home, k.Secrets())
	seen, err := os.ReadFile(filepath.Join(caught, "caught"))
	if err != nil || !strings.Contains(string(seen), "git-upload-pack") {
		t.Errorf("the trap caught no ssh: %s, %v", seen, err)
	}
	line, err := os.ReadFile("/proc/self/cmdline")
	if err == nil {
		for _, secret := range k.Secrets() {
			if strings.Contains(string(line), secret) {
				t.Error("a secret is on the command line")
			}
		}
	}
}

// String keeps what it looks for out of what is printed.
func (w *watched) String() string { return "watched" }

// GoString does too.
func (w *watched) GoString() string { return "watched" }

// watched looks at the files whenever something is asked for.
type watched struct {
	t       *testing.T
	dir     string
	secrets []string
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	leaks(w.t, w.dir, w.secrets)
	return http.DefaultTransport.RoundTrip(req)
}

// leaks looks for the secrets in the names and contents of all files below a folder.
func leaks(t *testing.T, dir string, secrets []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what is gone again holds nothing
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return nil //nolint:nilerr // what is gone again holds nothing
		}
		for _, secret := range secrets {
			if strings.Contains(string(content), secret) || strings.Contains(name, secret) {
				t.Errorf("%s holds a secret", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
