package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/settings"
)

// config is what the environment says. Only this file reads it. The field order is the order of
// --help.
type config struct {
	WebhookSecret string `env:"FLYCD_WEBHOOK_SECRET" file:"yes" help:"secret of the webhooks, or several, comma separated: any of them verifies; required"`

	WebhookSecret2 string `env:"FLYCD_WEBHOOK_SECRET_2" file:"yes" help:"a second place for the secret of the webhooks, while it is rotated: both verify"`

	RegistryTokens string `env:"FLYCD_REGISTRY_TOKENS" file:"yes" help:"tokens of POST /webhook/registry/TOKEN, where registries that sign nothing tell of pushes; one or several, comma separated, 32 characters each at least; without one it refuses everybody"`

	RedisURL    string `env:"REDIS_URL" file:"yes" help:"redis:// or rediss:// of the queue; required"`
	RedisPrefix string `env:"FLYCD_REDIS_PREFIX" envDefault:"flycd:" help:"what every key begins with"`

	ConfigRepos []string `env:"FLYCD_CONFIG_REPOS" help:"root config trees, URL[@ref][#path], comma separated: their pushes are known even when Redis is empty"`

	APIToken     string `env:"FLY_API_TOKEN" file:"yes" help:"Fly token that may make machines in the runner app; required"`
	FlapsBaseURL string `env:"FLY_FLAPS_BASE_URL" envDefault:"https://api.machines.dev" help:"the Machines API; http://_api.internal:4280 on Fly, or a flycd sim"`
	RunnerApp    string `env:"FLYCD_RUNNER_APP" help:"the app that runner machines are made in; required"`
	RunnerImage  string `env:"FLYCD_RUNNER_IMAGE" help:"image of the runner machines; required"`
	RunnerRegion string `env:"FLYCD_RUNNER_REGION" help:"region of the runner machines; empty leaves it to Fly"`
	RunnerSize   string `env:"FLYCD_RUNNER_SIZE" envDefault:"shared-cpu-1x:512MB" help:"size of the runner machines"`
	MaxRunners   int    `env:"FLYCD_MAX_RUNNERS" envDefault:"20" help:"most runners at once; the rest waits in the stream"`

	NextURL   string `env:"FLYCD_NEXT_URL" help:"this dispatcher's address as a finishing runner reaches it, ending in /next; handed to the runners"`
	NextToken string `env:"FLYCD_NEXT_TOKEN" file:"yes" help:"bearer token of POST /next; without one it refuses everybody"`

	MintToken    string `env:"FLYCD_MINT_TOKEN" file:"yes" help:"deploy token of the organisation, or of several, comma separated: each runner gets what is left of it when it is narrowed to its job; without one runners have the token in their own app's secrets"`
	GrantURL     string `env:"FLYCD_GRANT_URL" help:"this dispatcher's address as a runner reaches it, ending in /grant (FLYCD_NEXT_URL's host without it)"`
	FlyIssuer    string `env:"FLYCD_FLY_ISSUER" help:"who signs for runner machines: https://oidc.fly.io/ORG; without it a runner proves itself by its ticket alone"`
	Org          string `env:"FLYCD_ORG" help:"organisation of apps that name none; the runner app's own without it"`
	RemoteBuilds bool   `env:"FLYCD_REMOTE_BUILDS" help:"let runners use Fly's own builders, which takes more rights"`
	App          string `env:"FLY_APP_NAME" help:"this app, which no runner may change; Fly sets it"`
	Expire       string `env:"FLYCD_TOKENS_EXPIRE" help:"when the tokens end, RFC 3339; flycd install notes it"`

	DispatchTokens string   `env:"FLYCD_DISPATCH_TOKENS" file:"yes" help:"bearer tokens of POST /dispatch; one or several, comma separated, 32 characters each at least; without one it refuses everybody but workflows"`
	OIDCRepos      []string `env:"FLYCD_OIDC_REPOS" help:"repositories whose GitHub Actions may POST /dispatch for themselves, OWNER/NAME or OWNER/*, comma separated"`
	OIDCAudience   string   `env:"FLYCD_OIDC_AUDIENCE" envDefault:"flycd" help:"the audience that their tokens, and those of runner machines, must name"`
	OIDCIssuer     string   `env:"FLYCD_OIDC_ISSUER" envDefault:"https://token.actions.githubusercontent.com" help:"who signs for workflows"`

	GitHubURL    string `env:"FLYCD_GITHUB_URL" help:"the forge's API, where it is not https://api.github.com"`
	GitHubToken  string `env:"FLYCD_GITHUB_TOKEN" file:"yes" help:"token that may write commit statuses, deployments and comments, and look up who may write"`
	GitHubAppID  string `env:"FLYCD_GITHUB_APP_ID" help:"a GitHub App instead: its tokens are minted for what they are needed for, also those that runners clone with"`
	GitHubAppKey string `env:"FLYCD_GITHUB_APP_KEY" file:"yes" help:"the app's private key, PEM"`
	Link         string `env:"FLYCD_LINK" help:"address that commit statuses and notices link to, with {job} and {app} in it; the app itself without it"`
	Notify       string `env:"FLYCD_NOTIFY" file:"yes" help:"destinations that manifests name in notify: NAME=https://… (with #SECRET to sign), NAME=slack+https://…, comma separated"`
	NotifyAllow  string `env:"FLYCD_NOTIFY_ALLOW" help:"private addresses that destinations may have, IP:PORT, comma separated"`

	Port        int    `env:"PORT" envDefault:"8080" help:"public port: POST /webhook, POST /webhook/registry, POST /webhook/registry/TOKEN, POST /dispatch, POST /grant, POST /next, GET /healthz"`
	PrivatePort int    `env:"FLYCD_PRIVATE_PORT" envDefault:"-1" help:"private port: GET /metrics; -1 is none"`
	Log         string `env:"FLYCD_LOG" envDefault:"text" help:"text or json, and a level: json,debug"`

	// Roots, Secrets, Tokens and Callers are what ConfigRepos, WebhookSecret, RegistryTokens and DispatchTokens say.
	Roots   []job.Config `env:"-"`
	Secrets []string     `env:"-"`
	Tokens  []string     `env:"-"`
	Callers []string     `env:"-"`
}

