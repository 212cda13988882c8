package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/settings"
	"github.com/gigurra/flycd/shared/source"
)

// config is what the environment says. Only this file reads it. The field order is the order of
// --help.
type config struct {
	Job      string    `env:"FLYCD_JOB" help:"the job that this machine was made for; required"`
	Attempt  int       `env:"FLYCD_ATTEMPT" help:"which try at the job this is; required"`
	Deadline time.Time `env:"FLYCD_DEADLINE" help:"when to be done, RFC 3339; the queue's own deadline holds as well"`
	Machine  string    `env:"FLY_MACHINE_ID" help:"this machine, as Fly names it; required"`

	RedisURL    string `env:"REDIS_URL" file:"yes" help:"redis:// or rediss:// of the queue; required"`
	RedisPrefix string `env:"FLYCD_REDIS_PREFIX" envDefault:"flycd:" help:"what every key begins with"`

	Ticket    string `env:"FLYCD_TICKET" help:"proves to the dispatcher that it launched this machine, where Fly does not; the dispatcher sets it"`
	GrantURL  string `env:"FLYCD_GRANT_URL" help:"where the dispatcher grants what the job needs: a Fly token for its app alone, and tokens for its repositories"`
	FlySocket string `env:"FLYCD_FLY_SOCKET" envDefault:"/.fly/api" help:"where Fly tells a machine who it is"`
	Audience  string `env:"FLYCD_OIDC_AUDIENCE" envDefault:"flycd" help:"whom that is told for"`

	APIToken     string `env:"FLY_API_TOKEN" file:"yes" help:"Fly token that may change the job's app; required without FLYCD_GRANT_URL"`
	FlapsBaseURL string `env:"FLY_FLAPS_BASE_URL" help:"the Machines API, where it is not https://api.machines.dev"`
	APIBaseURL   string `env:"FLY_API_BASE_URL" help:"Fly's GraphQL and logs, where they are not at https://api.fly.io"`
	UIEXBaseURL  string `env:"FLY_UIEX_BASE_URL" help:"Fly's releases and managed Postgres, where they are not where flyctl looks for them"`

	Org          string `env:"FLYCD_ORG" envDefault:"personal" help:"organisation of apps that name none"`
	DigestKey    string `env:"FLYCD_DIGEST_KEY" file:"yes" help:"key for comparing secrets; without one they are set again whenever the app changes, and only then"`
	AgeKey       string `env:"SOPS_AGE_KEY" help:"age keys that open what sops encrypted"`
	PGPKey       string `env:"FLYCD_PGP_KEY" file:"yes" help:"armored private keys that open what sops encrypted for PGP"`
	Passphrase   string `env:"FLYCD_PGP_PASSPHRASE" help:"what unlocks FLYCD_PGP_KEY"`
	SecretsAllow string `env:"FLYCD_SECRETS_ALLOW" help:"names that apps may read of this environment, comma separated, such as APP_*; empty: all but FlyCD's and Fly's own"`

	GitTokens  string `env:"FLYCD_GIT_TOKENS" file:"yes" help:"tokens for private repositories over https, HOST[/OWNER[/REPO]]=TOKEN, comma separated, such as github.com/acme=github_pat_…"`
	GitKeys    string `env:"FLYCD_GIT_KEYS" file:"yes" help:"private keys for repositories over ssh, PEM, each after a line HOST[/OWNER[/REPO]]; one without is for every host; also encrypted by sops as a binary file, as FLYCD_GIT_TOKENS may be"`
	SSHKey     string `env:"FLY_SSH_PRIVATE_KEY" help:"one private key for every host that FLYCD_GIT_KEYS has none for"`
	KnownHosts string `env:"FLYCD_KNOWN_HOSTS" file:"yes" help:"keys of ssh hosts beside GitHub's, as the lines of a known_hosts file; others are refused"`

	Builder      string `env:"FLYCD_BUILDER" help:"buildkit (in this machine), buildctl, flyctl, or fact (builds nothing: for a simulated Fly only); empty takes the first that is there, and flyctl beside it for apps that ask for Fly's builders"`
	BuildkitHost string `env:"BUILDKIT_HOST" help:"address of a BuildKit that is run elsewhere, for buildctl"`
	RegistryHost string `env:"FLY_REGISTRY_HOST" envDefault:"registry.fly.io" help:"Fly's registry"`
	Logins       string `env:"FLYCD_REGISTRY_LOGINS" file:"yes" help:"logins of other registries, HOST=USER:PASSWORD, comma separated, or a config.json of docker's"`
	BuildMemory  string `env:"FLYCD_BUILD_MEMORY" help:"most memory of a build's steps, such as 2g; a share of the machine's without it"`
	BuildDisk    string `env:"FLYCD_BUILD_DISK" help:"most disk of a build, such as 6g; a share of what is free without it"`
	BuildAllow   string `env:"FLYCD_BUILD_ALLOW" help:"private addresses that builds may reach, IP:PORT, comma separated, such as a registry's; IPv4 only, so that what is only in Fly's own private network (IPv6) cannot be reached"`

	NextURL   string `env:"FLYCD_NEXT_URL" help:"the dispatcher's /next, asked for the next launch at the end"`
	NextToken string `env:"FLYCD_NEXT_TOKEN" file:"yes" help:"bearer token of /next"`

	Smoke time.Duration `env:"FLYCD_SMOKE" help:"how long a machine must have been up to count as running (default 10s)"`

	Log string `env:"FLYCD_LOG" envDefault:"text" help:"a level beside the format: debug, info, warn or error"`
}

