package secret_test

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

func TestEveryTypeIsResolved(t *testing.T) {
	key := newAgeKey(t)
	r := key.resolver(t)
	r.Env = map[string]string{"TOKEN": "from env", "SHOP_DB": "renamed"}
	a := app(
		manifest.SecretRef{Name: "TOKEN", Type: "env"},
		manifest.SecretRef{Name: "DB", Type: "env", Env: "SHOP_DB"},
		manifest.SecretRef{Name: "RAW", Type: "raw", Raw: manifest.NewSecret("plain ")},
		manifest.SecretRef{Name: "CERT", Type: "file", File: "cert.pem"},
		manifest.SecretRef{Name: "API_KEY", Type: "sops", File: "prod.yaml"},
		manifest.SecretRef{Name: "SMTP", Type: "sops", File: "prod.yaml", Key: "mail.password"},
	)
	files := map[string][]byte{
		"cert.pem":  []byte("-----BEGIN\nx\n-----END\n"),
		"prod.yaml": key.encrypt(t, "yaml", "API_KEY: abc\nmail:\n  password: pw\n"),
	}
	got, err := r.Resolve(t.Context(), a, files)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"TOKEN": "from env", "DB": "renamed", "RAW": "plain ", "CERT": "-----BEGIN\nx\n-----END", "API_KEY": "abc", "SMTP": "pw",
	}
	if diff := cmp.Diff(want, reveal(got)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"cert.pem", "prod.yaml"}, secret.FilesOf(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"SHOP_DB", "TOKEN"}, secret.EnvOf(a)); diff != "" {
		t.Error(diff)
	}
}

func TestAppWithoutSecretsNeedsNothing(t *testing.T) {
	got, err := secret.Resolver{Sops: "/nowhere/sops"}.Resolve(t.Context(), app(), nil)
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestOneNewlineAtTheEndOfAFileIsCut(t *testing.T) {
	for content, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a\nb\n": "a\nb", " a \n": " a ", "a\r": "a\r"} {
		got, err := secret.Resolver{}.Resolve(t.Context(), app(manifest.SecretRef{Name: "X", Type: "file", File: "f"}), map[string][]byte{"f": []byte(content)})
		if err != nil || got["X"].Reveal() != want {
			t.Errorf("%q: got %q, %v; want %q", content, got["X"].Reveal(), err, want)
		}
	}
}

// formats are files of each format with the same values in them.
func formats() map[string]string {
	return map[string]string{
		"s.yaml":     "plain: v1\ndb:\n  url: v2\n  hosts: [v3, v4]\na.b: v5\nport: 5432\non_: true\nlong: |\n  v6\n",
		"S.YML":      "plain: v1\ndb: {url: v2, hosts: [v3, v4]}\na.b: v5\nport: 5432\non_: true\nlong: \"v6\\n\"\n",
		"s.enc.json": `{"plain":"v1","db":{"url":"v2","hosts":["v3","v4"]},"a.b":"v5","port":5432,"on_":true,"long":"v6\n"}`,
	}
}

func TestKeysOfTreesAreFound(t *testing.T) {
	key := newAgeKey(t)
	for name, plain := range formats() {
		format := "yaml"
		if strings.HasSuffix(name, ".json") {
			format = "json"
		}
		files := map[string][]byte{name: key.encrypt(t, format, plain)}
		a := app()
		want := map[string]string{"plain": "v1", "db.url": "v2", "db.hosts.1": "v4", "a.b": "v5", "port": "5432", "on_": "true", "long": "v6\n"}
		for k := range want {
			a.Secrets = append(a.Secrets, manifest.SecretRef{Name: k, Type: "sops", File: name, Key: k})
		}
		got, err := key.resolver(t).Resolve(t.Context(), a, files)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, reveal(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestFlatFilesAndWholeFilesAreRead(t *testing.T) {
	key := newAgeKey(t)
	for _, c := range []struct{ file, format, plain, key, want string }{
		{"prod.env", "dotenv", "A=1\n# note\nX=a b#c\n", "", "a b#c"},
		{".env", "dotenv", "X=\"quoted\"\n", "X", `"quoted"`},
		{"prod.ini", "ini", "X=top\n[db]\nurl=inner\n", "", "top"},
		{"prod.ini", "ini", "X=top\n[db]\nurl=inner\n", "db.url", "inner"},
		{"key.pem", "binary", "line\nline\n", "", "line\nline"},
		{"secret", "binary", `{"a":"b"}`, "", `{"a":"b"}`},
		{"empty.toml", "binary", "\n\n", "", "\n"},
	} {
		r := key.resolver(t)
		got, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "X", Type: "sops", File: c.file, Key: c.key}),
			map[string][]byte{c.file: key.encrypt(t, c.format, c.plain)})
		if err != nil || got["X"].Reveal() != c.want {
			t.Errorf("%s %q: got %q, %v; want %q", c.file, c.key, got["X"].Reveal(), err, c.want)
		}
	}
}

