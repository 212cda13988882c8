package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// GrantFor makes the Fly token for a job, narrowed from Mint to what the job needs, until then: empty where it needs
// nothing of Fly's. e is the catalog's entry of the job's app, nil where there is none. A deploy of an app that is
// not there yet creates it first, in the organisation that the entry says, else in Org, as only what is there has an id
// to narrow to; the entry must be the app's, so that nothing is created which no tree names that was read and validated.
// An app that is there must be of that organisation: a policy judged the one that the manifest says.
//
//	deploy   everything with its app; pushing into the repositories of apps that its images are kept in;
//	         add-ons where the app has any, or had; Fly's builders where these are allowed
//	destroy  everything with its app, and add-ons where it has any
//	plan     looking at its app, or, for a pull request, at the organisation's apps, and at add-ons where
//	         there may be any; never at add-ons for a fork
//	sync     nothing
//
// It is safe to repeat. What no attempt can cure wraps job.ErrRejected.
func (l *Launcher) GrantFor(ctx context.Context, j job.Job, e *catalog.Entry, until time.Time) (string, error) {
	if l.Mint == "" {
		return "", errors.New("make a token for a runner: FLYCD_MINT_TOKEN is not set")
	}
	if j.Kind == job.Sync {
		return "", nil
	}
	if l.mine(j.App) {
		return "", job.Rejectf("app %s is FlyCD's own: it is changed by `flycd install` and `flycd upgrade` alone", j.App)
	}
	scope := Scope{Until: until, Apps: map[uint64]Access{}, Features: map[string]Access{}}
	var err error
	switch {
	case j.Kind == job.Plan:
		err = l.toPlan(ctx, j, e, &scope)
	case j.Kind == job.Deploy && (e == nil || e.App != j.App):
		err = job.Rejectf("deploy %s: no config tree names the app, so no token is made for it: `flycd sync` reads the trees again", j.App)
	case j.Kind == job.Deploy:
		err = l.toDeploy(ctx, *e, &scope)
	default:
		err = l.toDestroy(ctx, j.App, &scope)
	}
	if err != nil {
		return "", err
	}
	return Narrow(l.Mint, scope)
}

func (l *Launcher) mine(app string) bool {
	return app != "" && (app == l.App || slices.Contains(l.Own, app))
}

func (l *Launcher) toPlan(ctx context.Context, j job.Job, e *catalog.Entry, s *Scope) error {
	s.ReadOnly = true
	if !j.Untrusted && (e == nil || e.Looks.Addons || e.Prune) {
		// Looking at add-ons shows their passwords.
		s.Features[FeatureAddons] = Read
	}
	if j.App == "" {
		s.Apps[0] = Read
		return nil
	}
	a, found, err := l.app(ctx, j.App)
	if found {
		s.Org, s.Apps[a.InternalNumericID] = a.Organization.InternalNumericID, Read
	}
	return err
}

func (l *Launcher) toDeploy(ctx context.Context, e catalog.Entry, s *Scope) error {
	org, err := l.orgOf(ctx, e)
	if err != nil {
		return err
	}
	a, err := l.ensure(ctx, createApp{Name: e.App, Org: org, Network: e.Network})
	if err != nil {
		return err
	}
	// Fly has two names for a person's own organisation.
	if is := a.Organization.Slug; is != org && org != personal {
		return job.Rejectf("deploy %s: the app is in organisation %s, and its manifest is for %s: write org: %s there, or give the app another name", e.App, is, org, is)
	}
	s.Org, s.Apps[a.InternalNumericID] = a.Organization.InternalNumericID, All
	s.Mutations = appMutations()
	if e.Looks.Addons {
		s.addons()
	} else if e.Prune {
		if err := l.withRecorded(ctx, e.App, s); err != nil {
			return err
		}
	}
	if l.RemoteBuilds && e.Image == "" {
		s.Features[FeatureBuilder], s.Features[FeatureWireGuard], s.AnyMutation = All, All, true
	}
	for _, other := range e.Shares {
		if l.mine(other) {
			return job.Rejectf("deploy %s: its images cannot be kept in %s, which is FlyCD's own app: name another one in image.repository", e.App, other)
		}
		shared, found, err := l.app(ctx, other)
		if err != nil {
			return err
		}
		if found && shared.InternalNumericID != a.InternalNumericID && shared.Organization.InternalNumericID == s.Org {
			s.Apps[shared.InternalNumericID] = Push
		}
	}
	return nil
}

// personal is how everybody names their own organisation.
const personal = "personal"

// orgOf is the organisation that an app is to be in.
func (l *Launcher) orgOf(ctx context.Context, e catalog.Entry) (string, error) {
	if org := cmp.Or(e.Org, l.Org); org != "" {
		return org, nil
	}
	own, found, err := l.app(ctx, l.App)
	if err == nil && !found {
		err = fmt.Errorf("deploy %s: its manifest names no organisation, and there is no app %s to take it from", e.App, l.App)
	}
	return own.Organization.Slug, err
}

// toDestroy: there is nothing to destroy of an app that is gone.
func (l *Launcher) toDestroy(ctx context.Context, app string, s *Scope) error {
	a, found, err := l.app(ctx, app)
	if err != nil || !found {
		return err
	}
	s.Org, s.Apps[a.InternalNumericID] = a.Organization.InternalNumericID, All
	s.Mutations = appMutations()
	return l.withRecorded(ctx, app, s)
}

// withRecorded adds add-ons where the app's machines say that some were made for it: they are looked at, and may go
// with it. Nobody else gets that far, as looking at add-ons shows the passwords of all that the organisation has.
func (l *Launcher) withRecorded(ctx context.Context, app string, s *Scope) error {
	var all []flyMachine
	if err := l.call(ctx, ask{method: http.MethodGet, path: "/" + url.PathEscape(app) + "/machines", mint: true}, &all); err != nil {
		return fmt.Errorf("look for add-ons of app %s: %w", app, err)
	}
	if slices.ContainsFunc(all, func(m flyMachine) bool { return m.Config != nil && m.Config.Metadata[metadataAddons] != "" }) {
		s.addons()
	}
	return nil
}

func (s *Scope) addons() {
	s.Features[FeatureAddons] = All
	s.Mutations = append(s.Mutations, "createAddOn", "deleteAddOn")
}

// appMutations are the mutations of GraphQL that deploying or destroying an app may take.
func appMutations() []string { return []string{"allocateEgressIpAddress", "releaseEgressIpAddress"} }
