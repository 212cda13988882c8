package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func run1(args []string, vars ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	// one that is set up serves until it is ended
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	code = run(ctx, args, environment{vars: vars, out: &out, err: &errs})
	return code, out.String(), errs.String()
}

const registryToken = "registry-token-of-thirty-two-characters"

func whole(redis string) []string {
	return []string{
		"FLYCD_WEBHOOK_SECRET=old, new", "REDIS_URL=" + redis, "FLY_API_TOKEN=fly-token", "FLYCD_RUNNER_APP=runners", "FLYCD_RUNNER_IMAGE=runner:1",
		"FLYCD_CONFIG_REPOS=https://github.com/Codertocat/Hello-World#apps, https://github.com/me/other@main", "PORT=0", "FLYCD_PRIVATE_PORT=0",
		"FLYCD_LOG=json,debug", "FLYCD_REGISTRY_TOKENS=" + registryToken, "FLYCD_NEXT_TOKEN=next-token", "FLYCD_NEXT_URL=https://d.fly.dev/next",
	}
}

func TestHelpNamesEverySetting(t *testing.T) {
	code, out, _ := run1([]string{"--help"})
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, name := range []string{
		"FLYCD_WEBHOOK_SECRET", "FLYCD_WEBHOOK_SECRET_FILE", "FLYCD_REGISTRY_TOKENS", "FLYCD_REGISTRY_TOKENS_FILE", "REDIS_URL", "REDIS_URL_FILE", "FLYCD_REDIS_PREFIX", "FLYCD_CONFIG_REPOS", "FLY_API_TOKEN", "FLY_API_TOKEN_FILE",
		"FLY_FLAPS_BASE_URL", "FLYCD_RUNNER_APP", "FLYCD_RUNNER_IMAGE", "FLYCD_RUNNER_REGION", "FLYCD_RUNNER_SIZE", "FLYCD_MAX_RUNNERS", "FLYCD_NEXT_URL", "FLYCD_NEXT_TOKEN",
		"FLYCD_NEXT_TOKEN_FILE", "PORT", "FLYCD_PRIVATE_PORT", "FLYCD_LOG",
	} {
		if !strings.Contains(out, " "+name+" ") {
			t.Errorf("--help does not name %s", name)
		}
	}
	_, port, _ := strings.Cut(out, "\n  PORT ")
	port, _, _ = strings.Cut(port, "\n")
	for _, at := range []string{"POST /webhook,", "POST /webhook/registry,", "POST /webhook/registry/TOKEN,", "POST /next,", "GET /healthz"} {
		if !strings.Contains(port, at) {
			t.Errorf("--help does not name %s at PORT: %s", at, port)
		}
	}
}