func environ() []string { return os.Environ() }

// readConfig reads and judges the environment. Its error names everything that is wrong at once.
func readConfig(environ []string) (config, error) {
	cfg, err := settings.Read[config](environ)
	if err != nil {
		return config{}, err
	}
	return cfg, cfg.judge()
}

func (c *config) judge() error {
	c.Secrets, c.Tokens, c.Callers = append(settings.List(c.WebhookSecret), settings.List(c.WebhookSecret2)...), settings.List(c.RegistryTokens), settings.List(c.DispatchTokens)
	errs := append(judgeTokens("FLYCD_DISPATCH_TOKENS", c.Callers), judgeTokens("FLYCD_REGISTRY_TOKENS", c.Tokens)...)
	if len(c.Secrets) == 0 {
		errs = append(errs, errors.New("FLYCD_WEBHOOK_SECRET is not set: without it anybody could start a deploy. Choose a long random text and give the same to the forge's webhook"))
	}
	for _, f := range []struct{ name, value, hint string }{
		{"REDIS_URL", c.RedisURL, "such as redis://localhost:6379, or what fly redis create printed"},
		{"FLY_API_TOKEN", c.APIToken, "such as what fly tokens create deploy -a RUNNER_APP prints"},
		{"FLYCD_RUNNER_APP", c.RunnerApp, "the Fly app that runner machines are made in"},
		{"FLYCD_RUNNER_IMAGE", c.RunnerImage, "the image that Dockerfile.runner makes"},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("%s is not set: %s", f.name, f.hint))
		}
	}
	for _, s := range c.ConfigRepos {
		if strings.TrimSpace(s) == "" {
			continue
		}
		root, err := job.ParseConfig(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("FLYCD_CONFIG_REPOS: %w", err))
		}
		c.Roots = append(c.Roots, root)
	}
	if _, err := launch.ParseSize(c.RunnerSize); err != nil {
		errs = append(errs, fmt.Errorf("FLYCD_RUNNER_SIZE: %w", err))
	}
	if c.MaxRunners < 1 {
		errs = append(errs, fmt.Errorf("FLYCD_MAX_RUNNERS=%d: at least 1, or no job ever runs", c.MaxRunners))
	}
	if c.Port < 0 {
		errs = append(errs, fmt.Errorf("PORT=%d: without a public port no webhook comes in", c.Port))
	}
	if c.NextURL != "" && c.NextToken == "" {
		errs = append(errs, errors.New("FLYCD_NEXT_URL is set and FLYCD_NEXT_TOKEN is not: every runner that asks for the next launch would be refused. Give the same long random text to both apps"))
	}
	for _, f := range []struct{ name, value string }{
		{"FLYCD_NEXT_URL", c.NextURL},
		{"FLY_FLAPS_BASE_URL", c.FlapsBaseURL},
		{"FLYCD_GRANT_URL", c.GrantURL},
		{"FLYCD_FLY_ISSUER", c.FlyIssuer},
		{"FLYCD_OIDC_ISSUER", c.OIDCIssuer},
		{"FLYCD_GITHUB_URL", c.GitHubURL},
	} {
		if u, err := url.Parse(f.value); f.value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, fmt.Errorf("%s: expected a URL that begins with http:// or https://", f.name))
		}
	}
	if _, err := c.logger(io.Discard); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.judgeOutside()...)...)
}

// judgeTokens says which of a setting's tokens can be guessed, or cannot be sent.
func judgeTokens(setting string, tokens []string) (errs []error) {
	for i, token := range tokens {
		if err := dispatcher.CheckRegistryToken(token); err != nil {
			errs = append(errs, fmt.Errorf("%s: token %d of %d %w", setting, i+1, len(tokens), err))
		}
	}
	return errs
}

// logger reads FLYCD_LOG.
func (c *config) logger(w io.Writer) (*slog.Logger, error) {
	l, err := settings.ParseLog("FLYCD_LOG", c.Log, slog.LevelInfo)
	return l.Logger(w), err
}

// runnerEnv is what every runner is told. It can be read back through Fly's API, so there is no secret
// in it: those are Fly secrets of the runner app.
func (c *config) runnerEnv(environ []string) map[string]string {
	handed := []string{"FLYCD_REDIS_PREFIX", "FLYCD_NEXT_URL", "FLYCD_OIDC_AUDIENCE", "FLYCD_ORG", "FLYCD_LOG", "FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL"}
	out := map[string]string{}
	for _, v := range environ {
		if name, value, _ := strings.Cut(v, "="); value != "" && slices.Contains(handed, name) {
			out[name] = value
		}
	}
	return out
}

func writeHelp(w io.Writer) {
	fmt.Fprint(w, "dispatcher takes webhooks, queues jobs in Redis and makes a Fly Machine for each.\n\nWith the argument sweep it catches up once instead: overdue jobs, lost runners, orphans, feedback.\nThe environment sets it up:\n\n")
	settings.Help[config](w)
}
