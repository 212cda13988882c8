package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/launch"
)

func full(more ...string) []string {
	return append([]string{
		"FLYCD_JOB=abcdefghijklmnopqrstuvwxyz", "FLYCD_ATTEMPT=2", "FLY_MACHINE_ID=m", "REDIS_URL=redis://h", "FLY_API_TOKEN=t", "FLYCD_LOG=json,debug",
		"FLYCD_DEADLINE=2026-11-24T06:00:00Z",
	}, more...)
}

func TestEnvironmentIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(append(full("FLYCD_NEXT_TOKEN_FILE="+file, "FLYCD_GIT_TOKENS=GitHub.com=abc, git.example=x=y"), "PATH="))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC); !cfg.Deadline.Equal(want) || cfg.Attempt != 2 || cfg.NextToken != "from-a-file" {
		t.Errorf("read %+v", cfg)
	}
	tok, err := cfg.keyring(launch.Grant{Git: []launch.GitCredential{{Repo: "https://github.com/granted/one", Username: "x-access-token", Password: "ghs"}}})
	if err != nil {
		t.Fatal(err)
	}
	for repo, want := range map[string]string{"https://github.com/a/b": "abc", "https://github.com/granted/one": "ghs", "https://git.example/a": "x=y", "https://other/a": "", "http://github.com/a/b": ""} {
		c, err := tok.Credential(t.Context(), repo)
		if err != nil || c.Password.Reveal() != want {
			t.Errorf("%s: %v", repo, err)
		}
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(context.Background(), nil, environment{vars: []string{"FLYCD_LOG=loud", "FLYCD_BUILDER=magic", "FLYCD_GIT_TOKENS=secret-without-host"}, out: &out, err: &errs})
	if code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	for _, want := range []string{"FLYCD_JOB", "FLY_MACHINE_ID", "REDIS_URL", "FLY_API_TOKEN", "FLYCD_LOG", "FLYCD_BUILDER", "FLYCD_GIT_TOKENS"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in %q", want, errs.String())
		}
	}
	if strings.Contains(errs.String(), "secret-without-host") {
		t.Error("a token was told")
	}
	if code := run(context.Background(), nil, environment{vars: full("REDIS_URL=http://user:hunter2@h"), out: &out, err: &errs}); code != exitUsage || strings.Contains(errs.String(), "hunter2") {
		t.Errorf("exit code %d, said %q", code, errs.String())
	}
}

func TestHelpAndWrongUsage(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"--help"}, environment{out: &out, err: &errs}); code != exitOK || !strings.Contains(out.String(), "FLYCD_ATTEMPT") {
		t.Errorf("exit code %d, %q", code, out.String())
	}
	if code := run(context.Background(), []string{"deploy"}, environment{out: &out, err: &errs}); code != exitUsage || !strings.Contains(errs.String(), "no arguments") {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}
