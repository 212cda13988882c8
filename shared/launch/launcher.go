package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// stopTimeout is how long a stopped runner may take to finish its step and give the job back: the
// most that Fly grants.
const stopTimeout = 5 * time.Minute

// ErrNothingMade marks a launch of which it is certain that it made no machine: it spent no
// attempt. Without it, a failed launch may have made one.
var ErrNothingMade = errors.New("nothing was made")

// Launcher makes runner machines in one Fly app. Fill the fields and use it; its methods may be
// called at the same time and are safe to repeat.
type Launcher struct {
	// App is the Fly app that the machines live in, Image what they run.
	App, Image string
	// Region is where they are made; empty leaves it to Fly. Size is read by ParseSize.
	Region, Size string
	// BaseURL is the Machines API's address without /v1; empty means https://api.machines.dev.
	BaseURL string
	// Token is a Fly token that may read and write the app's machines, with or without its scheme.
	Token string
	// Mint is the token that runners' tokens are narrowed from, a deploy token of the organisation (or of
	// several, comma separated). Where it is empty, a runner has the token that the runner app's secrets hold,
	// and gets no ticket.
	Mint string
	// GrantURL is where a runner asks for what its job needs. It must be set where Mint is.
	GrantURL string
	// Org is the organisation of apps whose manifests name none; empty is that of App.
	Org string
	// Own are further apps of FlyCD's, as the dispatcher's: like App, no grant is ever made for them.
	Own []string
	// RemoteBuilds is true where apps may be built by Fly's own builders: a deploy of an app that is built then
	// may use these, and WireGuard, which reaches the organisation's private network.
	RemoteBuilds bool
	// UserAgent is sent along; empty means flycd.
	UserAgent string
	// HTTP makes the calls; nil means one that NewHTTP makes.
	HTTP *http.Client
	// Env is handed to each machine beside FLYCD_JOB, FLYCD_ATTEMPT and FLYCD_DEADLINE. It can be
	// read back through Fly's API: no secret belongs in it.
	Env map[string]string
	// Log may be nil.
	Log *slog.Logger
	// Now may be nil: the clock.
	Now func() time.Time

	once sync.Once
	own  *http.Client
}

// Launch makes the machine for a runner, or finds the one that an earlier call made. It is safe to
// repeat, and bounded by ctx: give it a deadline. An error that wraps ErrNothingMade says that no
// machine exists; any other leaves it open, and the machine, if there is one, will claim its job or
// be refused.
func (l *Launcher) Launch(ctx context.Context, r Runner) (Machine, error) {
	req, err := l.request(r)
	if err != nil {
		return Machine{}, fmt.Errorf("%w: %w", ErrNothingMade, err)
	}
	t := try{Launcher: l, req: req}
	for t.number = 0; ; t.number++ {
		m, ok, err := t.once(ctx)
		if err == nil && ok {
			l.log(ctx, slog.LevelInfo, "launched", "job", r.Job.ID, "attempt", r.Attempt, "machine", m.ID, "region", m.Region)
			return m, nil
		}
		if err == nil {
			err = fmt.Errorf("machine %s is not in the list yet", req.Name)
		}
		var f refusal
		final := errors.As(err, &f) && f.final()
		if final || !pause(ctx, t.wait(err)) {
			return Machine{}, t.sum(err)
		}
		l.log(ctx, slog.LevelDebug, "launch again", "job", r.Job.ID, "attempt", r.Attempt, "try", t.number+1, "error", err.Error())
	}
}

// try is one call of Launch.
type try struct {
	*Launcher
	req    createRequest
	number int
	// open is set once a creation was sent whose effect is not known.
	open bool
}

// once looks, and creates where there is nothing.
func (t *try) once(ctx context.Context) (Machine, bool, error) {
	ctx, cancel := share(ctx)
	defer cancel()
	m, ok, err := t.find(ctx, t.req.Name)
	if err != nil || ok {
		return m, ok, err
	}
	m, err = t.create(ctx, t.req)
	if err == nil {
		return m, true, nil
	}
	var f refusal
	switch {
	case !errors.As(err, &f):
		// A connection that was never made carried nothing.
		t.open = t.open || !errors.Is(err, errNotSent)
	case f.conflict():
		return t.adopt(ctx, f)
	case !f.nothingMade():
		t.open = true
	}
	return Machine{}, false, err
}

// adopt takes what a conflict names. The list may lag behind it, so a machine id in the answer is
// asked for by itself.
func (t *try) adopt(ctx context.Context, f refusal) (Machine, bool, error) {
	// The name is taken, so there is a machine until a look says otherwise.
	t.open = true
	m, ok, err := t.find(ctx, t.req.Name)
	if err != nil || ok {
		return m, ok, err
	}
	for _, id := range f.machineIDs() {
		m, ok, err := t.read(ctx, id)
		if err == nil && ok && m.Name == t.req.Name {
			return m, !m.Gone(), nil
		}
	}
	return Machine{}, false, f
}

// sum is the error that a launch ends with.
func (t *try) sum(err error) error {
	if t.open {
		return fmt.Errorf("launch %s, which may exist: %w", t.req.Name, err)
	}
	return fmt.Errorf("launch %s: %w: %w", t.req.Name, ErrNothingMade, err)
}

// wait is how long to wait after err: what Fly asks for, else twice as long each time, a little
// different for each name, so that many launches do not come back at once.
func (t *try) wait(err error) time.Duration {
	var f refusal
	if errors.As(err, &f) && f.after > 0 {
		return f.after
	}
	d := min(200*time.Millisecond<<min(t.number, 4), 2*time.Second)
	spread := 0
	for _, b := range []byte(t.req.Name) {
		spread = (spread*31 + int(b)) % 100
	}
	return d + d*time.Duration(spread)/200
}

// share gives one round two thirds of the time that is left, so that after a call that hangs there
// is time to look whether it made something.
func share(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, 15*time.Second)
	}
	return context.WithTimeout(ctx, time.Until(end)*2/3)
}

// find looks for a machine by name. One that is gone is not found.
func (l *Launcher) find(ctx context.Context, name string) (Machine, bool, error) {
	all, err := l.List(ctx)
	for _, m := range all {
		if m.Name == name && !m.Gone() {
			return m, true, nil
		}
	}
	return Machine{}, false, err
}

func (l *Launcher) log(ctx context.Context, level slog.Level, msg string, args ...any) {
	if l.Log != nil {
		l.Log.Log(ctx, level, msg, args...) //nolint:sloglint // the callers' messages are constants
	}
}

func (l *Launcher) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}