// TestBadSettingsAreSaidInOneGo holds that it does not start half set up, and says what to do.
func TestBadSettingsAreSaidInOneGo(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		vars []string
		want []string
	}{
		"nothing is set":  {want: []string{"FLYCD_WEBHOOK_SECRET is not set", "REDIS_URL is not set", "FLY_API_TOKEN is not set", "FLYCD_RUNNER_APP is not set", "FLYCD_RUNNER_IMAGE is not set"}},
		"an empty secret": {vars: []string{"FLYCD_WEBHOOK_SECRET=, ,"}, want: []string{"FLYCD_WEBHOOK_SECRET is not set"}},
		"a size":          {vars: []string{"FLYCD_RUNNER_SIZE=huge"}, want: []string{"FLYCD_RUNNER_SIZE", "shared-cpu-1x"}},
		"a number":        {vars: []string{"FLYCD_MAX_RUNNERS=many"}, want: []string{"many"}},
		"no runner":       {vars: []string{"FLYCD_MAX_RUNNERS=0"}, want: []string{"FLYCD_MAX_RUNNERS=0"}},
		"no public port":  {vars: []string{"PORT=-1"}, want: []string{"PORT=-1"}},
		"no next token":   {vars: []string{"FLYCD_NEXT_TOKEN="}, want: []string{"FLYCD_NEXT_TOKEN is not"}},
		"no URL":          {vars: []string{"FLY_FLAPS_BASE_URL=_api.internal:4280", "FLYCD_NEXT_URL=d.fly.dev/next"}, want: []string{"FLY_FLAPS_BASE_URL: expected a URL", "FLYCD_NEXT_URL: expected a URL"}},
		"a password":      {vars: []string{"FLYCD_CONFIG_REPOS=https://me:hunter2@github.com/acme/config"}, want: []string{"FLYCD_CONFIG_REPOS", "FLYCD_GIT_TOKENS"}},
		"a level":         {vars: []string{"FLYCD_LOG=loud"}, want: []string{"FLYCD_LOG", "debug, info"}},
		"a Redis":         {vars: []string{"REDIS_URL=http://user:hunter2@x"}, want: []string{"REDIS_URL"}},
		"a short token":   {vars: []string{"FLYCD_REGISTRY_TOKENS=" + strings.Repeat("x", 32) + ",hunter2"}, want: []string{"FLYCD_REGISTRY_TOKENS: token 2 of 2 has 7 characters, 32 at least", "openssl rand -hex 32"}},
		"an odd token":    {vars: []string{"FLYCD_REGISTRY_TOKENS=hunter2/" + strings.Repeat("x", 32)}, want: []string{"FLYCD_REGISTRY_TOKENS: token 1 of 1", "letters, digits"}},
		"no token file":   {vars: []string{"FLYCD_REGISTRY_TOKENS=", "FLYCD_REGISTRY_TOKENS_FILE=/none"}, want: []string{"/none"}},
		"a missing file":  {vars: []string{"FLYCD_WEBHOOK_SECRET=", "FLYCD_WEBHOOK_SECRET_FILE=/none"}, want: []string{"/none"}},
		"a config repo":   {vars: []string{"FLYCD_CONFIG_REPOS=#x"}, want: []string{"FLYCD_CONFIG_REPOS", "URL[@ref][#path]"}},
		"an argument":     {args: []string{"serve"}, want: []string{"serve", "--help"}},
		"half an app":     {vars: []string{"FLYCD_GITHUB_APP_ID=7"}, want: []string{"FLYCD_GITHUB_APP_KEY", "belong together"}},
		"no app's key":    {vars: []string{"FLYCD_GITHUB_APP_ID=7", "FLYCD_GITHUB_APP_KEY=hunter2"}, want: []string{"FLYCD_GITHUB_APP_KEY: expected the private key"}},
		"nowhere to ask":  {vars: []string{"FLYCD_MINT_TOKEN=fm2_x", "FLYCD_NEXT_URL="}, want: []string{"FLYCD_GRANT_URL"}},
		"grants in clear": {vars: []string{"FLYCD_MINT_TOKEN=fm2_x", "FLYCD_GRANT_URL=http://d.fly.dev/grant"}, want: []string{"FLYCD_GRANT_URL", "must be https"}},
		"anybody's repos": {vars: []string{"FLYCD_OIDC_REPOS=acme/web, */*"}, want: []string{"FLYCD_OIDC_REPOS: */*", "owner is named in full"}},
		"a short caller":  {vars: []string{"FLYCD_DISPATCH_TOKENS=hunter2"}, want: []string{"FLYCD_DISPATCH_TOKENS: token 1 of 1 has 7 characters"}},
		"a destination":   {vars: []string{"FLYCD_NOTIFY=ops=ftp://x/hunter2"}, want: []string{"FLYCD_NOTIFY"}},
		"an allowed host": {vars: []string{"FLYCD_NOTIFY_ALLOW=localhost"}, want: []string{"FLYCD_NOTIFY_ALLOW", "IP:PORT"}},
		"an odd end":      {vars: []string{"FLYCD_TOKENS_EXPIRE=soon"}, want: []string{"FLYCD_TOKENS_EXPIRE"}},
		"a port in use":   {vars: []string{"PORT=99999"}, want: []string{"port"}},
	} {
		vars := c.vars
		if name != "nothing is set" {
			vars = append(whole("redis://127.0.0.1:1"), c.vars...)
		}
		code, _, errs := run1(c.args, vars...)
		if code == 0 || code == 2 && strings.Contains(errs, "goroutine") {
			t.Errorf("%s: exit %d %s", name, code, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: no word about %s in %s", name, want, errs)
			}
		}
		if strings.Contains(errs, "hunter2") {
			t.Errorf("%s: the password is told: %s", name, errs)
		}
	}
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	dir, vars := t.TempDir(), []string{"FLYCD_RUNNER_APP=a", "FLYCD_RUNNER_IMAGE=i"}
	for _, name := range []string{"FLYCD_WEBHOOK_SECRET", "REDIS_URL", "FLY_API_TOKEN", "FLYCD_NEXT_TOKEN", "FLYCD_REGISTRY_TOKENS"} {
		file, text := filepath.Join(dir, name), "of "+name
		if name == "FLYCD_REGISTRY_TOKENS" {
			text = strings.Repeat("a", 32) + ",\n" + strings.Repeat("b", 64)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		vars = append(vars, name+"_FILE="+file)
	}
	c, err := readConfig(vars)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Tokens, []string{strings.Repeat("a", 32), strings.Repeat("b", 64)}) {
		t.Errorf("tokens %q", c.Tokens)
	}
	if !slices.Equal(c.Secrets, []string{"of FLYCD_WEBHOOK_SECRET"}) || c.RedisURL != "of REDIS_URL" || c.APIToken != "of FLY_API_TOKEN" || c.NextToken != "of FLYCD_NEXT_TOKEN" {
		t.Errorf("got %+v", c)
	}
}

