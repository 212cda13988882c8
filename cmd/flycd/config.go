package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/settings"
	"github.com/gigurra/flycd/shared/source"
)

// config is what the environment says. Only this file reads it. The field order is the order of
// `flycd help environment`.
type config struct {
	RedisURL    string `env:"REDIS_URL" file:"yes" help:"redis:// or rediss:// of the queue"`
	RedisPrefix string `env:"FLYCD_REDIS_PREFIX" envDefault:"flycd:" help:"what every key begins with"`

	AccessToken  string        `env:"FLY_ACCESS_TOKEN" help:"Fly token; wins over FLY_API_TOKEN"`
	APIToken     string        `env:"FLY_API_TOKEN" file:"yes" help:"Fly token; without one, flyctl's own login is used"`
	FlapsBaseURL string        `env:"FLY_FLAPS_BASE_URL" help:"the Machines API; point it at flycd sim"`
	APIBaseURL   string        `env:"FLY_API_BASE_URL" help:"Fly's GraphQL and logs; point it at flycd sim too"`
	UIEXBaseURL  string        `env:"FLY_UIEX_BASE_URL" help:"where Fly keeps releases; point it at flycd sim too"`
	Smoke        time.Duration `env:"FLYCD_SMOKE" help:"how long a machine must have been up before it counts as running (default 10s)"`
	FlyConfigDir string        `env:"FLY_CONFIG_DIR" help:"where flyctl keeps its login (~/.fly)"`
	Org          string        `env:"FLYCD_ORG" help:"organisation of apps that name none" envDefault:"personal"`

	ConfigRepos   []string `env:"FLYCD_CONFIG_REPOS" help:"root config trees, URL[@ref][#path], comma separated"`
	WebhookSecret string   `env:"FLYCD_WEBHOOK_SECRET" file:"yes" help:"webhook secrets of flycd monitor, comma separated"`
	Port          int      `env:"PORT" envDefault:"8080" help:"port of flycd monitor"`
	RunnerApp     string   `env:"FLYCD_RUNNER_APP" help:"the app that runner machines are made in, for flycd sweep"`
	RunnerImage   string   `env:"FLYCD_RUNNER_IMAGE" help:"image of the runner machines"`
	RunnerRegion  string   `env:"FLYCD_RUNNER_REGION" help:"region of the runner machines"`
	RunnerSize    string   `env:"FLYCD_RUNNER_SIZE" help:"size of the runner machines, such as shared-cpu-1x:512MB"`
	MaxRunners    int      `env:"FLYCD_MAX_RUNNERS" envDefault:"20" help:"most runners at once"`
	DigestKey     string   `env:"FLYCD_DIGEST_KEY" file:"yes" help:"key for comparing secrets; without one they are set again whenever the app changes, and only then"`
	AgeKey        string   `env:"SOPS_AGE_KEY" help:"age keys that open what sops encrypted"`
	PGPKey        string   `env:"FLYCD_PGP_KEY" file:"yes" help:"armored private keys that open what sops encrypted for PGP"`
	Passphrase    string   `env:"FLYCD_PGP_PASSPHRASE" help:"what unlocks FLYCD_PGP_KEY"`
	SecretsAllow  string   `env:"FLYCD_SECRETS_ALLOW" help:"names that apps may read of this environment, comma separated, such as APP_*; empty: all but FlyCD's and Fly's own"`

	Job      string    `env:"FLYCD_JOB" help:"the job of a runner that flycd monitor started"`
	Attempt  int       `env:"FLYCD_ATTEMPT" help:"which try at the job it is"`
	Deadline time.Time `env:"FLYCD_DEADLINE" help:"when it is to be done, RFC 3339"`
	Machine  string    `env:"FLY_MACHINE_ID" help:"the name of its claim"`

	Call    callSettings
	Monitor monitorSettings
	Git     gitSettings
	Forge   forgeSettings

	NextURL   string `env:"FLYCD_NEXT_URL" help:"where flycd dispatch asks for a launch"`
	NextToken string `env:"FLYCD_NEXT_TOKEN" file:"yes" help:"bearer token for FLYCD_NEXT_URL"`

	BuildkitHost   string `env:"BUILDKIT_HOST" help:"address of a buildkitd that builds Dockerfiles, by the program buildctl"`
	RegistryHost   string `env:"FLY_REGISTRY_HOST" help:"Fly's registry" envDefault:"registry.fly.io"`
	RegistryLogins string `env:"FLYCD_REGISTRY_LOGINS" file:"yes" help:"logins of other registries, HOST=USER:PASSWORD, comma separated, or the text of a docker config.json; docker's own logins open the others, but not for builds"`
	RegistryTokens string `env:"FLYCD_REGISTRY_TOKENS" file:"yes" help:"tokens of POST /webhook/registry/TOKEN of flycd monitor, where registries that sign nothing tell of pushes; one or several, comma separated, 32 characters each at least; without one it refuses everybody"`
	Builder        string `env:"FLYCD_BUILDER" help:"buildctl or flyctl, to have only one of them; fact: take builds as done, for a simulated registry; empty takes what is there and the manifest asks for"`

	GitHubURL       string `env:"FLYCD_GITHUB_URL" help:"API of a GitHub Enterprise server, such as https://HOST/api/v3/"`
	ForgeToken      string `env:"GITHUB_TOKEN" help:"token that flycd install sets webhooks with; it is stored nowhere"`
	GHToken         string `env:"GH_TOKEN" help:"the same, under the name that gh has for it"`
	FlyCDForgeToken string `env:"FLYCD_GITHUB_TOKEN" file:"yes" help:"the same, where neither of them is set; and the token that flycd monitor and sweep tell commits and pull requests with what becomes of them"`

	Log      string `env:"FLYCD_LOG" envDefault:"text" help:"text or json, and a level: json,debug"`
	Greeting string `env:"GREETING" help:"what the hello example says"`
	NoColor  string `env:"NO_COLOR" help:"any value turns colours off"`

	// keys is what Git says.
	keys *source.Keyring
}

func readConfig() (config, error) {
	cfg, err := settings.Read[config](os.Environ())
	if err != nil {
		return config{}, usage(err)
	}
	cfg.keys, err = cfg.Git.keyring()
	return cfg, err
}

// secrets finds the values of secrets in a person's environment, and with a person's own keys.
func (c config) secrets() secret.Resolver {
	r := secret.Environment(os.Environ())
	r.PGP = manifest.NewSecret(c.PGPKey)
	r.Home, _ = os.UserHomeDir() // without one there are no keys of one's own
	return r
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

// childEnv is the environment of a runner that is a child process: this one's, without what only its parent needs, and
// with the token that the login file gave.
func (c config) childEnv() []string {
	own := []string{
		"FLYCD_WEBHOOK_SECRET", "FLYCD_WEBHOOK_SECRET_2", "FLYCD_REGISTRY_TOKENS", "FLYCD_DISPATCH_TOKENS", "FLYCD_DISPATCH_TOKEN",
		"FLYCD_GITHUB_TOKEN", "FLYCD_GITHUB_APP_KEY", "FLYCD_NOTIFY", "FLYCD_MINT_TOKEN",
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(own, strings.TrimSuffix(name, "_FILE"))
	})
	return append(env, "FLY_API_TOKEN="+c.flyToken(), "REDIS_URL="+c.RedisURL)
}
