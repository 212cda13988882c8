package forgesim_test

import (
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func tryGit(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			t.Fatal("git is not installed")
		}
		t.Skip("git is not installed")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ASKPASS=",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// git sends what changed in a file by the object that it takes the server to have, if it may.
func TestSmallChangeOfALargeFileIsPushed(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	if _, err := s.SetRepo(forgesim.Repo{Repo: "acme/web"}); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(base, "http://", "http://x:"+admin+"@", 1) + "/acme/web.git"
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "-q", url, dir)
	git(t, dir, "checkout", "-q", "-B", "main")
	text := strings.Repeat("the quick brown fox jumps over the lazy dog\n", 3) + rand.Text() + rand.Text() + rand.Text()
	for _, end := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte(text+end+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "-q", "-m", end)
		git(t, dir, "push", "-q", "origin", "main")
	}
	s.Wait()
	if got, want := s.State().Repo("acme/web").Refs["refs/heads/main"], git(t, dir, "rev-parse", "HEAD"); got != want {
		t.Errorf("main is at %s, want %s", got, want)
	}
}

func TestGitPushesAndTheHooksHear(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	if _, err := s.SetRepo(forgesim.Repo{Repo: "acme/web"}); err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	if _, _, err := clientOf(t, base, admin).Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "x", "push")); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(base, "http://", "http://x:"+admin+"@", 1) + "/acme/web.git"
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "first")
	git(t, dir, "push", "-q", url, "main")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "second")
	git(t, dir, "tag", "-a", "v1", "-m", "one")
	git(t, dir, "push", "-q", url, "main", "v1", "main:side")
	git(t, dir, "push", "-q", url, ":side")
	noise := make([]byte, 3<<20) // more than git sends at once
	_, _ = rand.Read(noise)
	if err := os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "large")
	git(t, dir, "push", "-q", url, "main")
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "third")
	if out, err := tryGit(t, dir, "push", "-q", url, "main"); err == nil || !strings.Contains(out, "rejected") {
		t.Errorf("a push that loses commits: %v %s", err, out)
	}
	git(t, dir, "push", "-q", "-f", url, "main")
	s.Wait()
	if got := len(l.all("push")); got != 7 {
		t.Errorf("%d push events, want 7: main, main, main, v1, side, side deleted, main forced", got)
	}
	head := git(t, dir, "rev-parse", "HEAD")
	if got := s.State().Repo("acme/web").Refs; len(got) != 2 || got["refs/heads/main"] != head {
		t.Errorf("refs = %v, want main at %s and v1", got, head)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", url, clone)
	if got := git(t, clone, "rev-parse", "HEAD"); got != head {
		t.Errorf("the clone is at %s, want %s", got, head)
	}
}

func TestGitOpensWhatATokenReaches(t *testing.T) {
	yes, no := true, false
	s, base := serve(t, forgesim.Options{Tokens: map[string]forgesim.Token{
		admin:    {Login: "acme"},
		"reader": {Login: "rob", Repos: []string{"acme/web"}, Permissions: map[string]string{"contents": "read"}},
		"blind":  {Login: "bea", Repos: []string{"acme/web"}, Permissions: map[string]string{"statuses": "write"}},
	}})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	repoWith(t, s, "acme/other", map[string]string{"a": "1"})
	repoWith(t, s, "acme/open", map[string]string{"a": "1"})
	for name, private := range map[string]*bool{"acme/web": &yes, "acme/open": &no} {
		if _, err := s.SetRepo(forgesim.Repo{Repo: name, Private: private}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		token, repo, service string
		want                 int
	}{
		{"", "acme/web", "git-upload-pack", 401},
		{"", "acme/none", "git-upload-pack", 401},
		{"", "acme/open", "git-upload-pack", 200},
		{"", "acme/open", "git-receive-pack", 401},
		{"wrong", "acme/open", "git-upload-pack", 401},
		{admin, "acme/web", "git-upload-pack", 200},
		{admin, "ACME/Web", "git-upload-pack", 200},
		{admin, "acme/none", "git-upload-pack", 404},
		{admin, "acme/web", "git-receive-pack", 200},
		{"reader", "acme/web", "git-upload-pack", 200},
		{"reader", "acme/web", "git-receive-pack", 403},
		{"reader", "acme/other", "git-upload-pack", 404},
		{"reader", "acme/open", "git-receive-pack", 403},
		{"blind", "acme/web", "git-upload-pack", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/"+tt.repo+".git/info/refs?service="+tt.service, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			req.SetBasicAuth("x-access-token", tt.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%q to %s of %s: %d, want %d", tt.token, tt.service, tt.repo, resp.StatusCode, tt.want)
		}
	}
}
