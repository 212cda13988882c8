package catalog

import (
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// Head is the ref of a route that follows a repository's default branch; AnyTag is the ref of one
// that follows a range of versions.
const (
	Head   = "HEAD"
	AnyTag = "refs/tags/*"
)

const (
	branches = "refs/heads/"
	tags     = "refs/tags/"
)

// Keys gives the route refs that a push touches: at most three of the form host/path@ref.
func Keys(p Push) []string {
	repo := job.RepoKey(p.Repo) + "@"
	keys := []string{repo + p.Ref}
	if p.isDefault() {
		keys = append(keys, repo+Head)
	}
	if strings.HasPrefix(p.Ref, tags) {
		keys = append(keys, repo+AnyTag)
	}
	return keys
}

// isDefault reports whether the push moved the repository's default branch.
func (p Push) isDefault() bool { return p.DefaultBranch != "" && p.Ref == branches+p.DefaultBranch }

// EntryKeys gives the route refs that an entry follows: none for an app without a source of its
// own, one that is pinned to a commit, or one that pushes must not deploy.
func EntryKeys(e Entry) []string {
	if e.Source.Repo == "" || e.Source.Commit != "" || !e.Auto {
		return nil
	}
	return refKeys(e.Source.Repo, e.Source.Ref)
}

// ConfigKeys gives the route refs that a config tree follows.
func ConfigKeys(c job.Config) []string { return refKeys(c.Repo, c.Ref) }

// IncludeKeys gives the route refs of a repository that a config tree includes.
func IncludeKeys(i Include) []string { return refKeys(i.Repo, i.Ref) }

// refKeys gives both readings of a short ref: only the forge knows whether it is a branch or a tag.
func refKeys(repo, ref string) []string {
	key := job.RepoKey(repo) + "@"
	switch {
	case ref == "" || ref == Head:
		return []string{key + Head}
	case strings.HasPrefix(ref, "refs/"):
		return []string{key + ref}
	default:
		return []string{key + branches + ref, key + tags + ref}
	}
}

// RouteOf gives the route that leads to an entry.
func RouteOf(e Entry) Route {
	return Route{App: e.App, Org: e.Org, Config: e.Config, Generation: e.Generation}
}
