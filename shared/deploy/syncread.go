package deploy

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// reading is what a sync found in a tree.
type reading struct {
	entries []catalog.Entry
	// includes are the other repositories that the tree reads manifests from.
	includes []catalog.Include
	// fresh are the apps that were read, held those of them that must not be deployed now.
	fresh, held map[string]bool
	// needs are the dependencies of the apps that were read.
	needs    catalog.Needs
	problems manifest.Problems
	refused  []string
	warnings []string
	unread   bool
	sight    sight
}

// read fetches the tree and makes entries of its apps.
func (s *Syncer) read(ctx context.Context, req Request, at source.Commit) (reading, error) {
	tree := req.Job.Config
	ts := &trees{client: s.Source, pin: wishedHalf(req)}
	defer func() { _ = ts.Close() }()
	read, problems, err := ts.read(ctx, tree, at, s.Manifest)
	if err != nil {
		return reading{}, err
	}
	if len(read.Apps) == 0 && len(problems) > 0 {
		return reading{}, job.Reject(problems)
	}
	r := reading{
		fresh: map[string]bool{}, held: map[string]bool{}, needs: needsOf(read.Apps), includes: includesOf(read.Repos, tree),
		problems: problems, unread: problems.HideApps() || len(read.Unread) > 0, sight: ts.sight,
	}
	for _, p := range read.Warnings {
		r.warnings = append(r.warnings, p.String())
	}
	for _, e := range read.Apps {
		sum, err := ConfigDigest(e)
		if err == nil {
			_, err = parseWindows(e.App.Sync.Windows)
		}
		if err != nil {
			r.problems = append(r.problems, manifest.Problem{Repo: e.Repo, File: e.File, App: e.App.Name, Text: err.Error()})
			continue
		}
		beside := ts.localDigest(e) //nolint:contextcheck // it takes none: it reads and ends
		entry := entryOf(e, tree, at, Digests{Config: sum, Source: beside})
		entry.Shares = sharesOf(e.App, s.Registry)
		r.entries = append(r.entries, entry)
		r.fresh[e.App.Name] = true
	}
	r.holdBack()
	return r, nil
}

// includesOf gives the repositories that projects of the tree point to, beside the tree's own at its own ref.
func includesOf(repos []manifest.RepoRef, tree job.Config) []catalog.Include {
	var out []catalog.Include
	for _, r := range repos {
		if !r.Project || r.Ref.Commit != "" {
			continue
		}
		in := catalog.Include{Repo: withoutLogin(r.Repo), Ref: fullRef(r.Ref)}
		if r.Ref.Semver != "" {
			in.Ref = catalog.AnyTag
		}
		own := job.RepoKey(in.Repo) == job.RepoKey(tree.Repo) && (in.Ref == "" || shortRef(in.Ref) == shortRef(tree.Ref))
		if !own && !slices.Contains(out, in) {
			out = append(out, in)
		}
	}
	return out
}

// union gives what is in either list, each once.
func union(list, more []catalog.Include) []catalog.Include {
	for _, in := range more {
		if !slices.Contains(list, in) {
			list = append(list, in)
		}
	}
	return list
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

// movesOf says which apps have another folder or another name than in the catalog. A folder whose app is gone and
// that has a new one has renamed it, as far as Git can tell; Fly knows no renaming, so to it these are two apps.
func movesOf(old, entries, gone []catalog.Entry) []string {
	was := map[string]catalog.Entry{}
	for _, e := range old {
		was[e.App] = e
	}
	var lines []string
	for _, e := range entries {
		before, known := was[e.App]
		if known && before.Dir != e.Dir {
			lines = append(lines, fmt.Sprintf("app %s moved: %s → %s", e.App, shownDir(before.Dir), shownDir(e.Dir)))
		}
		if from := renamedTo(e, gone); !known && from != "" {
			lines = append(lines, fmt.Sprintf("app %s is called %s now: Fly renames no app, so %s is a new one", from, e.App, e.App))
		}
	}
	return lines
}

// renamedTo gives the app that is gone and whose folder an app has.
func renamedTo(e catalog.Entry, gone []catalog.Entry) string {
	for _, g := range gone {
		if g.Dir == e.Dir {
			return g.App
		}
	}
	return ""
}

func shownDir(dir string) string {
	if dir == "" || dir == "." {
		return "the tree's root"
	}
	return dir
}
