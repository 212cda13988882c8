package forgesim

import (
	"log/slog"
	"net/http"
	"time"
)

// Options says how a Server behaves. The zero value is a forge that lets everybody do everything, with
// repositories in a temporary folder.
type Options struct {
	// Dir holds the bare repositories, OWNER/NAME.git; empty: a temporary folder that Close removes.
	Dir string
	// Tokens are people's tokens.
	Tokens map[string]Token
	// Apps are the GitHub Apps that exist.
	Apps []App
	// Public makes repositories public that PUT /_sim/repos has said nothing about.
	Public bool
	// Orgs are owners that are organisations; all others are users.
	Orgs []string
	// RateLimit is how many API requests a token has in an hour; 0 is no limit (the headers say 5,000).
	RateLimit int
	// HookTimeout is how long a delivery may take (default 10 s).
	HookTimeout time.Duration
	// HTTP carries deliveries; nil is a client of its own.
	HTTP http.RoundTripper
	// Now is the clock; nil is the real one. Server.Advance adds to either.
	Now func() time.Time
	// Log gets a line for each request and delivery; nil: none.
	Log *slog.Logger
	// Seed of probabilities; 0 is 1.
	Seed uint64
}

// Token is what a person's token may do.
type Token struct {
	// Login is whose it is (default "somebody").
	Login string
	// Repos are the repositories that it reaches, as OWNER/NAME, in which * stands for any characters; none: all.
	Repos []string
	// Permissions are those of a fine-grained token, by GitHub's names: "statuses": "write". Nil is everything.
	Permissions map[string]string
}

// App is a GitHub App.
type App struct {
	ID   int64
	Slug string
	// PublicKey verifies the App's JWTs, in PEM form.
	PublicKey string
	// Permissions are those that the App has in its installations that name none.
	Permissions map[string]string
	// Installations are where it is installed.
	Installations []Installation
}

// Installation is an App on an account.
type Installation struct {
	ID int64
	// Account is the owner.
	Account string
	// Repos are names of the account's repositories, without the owner; none: all of them.
	Repos []string
	// Permissions are what was granted; nil: what the App asks for.
	Permissions map[string]string
	// Suspended installations give no tokens.
	Suspended bool
}

func (o Options) withDefaults() Options {
	if o.HookTimeout == 0 {
		o.HookTimeout = 10 * time.Second
	}
	if o.HTTP == nil {
		o.HTTP = &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 5 * time.Second}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}
