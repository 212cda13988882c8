package install

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// Installer installs, mends and removes FlyCD. Its fields are its dependencies. It may be used again, by one at a time.
type Installer struct {
	// Fly is the account, by a token that may make apps and tokens in the organisation.
	Fly *fly.Client
	// Deployer is the corridor; its Secrets and DigestKey are the installer's own.
	Deployer *deploy.Deployer
	// Source opens the folder of the dispatcher's manifest.
	Source *source.Client
	// Images makes or finds the two images.
	Images Images
	// Forge sets up webhooks. Without one, or without credentials, a person does.
	Forge *forge.Client
	// HTTP asks the dispatcher whether it answers; nil means http.DefaultClient.
	HTTP *http.Client
	// Patience is how long the dispatcher's new address, and a forge's ping, are waited for; zero means 2 minutes.
	Patience time.Duration
	// Talk takes a line for each step that is done; nil drops it.
	Talk io.Writer
	// Log and Now may be nil: nothing is logged, and the time is the system's.
	Log *slog.Logger
	Now func() time.Time
}

// Want says what the installation should be. What is left empty is as it was installed, or, the first time, as it says here.
type Want struct {
	// Org is the organisation's slug; empty means personal.
	Org string
	// App is the dispatcher's app; empty means flycd-ORG. RunnerApp is the runner's; empty means App-runner.
	App, RunnerApp string
	// Redis is the name of the Redis that is made; empty means App-redis. RedisURL is one that is run elsewhere, and then
	// none is made.
	Redis    string
	RedisURL manifest.Secret
	// Region is where the dispatcher is; empty means the nearest. RunnerRegion may stay empty: Fly chooses.
	Region, RunnerRegion, RunnerSize string
	// Roots are the config trees. Those that were installed before stay.
	Roots []job.Config
	// Repos are the repositories that want a webhook, the roots' among them.
	Repos []string
	// Address is where the dispatcher answers; empty means https://APP.fly.dev. MachinesURL is the Machines API as the
	// dispatcher reaches it; empty means Fly's own inside its network.
	Address, MachinesURL string
	// AlwaysOn keeps the dispatcher's machine running.
	AlwaysOn *bool
	// Dispatcher and Runner are further secrets of the two apps, by name.
	Dispatcher, Runner map[string]manifest.Secret
	// Env are further variables of the dispatcher, which it hands to runners where they are for them.
	Env map[string]string
	// RotateTokens makes new tokens, RotateWebhook a new webhook secret, although nothing is wrong with those that are there.
	RotateTokens, RotateWebhook bool
}

// Part is one of FlyCD's two programs.
type Part string

// The parts.
const (
	Dispatcher Part = "dispatcher"
	Runner     Part = "runner"
)

// Image is an image of one of the parts.
type Image struct {
	// Ref is repository:tag@digest.
	Ref string
	// There reports that a registry has it.
	There bool
	// Warnings are what it has to do without.
	Warnings []string

	made image.Assembled
}

const (
	// tokenLife is how long the tokens are valid, renewBefore how long before their end they are made anew.
	tokenLife   = 365 * 24 * time.Hour
	renewBefore = 60 * 24 * time.Hour
	// innerMachines is the Machines API as it is reached within Fly's private network.
	innerMachines = "http://_api.internal:4280"
)

// complete fills in what is derived, and judges the rest.
func (w Want) complete() (Want, error) {
	w.Org = cmp.Or(w.Org, "personal")
	w.App = cmp.Or(w.App, "flycd-"+w.Org)
	w.RunnerApp, w.Redis = cmp.Or(w.RunnerApp, w.App+"-runner"), cmp.Or(w.Redis, w.App+"-redis")
	w.Address = strings.TrimSuffix(cmp.Or(w.Address, "https://"+w.App+".fly.dev"), "/")
	w.MachinesURL, w.RunnerSize = cmp.Or(w.MachinesURL, innerMachines), cmp.Or(w.RunnerSize, "shared-cpu-1x:512MB")
	if w.AlwaysOn == nil {
		w.AlwaysOn = new(bool)
	}
	return w, w.judge()
}

func (w Want) judge() error {
	var errs []error
	if w.App == w.RunnerApp {
		errs = append(errs, fmt.Errorf("app %s cannot be the dispatcher's and the runner's: name two", w.App))
	}
	for name := range w.Dispatcher {
		if ownSecrets().has(name) && name != secretDispatch {
			errs = append(errs, fmt.Errorf("secret %s of the dispatcher is made by the installation itself", name))
		}
	}
	for _, root := range w.Roots {
		if strings.ContainsAny(root.ID(), ", \n") {
			errs = append(errs, fmt.Errorf("config repository %s: a comma, a space or a line's end cannot be in its address", root.ID()))
		}
	}
	return job.Reject(errors.Join(errs...))
}

func (in *Installer) ready() *Installer {
	full := *in
	if full.Log == nil {
		full.Log = slog.New(slog.DiscardHandler)
	}
	if full.Now == nil {
		full.Now = time.Now
	}
	if full.HTTP == nil {
		full.HTTP = http.DefaultClient
	}
	if full.Talk == nil {
		full.Talk = io.Discard
	}
	full.Patience = cmp.Or(full.Patience, 2*time.Minute)
	return &full
}