func TestKeyFilesOfAPersonAreFound(t *testing.T) {
	key := newAgeKey(t)
	home := t.TempDir()
	if err := os.MkdirAll(home+"/.config/sops/age", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{home + "/.config/sops/age/keys.txt", home + "/key.txt"} {
		if err := os.WriteFile(name, []byte("# a key\n"+key.private+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(home)
	files := map[string][]byte{"s.yaml": key.encrypt(t, "yaml", "X: v\n")}
	for _, r := range []secret.Resolver{
		{Home: home},
		{Keys: map[string]string{"SOPS_AGE_KEY_FILE": "key.txt"}},
		secret.Environment([]string{"SOPS_AGE_KEY=" + key.private}),
	} {
		r.Sops = need(t, "sops")
		got, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "X", Type: "sops", File: "s.yaml"}), files)
		if err != nil || got["X"].Reveal() != "v" {
			t.Errorf("got %q, %v", got["X"].Reveal(), err)
		}
	}
}

func TestEverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	key := newAgeKey(t)
	r := key.resolver(t)
	files := map[string][]byte{"good.yaml": key.encrypt(t, "yaml", "A: v\n"), "plain.yaml": []byte("A: v\n")}
	_, err := r.Resolve(t.Context(), app(
		manifest.SecretRef{Name: "ONE", Type: "env"},
		manifest.SecretRef{Name: "TWO", Type: "sops", File: "good.yaml"},
		manifest.SecretRef{Name: "THREE", Type: "sops", File: "plain.yaml"},
		manifest.SecretRef{Name: "FOUR", Type: "sops", File: "plain.yaml"},
		manifest.SecretRef{Name: "FIVE", Type: "file", File: "gone"},
		manifest.SecretRef{Name: "A", Type: "sops", File: "good.yaml"},
	), files)
	if !errors.Is(err, job.ErrRejected) {
		t.Fatalf("got %v, want a rejection", err)
	}
	text := err.Error()
	for _, want := range []string{"secret ONE:", "secret TWO: good.yaml: there is no key", "secrets THREE, FOUR: plain.yaml: the file is not encrypted", "secret FIVE: gone:"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is told %d times in:\n%s", want, strings.Count(text, want), text)
		}
	}
	if lines := strings.Count(text, "\n") + 1; lines != 4 {
		t.Errorf("%d lines, want 4:\n%s", lines, text)
	}
}

func TestAppsReadOnlyWhatTheyMayOfTheEnvironment(t *testing.T) {
	const token = "FlyV1 fm2_canaryAbCdEfGhIjKlMnOp"
	environ := map[string]string{
		"FLY_API_TOKEN": token, "FLYCD_GIT_TOKENS": "github.com=ghp_canary0123456789", "SOPS_AGE_KEY": "AGE-SECRET-KEY-1CANARY",
		"REDIS_URL": "rediss://default:canary0123456789@redis:6379", "FLY_REGION": "arn", "FLYCD_LOG": "json",
		"COPY": token, "PART": "x ghp_canary0123456789 y", "URL": "rediss://default:canary0123456789@redis:6379",
		"APP_KEY": "v", "REGION": "arn", "SHORT": "json", "EMPTY": "",
		"HOST": "https://github.com/acme",
	}
	for _, c := range []struct {
		name, want string
		allow      []string
	}{
		{name: "APP_KEY"},
		{name: "REGION"},
		{name: "SHORT"},
		{name: "HOST"},
		{name: "APP_KEY", allow: []string{"OTHER", "APP_*"}},
		{name: "APP_KEY", allow: []string{"OTHER"}, want: "apps may not read APP_KEY of the runner's environment; whoever runs FlyCD can add it to FLYCD_SECRETS_ALLOW"},
		{name: "FLY_API_TOKEN", want: "FLY_API_TOKEN is FlyCD's own and no app's", allow: []string{"*"}},
		{name: "FLY_ACCESS_TOKEN", want: "is FlyCD's own"},
		{name: "FLY_API_TOKEN_FILE", want: "is FlyCD's own"},
		{name: "FLYCD_GIT_TOKENS", want: "is FlyCD's own", allow: []string{"FLYCD_GIT_TOKENS"}},
		{name: "SOPS_AGE_KEY", want: "is FlyCD's own"},
		{name: "REDIS_URL", want: "REDIS_URL is FlyCD's own and no app's: give the runner the app's value under another name, such as MY_APP_REDIS_URL"},
		{name: "COPY", want: "COPY of the runner's environment holds the value of FLY_API_TOKEN"},
		{name: "PART", want: "holds the value of FLYCD_GIT_TOKENS"},
		{name: "URL", want: "holds the value of REDIS_URL"},
		{name: "GONE", want: "GONE is not in the runner's environment: set it there (fly secrets set GONE=…"},
		{name: "EMPTY", want: "its value is empty"},
	} {
		r := secret.Resolver{Env: environ, Allow: c.allow}
		got, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "X", Type: "env", Env: c.name}), nil)
		if c.want == "" {
			if err != nil || got["X"].Reveal() != environ[c.name] {
				t.Errorf("%s: got %q, %v", c.name, got["X"].Reveal(), err)
			}
			continue
		}
		if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a rejection with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v tells a value", c.name, err)
		}
	}
}

