package deploy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/source"
)

// sharesOf gives the app of Fly's registry, at host, whose repository takes the images that are built for an app, where
// that is another app's.
func sharesOf(app *manifest.App, host string) []string {
	repo, inside := strings.CutPrefix(app.Image.Repository, cmp.Or(host, image.FlyRegistry)+"/")
	other, _, _ := strings.Cut(repo, "/")
	if !inside || other == "" || other == app.Name {
		return nil
	}
	return []string{other}
}

// entryOf gives what the catalog keeps of an app.
func entryOf(e manifest.Entry, tree job.Config, at source.Commit, sums Digests) catalog.Entry {
	src := catalog.Source{}
	if s := e.App.Source; s.Type == "git" {
		src = catalog.Source{Repo: withoutLogin(s.Repo), Path: s.Path, Ref: fullRef(s.Ref), Commit: s.Ref.Commit, Semver: s.Ref.Semver, Watch: s.Watch}
		if s.Ref.Semver != "" {
			src.Ref = "refs/tags/*"
		}
	}
	sync := e.App.Sync
	return catalog.Entry{
		App: e.App.Name, Org: e.App.Org, Network: e.App.Network.Name, Config: tree, Dir: e.Dir,
		Commit: at.Hash, Digest: sums.Config, SourceDigest: sums.Source, Source: src,
		Auto: sync.Auto == nil || *sync.Auto, Prune: isTrue(sync.Prune), Pruning: pruningOf(sync), SelfHeal: isTrue(sync.SelfHeal),
		Retry: retryOf(sync.Retry), Notify: noticesOf(e.App.Notify),
		Image: e.App.ImageRef(), Policy: catalog.ImagePolicy(e.App.Source.Policy), Copy: e.App.Source.Copy, DependsOn: sorted(e.App.DependsOn), EnvSecrets: secret.EnvOf(e.App), Looks: looksOf(e.App),
	}
}

func pruningOf(s manifest.Sync) catalog.Pruning {
	var p catalog.Pruning
	if !isTrue(s.Prune) {
		return p
	}
	p.Max, p.Percent = s.PruneLimit()
	if s.PruneGrace != nil {
		if p.GraceMS = time.Duration(*s.PruneGrace).Milliseconds(); p.GraceMS == 0 {
			p.GraceMS = -1
		}
	}
	return p
}

func noticesOf(list []manifest.Notify) []catalog.Notify {
	var out []catalog.Notify
	for _, n := range list {
		out = append(out, catalog.Notify{To: n.To, On: n.On})
	}
	return out
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
