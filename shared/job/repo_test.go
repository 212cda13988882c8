package job_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
)

func TestSpellingsOfARepositoryAreOneKey(t *testing.T) {
	for want, spellings := range map[string][]string{
		"github.com/acme/code": {
			"https://github.com/acme/code", "https://github.com/acme/code.git", "https://GitHub.com/Acme/Code/", "https://github.com/acme/code.git/",
			"https://eve:secret@github.com/acme/code", "https://github.com:443/acme/code", "ssh://git@github.com/acme/code.git",
			"ssh://git@github.com:22/acme/code", "git@github.com:acme/code.git", "git@github.com:acme/code", "github.com:acme/code",
			"git://github.com/acme/code", " https://github.com/acme/code\n", "git@github.com:/acme/code", "http://github.com//acme/./code",
			"github.com/acme/code", "https://github.com/acme/code?x=1#y", "https://github.com./acme/code", "ssh://git@github.com:acme/code",
			"git+ssh://git@github.com/acme/code", "https://github.com/acme/code.GIT",
		},
		"gitlab.example.com/group/sub/code": {"git@gitlab.example.com:group/sub/code.git", "https://gitlab.example.com/group/sub/code"},
		"/srv/Git/code":                     {"file:///srv/Git/code", "/srv/Git/code/", "/srv/Git/../Git/code"},
		"127.0.0.1/repo":                    {"http://127.0.0.1:8080/repo.git"},
		"[::1]/repo":                        {"http://[::1]:8080/repo.git"},
	} {
		for _, s := range spellings {
			if got := job.RepoKey(s); got != want {
				t.Errorf("key of %q is %q, want %q", s, got, want)
			}
		}
	}
}

func TestConfigIsReadFromItsSetting(t *testing.T) {
	for s, want := range map[string]job.Config{
		"https://github.com/acme/config":                {Repo: "https://github.com/acme/config"},
		"https://github.com/acme/config@main":           {Repo: "https://github.com/acme/config", Ref: "main"},
		"https://github.com/acme/config@main#apps/prod": {Repo: "https://github.com/acme/config", Ref: "main", Path: "apps/prod"},
		"https://github.com/acme/config#/apps/":         {Repo: "https://github.com/acme/config", Path: "apps"},
		"https://github.com/acme/config@feature/x":      {Repo: "https://github.com/acme/config", Ref: "feature/x"},
		"https://github.com/acme/config@refs/heads/a/b": {Repo: "https://github.com/acme/config", Ref: "refs/heads/a/b"},
		"https://github.com/acme/config@pkg@1.2.0":      {Repo: "https://github.com/acme/config", Ref: "pkg@1.2.0"},
		"git@github.com:acme/config":                    {Repo: "git@github.com:acme/config"},
		"git@github.com:acme/config.git@main":           {Repo: "git@github.com:acme/config.git", Ref: "main"},
		"git@github.com:acme/config@main#x":             {Repo: "git@github.com:acme/config", Ref: "main", Path: "x"},
		"ssh://git@github.com/acme/config@main":         {Repo: "ssh://git@github.com/acme/config", Ref: "main"},
		"/srv/config@main":                              {Repo: "/srv/config", Ref: "main"},
		"file:///srv/config@main#x":                     {Repo: "file:///srv/config", Ref: "main", Path: "x"},
		" https://github.com/acme/config ":              {Repo: "https://github.com/acme/config"},
	} {
		got, err := job.ParseConfig(s)
		if err != nil || got != want {
			t.Errorf("%q is %+v (%v), want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "  ", "#x", "https://github.com/acme/config@", "@main", "https://", "https:///x"} {
		if got, err := job.ParseConfig(s); err == nil {
			t.Errorf("%q is %+v, want an error", s, got)
		}
	}
}

// Broken when: a config tree's name, which is told everywhere, may hold a password.
func TestConfigHoldsNoSecret(t *testing.T) {
	for _, s := range []string{
		"https://eve:hunter2@github.com/acme/config", "https://hunter2@github.com/acme/config@main#x", "HTTP://hunter2@host/acme/config",
		"ssh://git:hunter2@github.com/acme/config", "https://eve:a@hunter2@github.com/acme/config",
	} {
		got, err := job.ParseConfig(s)
		if err == nil {
			t.Errorf("%q is %+v, want an error", s, got)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is told: %v", err)
		}
	}
}

func TestConfigIDNamesRefAndFolder(t *testing.T) {
	for want, c := range map[string]job.Config{
		"github.com/a/b":          {Repo: "git@github.com:a/b.git"},
		"github.com/a/b@main":     {Repo: "https://github.com/a/b", Ref: "main"},
		"github.com/a/b#x/y":      {Repo: "https://github.com/a/b", Path: "/x//y/"},
		"github.com/a/b@main#x/y": {Repo: "https://github.com/a/b", Ref: "main", Path: "x/y"},
	} {
		if got := c.ID(); got != want {
			t.Errorf("id is %q, want %q", got, want)
		}
	}
}

// A key is a key's own key, and holds nothing that would break a Redis key's reader.
func FuzzRepoKey(f *testing.F) {
	for _, s := range []string{"https://eve:pw@github.com:443/A/b.git/", "git@github.com:a/b", "file:///x/../y", "/a", "", "http://[::1]:80/x", "a:b", "%zz", "x.git.git"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key := job.RepoKey(s)
		if again := job.RepoKey(key); again != key {
			t.Errorf("key of %q is %q, its own key is %q", s, key, again)
		}
		if strings.ContainsAny(key, "\n\r\x00 ") {
			t.Errorf("key of %q is %q", s, key)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{"https://github.com/a/b@main#x", "git@github.com:a/b@c", "@", "#", "a@b@c#d#e", "file:///x@y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := job.ParseConfig(s)
		if err != nil {
			return
		}
		if c.Repo == "" || strings.HasPrefix(c.Path, "/") || c.Path == ".." || strings.HasPrefix(c.Path, "../") {
			t.Errorf("%q is %+v", s, c)
		}
		if c.ID() == "" {
			t.Errorf("%q has no id", s)
		}
	})
}

func FuzzDecode(f *testing.F) {
	if b, err := full().Encode(); err == nil {
		f.Add(b)
	}
	f.Add([]byte(`{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","kind":"sync","config":{"repo":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := job.Decode(b)
		if err != nil {
			return
		}
		out, err := j.Encode()
		if err != nil {
			t.Fatalf("a job that was read cannot be written: %v", err)
		}
		again, err := job.Decode(out)
		if err != nil || again.ID != j.ID || again.Subject() != j.Subject() {
			t.Errorf("%s becomes %s: %v", b, out, err)
		}
	})
}