func TestEnvironmentIsSorted(t *testing.T) {
	r := secret.Environment([]string{"A=1", "B=x=y", "SOPS_AGE_KEY=k", "GNUPGHOME=/g", "FLYCD_PGP_KEY=pgp", "FLYCD_PGP_PASSPHRASE=pw", "FLYCD_SECRETS_ALLOW=A*, B ,"})
	if got := r.Env["B"]; got != "x=y" {
		t.Errorf("B is %q", got)
	}
	if diff := cmp.Diff(map[string]string{"SOPS_AGE_KEY": "k", "GNUPGHOME": "/g"}, r.Keys); diff != "" {
		t.Error(diff)
	}
	if r.PGP.Reveal() != "pgp" || r.Passphrase.Reveal() != "pw" {
		t.Error("the PGP key is lost")
	}
	if diff := cmp.Diff([]string{"A*", "B"}, r.Allow); diff != "" {
		t.Error(diff)
	}
	values, err := r.Variables([]string{"A", "B"})
	if err != nil || !maps.Equal(reveal(values), map[string]string{"A": "1", "B": "x=y"}) {
		t.Errorf("got %v, %v", reveal(values), err)
	}
	if _, err := r.Variables([]string{"A2", "A"}); !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "A2 is not in") {
		t.Errorf("got %v", err)
	}
}

func TestAppGetsNothingThatIsForBuildsAlone(t *testing.T) {
	key := newAgeKey(t)
	r := key.resolver(t)
	r.Env = map[string]string{"TOKEN": "both"}
	a := app(
		manifest.SecretRef{Name: "TOKEN", Type: "env"},
		manifest.SecretRef{Name: "NPM", Type: "sops", File: "build.yaml", BuildOnly: true},
		manifest.SecretRef{Name: "DEPLOY_KEY", Type: "file", File: "id", BuildOnly: true},
		manifest.SecretRef{Name: "DB", Type: "env", Env: "NOT_HERE"},
	)
	a.Build = &manifest.Build{Secrets: []string{"TOKEN", "NPM"}, SSH: map[string]string{"default": "DEPLOY_KEY", "other": "DEPLOY_KEY"}}
	if diff := cmp.Diff([]string{"TOKEN", "DB"}, secret.ForApp(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"DEPLOY_KEY", "NPM", "TOKEN"}, secret.ForBuild(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"build.yaml", "id"}, secret.FilesOf(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"NOT_HERE", "TOKEN"}, secret.EnvOf(a)); diff != "" {
		t.Error(diff)
	}

	// the build's side lacks nothing, whatever the app's lacks
	files := map[string][]byte{"build.yaml": key.encrypt(t, "yaml", "NPM: npm_x\n"), "id": []byte("-----BEGIN\n")}
	got, err := r.ResolveNames(t.Context(), a, files, secret.ForBuild(a))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"TOKEN": "both", "NPM": "npm_x", "DEPLOY_KEY": "-----BEGIN"}, reveal(got)); diff != "" {
		t.Error(diff)
	}

	// and the app's side neither has the build's files nor the program that opens them
	r.Sops, r.Env["NOT_HERE"] = "/nowhere/sops", "db"
	got, err = r.Resolve(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"TOKEN": "both", "DB": "db"}, reveal(got)); diff != "" {
		t.Error(diff)
	}
	if len(a.Secrets) != 4 {
		t.Errorf("the app itself was changed: %v", a.Secrets)
	}
}

func TestKeptSecretIsLeftOutAndLacksNothing(t *testing.T) {
	a := app(manifest.SecretRef{Name: "TOKEN", Type: "env"}, manifest.SecretRef{Name: "URL", Type: "env", Env: "SHOP_URL"})
	r := secret.Resolver{Env: map[string]string{"TOKEN": "t"}, Kept: []string{"SHOP_URL"}}
	got, err := r.Resolve(t.Context(), a, nil)
	if err != nil || !maps.Equal(reveal(got), map[string]string{"TOKEN": "t"}) {
		t.Errorf("got %v, %v", reveal(got), err)
	}
	r.Kept = []string{"URL"} // the name of the secret is not that of the variable
	if _, err := r.Resolve(t.Context(), a, nil); !errors.Is(err, job.ErrRejected) {
		t.Errorf("a secret that is not kept: %v", err)
	}
}