// TestNoSecretIsHandedToRunners holds a machine's environment, which can be read back, free of them.
func TestNoSecretIsHandedToRunners(t *testing.T) {
	vars := whole("redis://user:hunter2@x")
	c, err := readConfig(vars)
	if err != nil {
		t.Fatal(err)
	}
	env := c.runnerEnv(vars)
	if env["FLYCD_NEXT_URL"] != "https://d.fly.dev/next" || env["FLYCD_LOG"] != "json,debug" {
		t.Errorf("handed on %v", env)
	}
	for k, v := range env {
		for _, secret := range []string{"hunter2", "fly-token", "next-token", registryToken, "new"} {
			if strings.Contains(v, secret) {
				t.Errorf("%s=%s holds a secret", k, v)
			}
		}
	}
}

// TestOtherSettingsFollow holds what is made of settings for those outside.
func TestOtherSettingsFollow(t *testing.T) {
	for name, c := range map[string]struct {
		vars  []string
		grant string
		host  string
	}{
		"GitHub":            {nil, "https://d.fly.dev/grant", ""},
		"an enterprise's":   {[]string{"FLYCD_OIDC_ISSUER=https://token.actions.githubusercontent.com/acme"}, "https://d.fly.dev/grant", ""},
		"a server":          {[]string{"FLYCD_OIDC_ISSUER=https://git.acme.org/_services/token"}, "https://d.fly.dev/grant", "git.acme.org"},
		"a server's API":    {[]string{"FLYCD_OIDC_ISSUER=https://token.acme.org", "FLYCD_GITHUB_URL=https://api.git.acme.org"}, "https://d.fly.dev/grant", "git.acme.org"},
		"an address of its": {[]string{"FLYCD_GRANT_URL=http://d.internal:8080/grant"}, "http://d.internal:8080/grant", ""},
	} {
		cfg, err := readConfig(append(append(whole("redis://x"), "FLYCD_MINT_TOKEN=fm2_x", "FLYCD_OIDC_REPOS= acme/web ,"), c.vars...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		callers := cfg.callers()
		if cfg.GrantURL != c.grant || callers.Host != c.host || callers.Workflows == nil || !slices.Equal(callers.Repos, []string{"acme/web"}) {
			t.Errorf("%s: %s, %+v", name, cfg.GrantURL, callers)
		}
	}
	cfg, err := readConfig(whole("redis://x"))
	if callers := cfg.callers(); err != nil || callers.Workflows != nil || cfg.grants(nil, nil) != nil {
		t.Errorf("where nothing is set: %+v, %v", callers, err)
	}
}
