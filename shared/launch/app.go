package launch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// appPatience bounds the making of an app.
const appPatience = 30 * time.Second

// appNames is what Fly allows.
var appNames = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// flyApp holds the fields of the Machines API's app that are needed here.
type flyApp struct {
	Name              string `json:"name"`
	InternalNumericID uint64 `json:"internal_numeric_id"`
	Organization      struct {
		Slug              string `json:"slug"`
		InternalNumericID uint64 `json:"internal_numeric_id"`
	} `json:"organization"`
}

// createApp is the body of an app's creation.
type createApp struct {
	Name    string `json:"name"`
	Org     string `json:"org_slug"`
	Network string `json:"network,omitempty"`
}

// AppID looks an app up with Mint: its numeric id, by which tokens name it, and its organisation's slug. A name
// that is somebody else's is an error that wraps job.ErrRejected.
func (l *Launcher) AppID(ctx context.Context, app string) (id uint64, org string, found bool, err error) {
	a, found, err := l.app(ctx, app)
	return a.InternalNumericID, a.Organization.Slug, found, err
}

// EnsureApp finds an app or creates it in the organisation, in the private network where one is named, and
// gives its numeric id. It is safe to repeat and to be done by several at once, and bounded by ctx: give it
// a deadline. What no attempt can cure wraps job.ErrRejected: a name that is somebody else's or is none, an
// organisation that is not there.
func (l *Launcher) EnsureApp(ctx context.Context, app, org, network string) (uint64, error) {
	a, err := l.ensure(ctx, createApp{app, org, network})
	return a.InternalNumericID, err
}

func (l *Launcher) app(ctx context.Context, name string) (flyApp, bool, error) {
	if !appNames.MatchString(name) {
		return flyApp{}, false, job.Rejectf("app %q: a name has lower-case letters, digits and dashes only, and at most 63 of them", name)
	}
	var a flyApp
	err := l.call(ctx, ask{method: http.MethodGet, path: "/" + url.PathEscape(name), mint: true}, &a)
	var f refusal
	switch {
	case errors.As(err, &f) && f.status == http.StatusNotFound:
		return flyApp{}, false, nil
	case errors.As(err, &f) && f.status == http.StatusForbidden:
		return flyApp{}, false, job.Rejectf("app %s: the name belongs to somebody else, or FLYCD_MINT_TOKEN is not of the app's organisation: choose another name, or mint the token for that organisation", name)
	case err != nil:
		return flyApp{}, false, fmt.Errorf("look up app %s: %w", name, err)
	case a.Name != name || a.InternalNumericID == 0:
		return flyApp{}, false, fmt.Errorf("look up app %s: Fly answered with app %q, id %d", name, a.Name, a.InternalNumericID)
	}
	return a, true, nil
}

// appMaking is one EnsureApp under way.
type appMaking struct {
	*Launcher
	want createApp
	// made is true once a creation was answered well, taken once one was answered with a conflict. After
	// either the app is there, in sight or not. open is true once one was answered so that nobody knows: then
	// who took the name may have been us.
	made, taken, open bool
}

// ensure looks, and creates where there is nothing; after an answer that leaves it open, it looks again.
func (l *Launcher) ensure(ctx context.Context, want createApp) (flyApp, error) {
	ctx, cancel := context.WithTimeout(ctx, appPatience)
	defer cancel()
	m := appMaking{Launcher: l, want: want}
	for try := 0; ; try++ {
		a, found, err := m.app(ctx, want.Name)
		if err == nil && !found && !m.made && !m.taken {
			if err = m.create(ctx); err == nil {
				a, found, err = m.app(ctx, want.Name)
			}
		}
		var f refusal
		expired := errors.As(err, &f) && f.status == http.StatusUnauthorized
		if found || errors.Is(err, job.ErrRejected) || expired && !m.made {
			return a, err
		}
		if err == nil {
			err = fmt.Errorf("create app %s: it is not in sight yet", want.Name)
		}
		if !pause(ctx, max(f.after, min(200*time.Millisecond<<min(try, 4), 2*time.Second))) {
			return flyApp{}, m.sum(err)
		}
	}
}

// create sends the creation once, and notes what its answer says.
func (m *appMaking) create(ctx context.Context) error {
	err := m.call(ctx, ask{method: http.MethodPost, path: "?wait=true", body: m.want, mint: true}, nil)
	var f refusal
	switch {
	case err == nil:
		m.made = true
		return nil
	case !errors.As(err, &f):
		m.open = true
		return fmt.Errorf("create app %s: %w", m.want.Name, err)
	case f.conflict():
		// Two may have created it at once, or an earlier answer was lost.
		m.taken = true
		return nil
	}
	switch f.status {
	case http.StatusForbidden:
		return job.Rejectf("create app %s: FLYCD_MINT_TOKEN may not create apps in organisation %q: name another one, or mint the token for it", m.want.Name, m.want.Org)
	case http.StatusNotFound:
		return job.Rejectf("create app %s: there is no organisation %q that FLYCD_MINT_TOKEN is good for", m.want.Name, m.want.Org)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return job.Rejectf("create app %s: %w", m.want.Name, f)
	default:
		m.open = true
		return fmt.Errorf("create app %s: %w", m.want.Name, f)
	}
}

// sum is the error that ends an EnsureApp whose time is over.
func (m *appMaking) sum(err error) error {
	if m.taken && !m.made && !m.open {
		return job.Rejectf("app %s: the name has been taken by somebody else: choose another name", m.want.Name)
	}
	return err
}
