package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// config is what the environment says. Only this file reads it. The field order is the order of
// `flycd help environment`.
type config struct {
	RedisURL     string `env:"REDIS_URL" help:"redis:// or rediss:// of the queue"`
	RedisURLFile string `env:"REDIS_URL_FILE,file" help:"a file that holds REDIS_URL"`
	RedisPrefix  string `env:"FLYCD_REDIS_PREFIX" envDefault:"flycd:" help:"what every key begins with"`

	AccessToken  string        `env:"FLY_ACCESS_TOKEN" help:"Fly token; wins over FLY_API_TOKEN"`
	APIToken     string        `env:"FLY_API_TOKEN" help:"Fly token; without one, flyctl's own login is used"`
	APITokenFile string        `env:"FLY_API_TOKEN_FILE,file" help:"a file that holds FLY_API_TOKEN"`
	FlapsBaseURL string        `env:"FLY_FLAPS_BASE_URL" help:"the Machines API; point it at flycd sim"`
	APIBaseURL   string        `env:"FLY_API_BASE_URL" help:"Fly's GraphQL and logs; point it at flycd sim too"`
	UIEXBaseURL  string        `env:"FLY_UIEX_BASE_URL" help:"where Fly keeps releases; point it at flycd sim too"`
	Smoke        time.Duration `env:"FLYCD_SMOKE" help:"how long a machine must have been up before it counts as running (default 10s)"`
	FlyConfigDir string        `env:"FLY_CONFIG_DIR" help:"where flyctl keeps its login (~/.fly)"`
	Org          string        `env:"FLYCD_ORG" help:"organisation of apps that name none" envDefault:"personal"`

	ConfigRepos   []string `env:"FLYCD_CONFIG_REPOS" help:"root config trees, URL[@ref][#path], comma separated"`
	WebhookSecret string   `env:"FLYCD_WEBHOOK_SECRET" help:"webhook secrets of flycd monitor, comma separated"`
	Port          int      `env:"PORT" envDefault:"8080" help:"port of flycd monitor"`
	RunnerApp     string   `env:"FLYCD_RUNNER_APP" help:"the app that runner machines are made in, for flycd sweep"`
	RunnerImage   string   `env:"FLYCD_RUNNER_IMAGE" help:"image of the runner machines"`
	RunnerRegion  string   `env:"FLYCD_RUNNER_REGION" help:"region of the runner machines"`
	RunnerSize    string   `env:"FLYCD_RUNNER_SIZE" help:"size of the runner machines, such as shared-cpu-1x:512MB"`
	MaxRunners    int      `env:"FLYCD_MAX_RUNNERS" envDefault:"20" help:"most runners at once"`
	DigestKey     string   `env:"FLYCD_DIGEST_KEY" help:"key for comparing secrets; without one they are set again whenever the app changes, and only then"`
	DigestKeyFile string   `env:"FLYCD_DIGEST_KEY_FILE,file" help:"a file that holds FLYCD_DIGEST_KEY"`
	AgeKey        string   `env:"SOPS_AGE_KEY" help:"age keys that open what sops encrypted"`
	PGPKey        string   `env:"FLYCD_PGP_KEY" help:"armored private keys that open what sops encrypted for PGP"`
	PGPKeyFile    string   `env:"FLYCD_PGP_KEY_FILE,file" help:"a file that holds FLYCD_PGP_KEY"`
	Passphrase    string   `env:"FLYCD_PGP_PASSPHRASE" help:"what unlocks FLYCD_PGP_KEY"`
	SecretsAllow  string   `env:"FLYCD_SECRETS_ALLOW" help:"names that apps may read of this environment, comma separated, such as APP_*; empty: all but FlyCD's and Fly's own"`

	Job      string    `env:"FLYCD_JOB" help:"the job of a runner that flycd monitor started"`
	Attempt  int       `env:"FLYCD_ATTEMPT" help:"which try at the job it is"`
	Deadline time.Time `env:"FLYCD_DEADLINE" help:"when it is to be done, RFC 3339"`
	Machine  string    `env:"FLY_MACHINE_ID" help:"the name of its claim"`

	NextURL       string `env:"FLYCD_NEXT_URL" help:"where flycd dispatch asks for a launch"`
	NextToken     string `env:"FLYCD_NEXT_TOKEN" help:"bearer token for FLYCD_NEXT_URL"`
	NextTokenFile string `env:"FLYCD_NEXT_TOKEN_FILE,file" help:"a file that holds FLYCD_NEXT_TOKEN"`

	BuildkitHost       string `env:"BUILDKIT_HOST" help:"address of a buildkitd that builds Dockerfiles, by the program buildctl"`
	RegistryHost       string `env:"FLY_REGISTRY_HOST" help:"Fly's registry" envDefault:"registry.fly.io"`
	RegistryLogins     string `env:"FLYCD_REGISTRY_LOGINS" help:"logins of other registries, HOST=USER:PASSWORD, comma separated, or the text of a docker config.json; docker's own logins open the others, but not for builds"`
	RegistryLoginsFile string `env:"FLYCD_REGISTRY_LOGINS_FILE,file" help:"a file that holds FLYCD_REGISTRY_LOGINS"`
	RegistryTokens     string `env:"FLYCD_REGISTRY_TOKENS" help:"tokens of POST /webhook/registry/TOKEN of flycd monitor, where registries that sign nothing tell of pushes; one or several, comma separated, 32 characters each at least; without one it refuses everybody"`
	RegistryTokensFile string `env:"FLYCD_REGISTRY_TOKENS_FILE,file" help:"a file that holds FLYCD_REGISTRY_TOKENS"`
	Builder            string `env:"FLYCD_BUILDER" help:"buildctl or flyctl, to have only one of them; fact: take builds as done, for a simulated registry; empty takes what is there and the manifest asks for"`

	GitHubURL       string `env:"FLYCD_GITHUB_URL" help:"API of a GitHub Enterprise server, such as https://HOST/api/v3/"`
	ForgeToken      string `env:"GITHUB_TOKEN" help:"token that flycd install sets webhooks with; it is stored nowhere"`
	GHToken         string `env:"GH_TOKEN" help:"the same, under the name that gh has for it"`
	FlyCDForgeToken string `env:"FLYCD_GITHUB_TOKEN" help:"the same, where neither of them is set"`

	Log      string `env:"FLYCD_LOG" envDefault:"text" help:"text or json, and a level: json,debug"`
	Greeting string `env:"GREETING" help:"what the hello example says"`
	NoColor  string `env:"NO_COLOR" help:"any value turns colours off"`
}

