package deploy

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/source"
)

// entryOf gives what the catalog keeps of an app.
func entryOf(e manifest.Entry, tree job.Config, at source.Commit, sum string) catalog.Entry {
	src := catalog.Source{}
	if s := e.App.Source; s.Type == "git" {
		src = catalog.Source{Repo: withoutLogin(s.Repo), Path: s.Path, Ref: fullRef(s.Ref), Commit: s.Ref.Commit, Semver: s.Ref.Semver, Watch: s.Watch}
		if s.Ref.Semver != "" {
			src.Ref = "refs/tags/*"
		}
	}
	sync := e.App.Sync
	return catalog.Entry{
		App: e.App.Name, Org: e.App.Org, Network: e.App.Network.Name, Config: tree, Dir: e.Dir, Commit: at.Hash, Digest: sum, Source: src,
		Auto: sync.Auto == nil || *sync.Auto, Prune: isTrue(sync.Prune), SelfHeal: isTrue(sync.SelfHeal), Retry: retryOf(sync.Retry),
		Image: e.App.ImageRef(), Policy: catalog.ImagePolicy(e.App.Source.Policy), Copy: e.App.Source.Copy, DependsOn: sorted(e.App.DependsOn), EnvSecrets: secret.EnvOf(e.App), Looks: looksOf(e.App),
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

func retryOf(r manifest.Retry) catalog.Retry {
	var out catalog.Retry
	if r.Limit != nil {
		out.Limit = *r.Limit
	}
	if r.Backoff != nil {
		out.BackoffMS = time.Duration(*r.Backoff).Milliseconds()
	}
	return out
}

// looksOf says what there is to look at on Fly beside machines, volumes and addresses: what plan.ScopeOf says
// of the app's target, as fingerprints are compared.
func looksOf(app *manifest.App) catalog.Looks {
	return catalog.Looks{
		Secrets: len(secret.ForApp(app)) > 0 || app.SecretsPrune || len(app.Addons) > 0,
		Certs:   len(app.Certs) > 0 || isTrue(app.Sync.Prune),
		Egress:  app.Network.AutoPruneIPs || slices.ContainsFunc(app.Network.IPs, func(ip manifest.IP) bool { return ip.Egress }),
		Addons:  len(app.Addons) > 0,
	}
}

// sorted gives each of the texts once, and nil for none.
func sorted(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// needsOf gives what the apps of a reading depend on.
func needsOf(apps []manifest.Entry) catalog.Needs {
	needs := catalog.Needs{}
	for _, e := range apps {
		needs[e.App.Name] = e.App.DependsOn
	}
	return needs
}

// holdBack finds the apps whose dependency is refused in this reading: they are kept in the catalog, but
// not deployed before that one is mended.
func (r *reading) holdBack() {
	bad := map[string]bool{}
	for _, p := range r.problems {
		bad[p.App] = p.App != ""
	}
	for _, app := range r.needs.Order() {
		for _, other := range r.needs[app] {
			if r.fresh[app] && !bad[app] && bad[other] {
				bad[app], r.held[app] = true, true
				r.refused = append(r.refused, fmt.Sprintf("app %s is not deployed: %s, which it depends on, is refused", app, other))
			}
		}
	}
}

// carryOver keeps the old entries of apps that could not be read, and gives those that the tree no
// longer names. When something may hide apps, nothing is concluded from an app's absence.
func (r *reading) carryOver(old []catalog.Entry) (gone []catalog.Entry) {
	for _, e := range old {
		switch {
		case r.fresh[e.App]:
		case r.unread || slices.ContainsFunc(r.problems, func(p manifest.Problem) bool { return p.App == e.App || path.Dir(p.File) == path.Clean(e.Dir) }):
			r.entries = append(r.entries, e)
		default:
			gone = append(gone, e)
		}
	}
	slices.SortFunc(r.entries, func(a, b catalog.Entry) int { return cmp.Compare(a.App, b.App) })
	return gone
}
