package flysim

import (
	"log/slog"
	"time"
)

// Options says how a Server behaves. The zero value is a server that lets everybody in, with a
// clock that runs with the real one and machines that need some hundredths of a second to start.
type Options struct {
	// Now is the clock; nil is the real one. Server.Advance adds to either.
	Now func() time.Time
	// Tokens are the opaque tokens that may do everything. With any, a request without an allowed
	// token is refused (401); macaroons of Server.Mint are allowed beside them.
	Tokens []string
	// Auth refuses requests without a token even where Tokens is empty.
	Auth bool
	// Orgs are the slugs of the organisations that exist; empty: any slug does.
	Orgs []string
	// Foreign are app names that belong to somebody else.
	Foreign []string
	// RateLimits turns the documented limits on: 1 request/s per action and machine or app with a
	// burst of 3, reading a machine 5/s with a burst of 10, 100 deleted apps a minute.
	RateLimits bool
	// Boot is how long a machine needs from created, stopped or replacing to started (default
	// 30 ms); Settle how long from stopping, suspending, replacing or destroying to the end of it
	// (default 10 ms); Check how long after the start simulated checks begin to pass (default 50 ms).
	Boot, Settle, Check time.Duration
	// Command is how long the program of an ephemeral or scheduled machine runs that is only simulated
	// (default 30 ms); it ends with 0 unless Images says otherwise.
	Command time.Duration
	// Nearest is the region that a request comes from, where machines and volumes go that name none
	// (default ams).
	Nearest string
	// Remember is how long a destroyed machine can still be read (default 10 minutes).
	Remember time.Duration
	// Lag makes the API as consistent as the real one on a bad day.
	Lag Lag
	// Images gives images a fate, by reference as the config names it, or by repository.
	Images map[string]Behavior
	// Capacity is the number of machines that fit into a region; a region not named has room.
	Capacity map[string]int
	// LeaveStopped leaves a machine stopped when it is updated while not running, as flyd may.
	LeaveStopped bool
	// Exec maps an image (its tag and digest do not count) to the command that its machines run on
	// this host. An ephemeral or scheduled machine that has a command of its own (init.cmd) runs that one.
	Exec map[string][]string
	// Path is the PATH of those commands (default: the usual bin directories).
	Path string
	// Redis is the URL of a real Redis that stands behind the Upstash databases that are made: each tells the URL
	// with a database of its own, which is emptied when the add-on is deleted. Empty: they have addresses, and nothing is there.
	Redis string
	// Idle is how long a machine of a service that stops by itself (autostop) has to be without requests of
	// Proxy until it is stopped or suspended; zero: never, but for POST /_sim/machines/ID/autostop.
	Idle time.Duration
	// Grace is what Close gives running commands after their kill signal (default 2 s).
	Grace time.Duration
	// Record is a folder that requests and bodies are written to; empty: none.
	Record string
	// Log receives the output of commands, a line each; nil: none.
	Log *slog.Logger
	// Seed of ids, names and probabilities; 0 is 1.
	Seed uint64
}

// Lag is how far answers trail behind writes.
type Lag struct {
	// List is the age of what lists show.
	List time.Duration `json:"-"`
	// Create is how long a new machine answers 404.
	Create time.Duration `json:"-"`
	// Secrets is how long a new secrets version answers 412 to min_secrets_version.
	Secrets time.Duration `json:"-"`
}

// Behavior is the fate of the machines of an image.
type Behavior struct {
	// Missing images cannot be pulled: create and update are refused.
	Missing bool `json:"missing,omitempty"`
	// Stuck machines stay in created.
	Stuck bool `json:"stuck,omitempty"`
	// Exit ends the main process with this code, After milliseconds after each start.
	Exit  *int `json:"exit,omitempty"`
	After int  `json:"after_ms,omitempty"`
	// Output is what each start says, a line each.
	Output []string `json:"output,omitempty"`
	// Checks is the state that checks take instead of passing: critical or warning.
	Checks string `json:"checks,omitempty"`
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{
		{&o.Boot, 30 * time.Millisecond},
		{&o.Settle, 10 * time.Millisecond},
		{&o.Check, 50 * time.Millisecond},
		{&o.Command, 30 * time.Millisecond},
		{&o.Remember, 10 * time.Minute},
		{&o.Grace, 2 * time.Second},
	} {
		if *d.to == 0 {
			*d.to = d.is
		}
	}
	if o.Nearest == "" {
		o.Nearest = "ams"
	}
	if o.Path == "" {
		o.Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}
