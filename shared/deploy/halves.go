package deploy

import (
	"context"
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// resolveConfig decides which config tree the app belongs to and at which commit it is read: the
// half that was pushed, else what the catalog read last, else ls-remote.
func (w *work) resolveConfig(ctx context.Context) error {
	w.tree = w.req.Job.Config
	if w.tree.Repo == "" && w.req.Entry != nil {
		w.tree = w.req.Entry.Config
	}
	if w.tree.Repo == "" {
		return job.Rejectf("app %s: no config tree is known that names it: add the repository to FLYCD_CONFIG_REPOS and push to it, or deploy a folder", w.req.Job.App)
	}
	if isFolder(w.tree.Repo) {
		return nil
	}
	half := w.req.Config
	if half != nil && !sameConfig(w.tree, *half) {
		half = nil
	}
	if half != nil && half.Commit != "" {
		w.configAt = source.Commit{Hash: half.Commit, Ref: half.Ref}
		return nil
	}
	// a half without a commit says that only the forge knows which of two pushes is the newer one
	if e := w.req.Entry; half == nil && e != nil && e.Commit != "" && e.Config.ID() == w.tree.ID() {
		w.configAt, w.remembered = source.Commit{Hash: e.Commit}, true
		return nil
	}
	at, err := resolveTree(ctx, w.Source, w.tree)
	w.configAt = at
	return err
}

// resolveTree asks ls-remote for the commit of a config tree.
func resolveTree(ctx context.Context, client *source.Client, tree job.Config) (source.Commit, error) {
	at, err := client.Resolve(ctx, tree.Repo, refOf(tree.Ref))
	if err != nil {
		return source.Commit{}, fmt.Errorf("resolve config tree %s: %w", tree.ID(), err)
	}
	return at, nil
}

// refOf reads the ref of a config tree: a full ref, a branch or a tag; empty is the default branch.
func refOf(ref string) manifest.Ref { return manifest.Ref{Name: ref} }

// isFolder reports whether the config tree is a folder on this machine: a job of `flycd deploy`.
func isFolder(repo string) bool { return strings.HasPrefix(repo, "/") }

// sameConfig reports whether a half speaks of the tree. A tree without a ref follows the default
// branch, and a push to that says so.
func sameConfig(tree job.Config, half job.Half) bool {
	if job.RepoKey(tree.Repo) != job.RepoKey(half.Repo) {
		return false
	}
	if tree.Ref == "" || half.Ref == "" {
		return tree.Ref == half.Ref || half.Default
	}
	return shortRef(tree.Ref) == shortRef(half.Ref)
}

func shortRef(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		ref = strings.TrimPrefix(ref, prefix)
	}
	return ref
}

// resolveSource finds the commit of the app's source, where it has one in Git.
func (w *work) resolveSource(ctx context.Context) error {
	src := w.entry.App.Source
	if src.Type != "git" {
		return nil
	}
	at, err := w.sourceCommitOf(ctx, w.req.Source, src.Repo, src.Ref)
	w.sourceAt = at
	return err
}

// sourceCommitOf takes the commit of the source half where the manifest still asks for that repository
// and ref; else it asks ls-remote.
func (d *Deployer) sourceCommitOf(ctx context.Context, half *job.Half, repo string, ref manifest.Ref) (source.Commit, error) {
	if ref.Commit != "" {
		return source.Commit{Hash: ref.Commit}, nil
	}
	pinned := half != nil && half.Commit != "" && job.RepoKey(half.Repo) == job.RepoKey(repo)
	// a push to the default branch says so itself: only the forge knows its name
	if pinned && (fullRef(ref) != "" && fullRef(ref) == half.Ref || ref == (manifest.Ref{}) && half.Default) {
		return source.Commit{Hash: half.Commit, Ref: half.Ref}, nil
	}
	at, err := d.Source.Resolve(ctx, repo, ref)
	if err != nil {
		return source.Commit{}, fmt.Errorf("resolve source %s: %w", repo, err)
	}
	return at, nil
}

// fullRef is the ref that pushes name; empty for the default branch and for ranges.
func fullRef(ref manifest.Ref) string {
	switch {
	case ref.Branch != "":
		return "refs/heads/" + strings.TrimPrefix(ref.Branch, "refs/heads/")
	case ref.Tag != "":
		return "refs/tags/" + strings.TrimPrefix(ref.Tag, "refs/tags/")
	default:
		return ref.Name
	}
}

// entryRef gives the ref of a catalog entry as a manifest would.
func entryRef(s catalog.Source) manifest.Ref {
	switch {
	case s.Commit != "":
		return manifest.Ref{Commit: s.Commit}
	case s.Semver != "":
		return manifest.Ref{Semver: s.Semver}
	default:
		return manifest.Ref{Name: s.Ref}
	}
}
