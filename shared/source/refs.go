package source

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const defaultMemory = 5 * time.Second

// Resolve says which commit the ref is now. It asks by ls-remote and fetches nothing; a full commit
// hash is not asked for at all. Within Client.Memory, calls for one repository share one answer. The
// error wraps job.ErrRejected when the repository or the ref does not exist or may not be read.
func (c *Client) Resolve(ctx context.Context, repo string, ref manifest.Ref) (Commit, error) {
	r, err := parseRepo(repo)
	if err != nil {
		return Commit{}, err
	}
	if plumbing.IsHash(ref.Commit) {
		return Commit{Hash: strings.ToLower(ref.Commit)}, nil
	}
	if err := checkRef(ref); err != nil {
		return Commit{}, err
	}
	a, err := c.advert(ctx, r)
	if err != nil {
		return Commit{}, err
	}
	if ref.Commit != "" {
		return c.resolveShort(ctx, a, ref.Commit)
	}
	return a.resolve(ref)
}

// advert gives the repository's refs, asked for within Client.Memory.
func (c *Client) advert(ctx context.Context, r remote) (*advert, error) {
	key := r.String() + "\x00" + r.cred.Username + "\x00" + r.cred.Password.Reveal()
	if a := c.remembered(key); a != nil {
		return a, nil
	}
	// the flight outlives the caller that started it: others wait for it too
	done := c.flights.DoChan(key, func() (any, error) {
		flight, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		return c.askAndRemember(flight, key, r)
	})
	select {
	case got := <-done:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*advert), nil //nolint:forcetypeassert // askAndRemember gives nothing else
	case <-ctx.Done():
		return nil, fmt.Errorf("read repository %s: %w", r, context.Cause(ctx))
	}
}

// remembered gives what was asked for within Client.Memory, or nil.
func (c *Client) remembered(key string) *advert {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.adverts[key]; a != nil && c.now().Sub(a.asked) < or(c.Memory, defaultMemory) {
		return a
	}
	return nil
}

// askAndRemember asks, unless a flight that has just landed did.
func (c *Client) askAndRemember(ctx context.Context, key string, r remote) (*advert, error) {
	if a := c.remembered(key); a != nil {
		return a, nil
	}
	a, err := c.connect(ctx, r)
	if err != nil {
		return nil, err
	}
	a.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.adverts == nil {
		c.adverts = map[string]*advert{}
	}
	for k, old := range c.adverts {
		if c.now().Sub(old.asked) > or(c.Memory, defaultMemory) {
			delete(c.adverts, k)
		}
	}
	c.adverts[key] = a
	return a, nil
}

// checkRef refuses what git would not take as the name of a ref.
func checkRef(ref manifest.Ref) error {
	for key, name := range map[string]string{"branch": ref.Branch, "tag": ref.Tag, "name": ref.Name} {
		if name != "" && !validRefName(name) {
			return job.Rejectf("source.ref.%s: %q cannot be the name of a ref", key, name)
		}
	}
	return nil
}

// validRefName holds the rules of git check-ref-format.
func validRefName(name string) bool {
	if name == "@" || len(name) > 1024 || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.ContainsAny(name, " ~^:?*[\\\x7f") {
		return false
	}
	for _, part := range strings.Split(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

// resolve chooses among the advertised refs.
func (a *advert) resolve(ref manifest.Ref) (Commit, error) {
	switch {
	case ref.Branch != "":
		return a.named("branch", ref.Branch, "refs/heads/"+strings.TrimPrefix(ref.Branch, "refs/heads/"))
	case ref.Tag != "":
		return a.named("tag", ref.Tag, "refs/tags/"+strings.TrimPrefix(ref.Tag, "refs/tags/"))
	case ref.Semver != "":
		return a.newest(ref.Semver)
	case ref.Name != "" && ref.Name != "HEAD":
		// in git's own order
		return a.named("ref", ref.Name, ref.Name, "refs/"+ref.Name, "refs/tags/"+ref.Name, "refs/heads/"+ref.Name)
	case a.head.IsZero():
		return Commit{}, job.Rejectf("repository %s: the default branch %s has no commit, set source.ref.branch%s",
			a.remote, strings.TrimPrefix(a.headRef, "refs/heads/"), among(a.names("refs/heads/")))
	}
	return Commit{Hash: a.head.String(), Ref: a.headRef}, nil
}

func (a *advert) named(kind, asked string, full ...string) (Commit, error) {
	for _, name := range full {
		if _, ok := a.refs[name]; ok {
			return a.commit(name), nil
		}
	}
	known := a.names("refs/heads/")
	switch kind {
	case "tag":
		known = a.names("refs/tags/")
	case "ref":
		known = a.names("refs/")
	}
	return Commit{}, job.Rejectf("repository %s has no %s %q%s", a.remote, kind, asked, nearest(asked, known))
}

func (a *advert) commit(name string) Commit {
	hash := a.refs[name]
	if peeled, ok := a.peeled[name]; ok {
		hash = peeled
	}
	return Commit{Hash: hash.String(), Ref: name}
}

// newest gives the newest tag that the range allows. Tags may begin with v; what is no version is
// no candidate; pre-releases count only where the range names one.
func (a *advert) newest(want string) (Commit, error) {
	within, err := semver.NewConstraint(want)
	if err != nil {
		return Commit{}, job.Rejectf("source.ref.semver: %q is no version range, expected one such as %q", want, ">=1.2 <2")
	}
	var best *semver.Version
	name := ""
	for _, tag := range a.names("refs/tags/") {
		v, err := semver.NewVersion(tag)
		if err != nil || !within.Check(v) {
			continue
		}
		// names are sorted, so of two spellings of one version the same one wins everywhere
		if best == nil || v.GreaterThan(best) {
			best, name = v, tag
		}
	}
	if best == nil {
		return Commit{}, job.Rejectf("repository %s has no tag in the range %q%s", a.remote, want, among(a.names("refs/tags/")))
	}
	return a.commit("refs/tags/" + name), nil
}

// names lists the refs below prefix, sorted and without it.
func (a *advert) names(prefix string) []string {
	var out []string
	for name := range a.refs {
		if short, ok := strings.CutPrefix(name, prefix); ok {
			out = append(out, short)
		}
	}
	sort.Strings(out)
	return out
}