// readConfig reads and judges the environment. Its error names everything that is wrong at once.
func readConfig(environ []string) (config, error) {
	cfg, err := settings.Read[config](environ)
	if err != nil {
		return config{}, err
	}
	return cfg, cfg.judge()
}

func (c config) judge() error {
	var errs []error
	for _, f := range []struct{ name, value, hint string }{
		{"FLYCD_JOB", c.Job, "the dispatcher sets it when it makes the machine"},
		{"FLY_MACHINE_ID", c.Machine, "Fly sets it in every machine; elsewhere choose a name of its own for each process"},
		{"REDIS_URL", c.RedisURL, "make it a secret of the runner app (fly secrets set)"},
		{"FLY_API_TOKEN", c.APIToken + c.GrantURL, "make it a secret of the runner app (fly secrets set), or let the dispatcher grant it (FLYCD_MINT_TOKEN there)"},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("%s is not set: %s", f.name, f.hint))
		}
	}
	if c.Job != "" && c.Attempt < 1 {
		errs = append(errs, errors.New("FLYCD_ATTEMPT is not set: the dispatcher sets it when it makes the machine"))
	}
	if _, err := c.keyring(launch.Grant{}); err != nil {
		errs = append(errs, err)
	}
	if err := source.CheckKnownHosts(c.KnownHosts); err != nil {
		errs = append(errs, fmt.Errorf("FLYCD_KNOWN_HOSTS: %w", err))
	}
	if _, err := c.level(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.logins(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.limits(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.allow(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains([]string{"", "buildkit", "buildctl", "flyctl", "fact"}, c.Builder) {
		errs = append(errs, fmt.Errorf("FLYCD_BUILDER=%q: expected buildkit, buildctl, flyctl or fact", c.Builder))
	}
	return errors.Join(errs...)
}

// fly are the settings of Fly's client. A machine is looked at several times while it has to stay up.
func (c config) fly() fly.Options {
	const looks = 4
	o := fly.Options{
		Token: c.APIToken, BaseURL: c.FlapsBaseURL, APIBaseURL: c.APIBaseURL, UIEXBaseURL: c.UIEXBaseURL, UserAgent: "flycd-runner",
		Smoke: c.Smoke,
	}
	if c.Smoke > 0 {
		o.Poll = min(c.Smoke/looks, time.Second)
	}
	return o
}

// level reads the level in FLYCD_LOG. The runner's log is text, a line per event, as Redis keeps it.
func (c config) level() (slog.Level, error) {
	l, err := settings.ParseLog("FLYCD_LOG", c.Log, slog.LevelInfo)
	return l.Level, err
}

// keyring opens private repositories: with what the dispatcher granted for them, else with what is set here.
func (c config) keyring(g launch.Grant) (*source.Keyring, error) {
	k := &source.Keyring{}
	if encrypted(c.GitTokens) {
		c.GitTokens = ""
	}
	if encrypted(c.GitKeys) {
		c.GitKeys = ""
	}
	if err := k.AddTokens(c.GitTokens); err != nil {
		return nil, fmt.Errorf("FLYCD_GIT_TOKENS: %w", err)
	}
	for _, f := range []struct{ name, value string }{{"FLY_SSH_PRIVATE_KEY", c.SSHKey}, {"FLYCD_GIT_KEYS", c.GitKeys}} {
		if err := k.AddKeys(f.value); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for _, one := range g.Git {
		if err := k.Add(one.Repo, source.Credential{Username: one.Username, Password: manifest.NewSecret(one.Password)}); err != nil {
			return nil, fmt.Errorf("take the credential for %s: %w", job.RepoKey(one.Repo), err)
		}
	}
	return k, nil
}

// secrets are the values that never reach a log.
func (c config) secrets() []string {
	all := []string{c.APIToken, c.Ticket, c.RedisURL, c.NextToken, c.DigestKey, c.AgeKey, c.PGPKey, c.Passphrase}
	logins, _ := c.logins() // judged before
	for _, login := range logins {
		all = append(all, login.Password.Reveal())
	}
	return all
}

func writeHelp(w io.Writer) {
	fmt.Fprint(w, "runner does the one job that its machine was made for, and ends.\n\nIt takes no arguments; the environment sets it up:\n\n")
	settings.Help[config](w)
}