func readConfig() (config, error) {
	cfg, err := env.ParseAs[config]()
	if err != nil {
		return config{}, usage(settingError(err))
	}
	for _, f := range []struct{ value, file *string }{
		{&cfg.RedisURL, &cfg.RedisURLFile},
		{&cfg.APIToken, &cfg.APITokenFile},
		{&cfg.NextToken, &cfg.NextTokenFile},
		{&cfg.DigestKey, &cfg.DigestKeyFile},
		{&cfg.PGPKey, &cfg.PGPKeyFile},
		{&cfg.RegistryLogins, &cfg.RegistryLoginsFile},
		{&cfg.RegistryTokens, &cfg.RegistryTokensFile},
	} {
		if *f.value == "" {
			*f.value = strings.TrimSpace(*f.file)
		}
	}
	return cfg, nil
}

// settingError says which variable cannot be used, by its name in the environment.
func settingError(err error) error {
	var wrong env.ParseError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("read the environment: %w", err)
	}
	field, _ := reflect.TypeFor[config]().FieldByName(wrong.Name)
	name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
	expected := map[reflect.Type]string{
		reflect.TypeFor[int](): "a whole number", reflect.TypeFor[time.Duration](): "a duration such as 10s",
		reflect.TypeFor[time.Time](): "a time such as 2026-01-31T12:00:00Z",
	}[wrong.Type]
	return fmt.Errorf("%s=%q: expected %s", name, os.Getenv(name), expected)
}

// secrets finds the values of secrets in a person's environment, and with a person's own keys.
func (c config) secrets() secret.Resolver {
	r := secret.Environment(os.Environ())
	r.PGP = manifest.NewSecret(c.PGPKey)
	r.Home, _ = os.UserHomeDir() // without one there are no keys of one's own
	return r
}

// registryTokens are those of the registries that sign nothing. Its error names what is wrong with one, and not
// the token.
func (c config) registryTokens() ([]string, error) {
	tokens := settingList(c.RegistryTokens)
	for i, token := range tokens {
		if err := dispatcher.CheckRegistryToken(token); err != nil {
			return nil, usage(fmt.Errorf("FLYCD_REGISTRY_TOKENS: token %d of %d %w", i+1, len(tokens), err))
		}
	}
	return tokens, nil
}

// settingList splits a setting that holds one thing or several.
func settingList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// lookup gives a variable that a person named.
func lookup(name string) (string, bool) { return os.LookupEnv(name) }

// searchPath is where the commands of simulated machines are found.
func searchPath() string { return os.Getenv("PATH") }

// flyToken finds a token as flyctl does, so that after `fly auth login` everything works.
func (c config) flyToken() string {
	for _, t := range []string{c.AccessToken, c.APIToken} {
		if t != "" {
			return t
		}
	}
	dir := c.FlyConfigDir
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".fly")
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.yml")) //nolint:gosec // flyctl's own file, where its variable says
	if err != nil {
		return ""
	}
	var login struct {
		AccessToken string `yaml:"access_token"`
	}
	if yaml.Unmarshal(b, &login) != nil {
		return ""
	}
	return login.AccessToken
}

// newLogger reads FLYCD_LOG: a format and a level, in any order.
func newLogger(w io.Writer, setting string) (*slog.Logger, error) {
	opts, asJSON := &slog.HandlerOptions{Level: slog.LevelWarn}, false
	for word := range strings.SplitSeq(setting, ",") {
		var level slog.Level
		switch word = strings.TrimSpace(word); {
		case word == "json" || word == "text" || word == "":
			asJSON = asJSON || word == "json"
		case level.UnmarshalText([]byte(word)) == nil:
			opts.Level = level
		default:
			return nil, usage(fmt.Errorf("FLYCD_LOG=%q: expected text or json, and debug, info, warn or error", setting))
		}
	}
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

// childEnv is the environment of a runner that is a child process: this one's, with the token that
// the login file gave.
func (c config) childEnv() []string {
	return append(os.Environ(), "FLY_API_TOKEN="+c.flyToken(), "REDIS_URL="+c.RedisURL)
}
