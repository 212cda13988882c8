package source

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/gigurra/flycd/shared/job"
)

var shortHash = regexp.MustCompile(`^[0-9a-f]{4,39}$`)

// resolveShort finds the commit that an abbreviated hash means: among the refs, else in the whole
// history, which costs a fetch of it.
func (c *Client) resolveShort(ctx context.Context, a *advert, abbreviated string) (Commit, error) {
	prefix := strings.ToLower(abbreviated)
	if !shortHash.MatchString(prefix) {
		return Commit{}, job.Rejectf("source.ref.commit: %q is no commit hash, expected 40 hexadecimal digits", abbreviated)
	}
	found := map[string]bool{}
	for name := range a.refs {
		if at := a.commit(name); strings.HasPrefix(at.Hash, prefix) {
			found[at.Hash] = true
		}
	}
	if len(found) == 0 {
		if err := c.searchHistory(ctx, a, prefix, found); err != nil {
			return Commit{}, err
		}
	}
	switch len(found) {
	case 0:
		return Commit{}, job.Rejectf("repository %s does not have a commit that begins with %s", a.remote, abbreviated)
	case 1:
		for hash := range found {
			return Commit{Hash: hash}, nil
		}
	}
	return Commit{}, job.Rejectf("repository %s has several commits that begin with %s: write the full 40 digits", a.remote, abbreviated)
}

// searchHistory adds the commits that begin with prefix.
func (c *Client) searchHistory(ctx context.Context, a *advert, prefix string, found map[string]bool) error {
	if a.folder != nil {
		return a.folder.search(prefix, found)
	}
	dir, err := c.tempDir()
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // what is left is swept later
	fresh, err := c.connect(ctx, a.remote)
	if err != nil {
		return err
	}
	defer fresh.close()
	req, err := fresh.requestAll()
	if err != nil {
		return err
	}
	if fresh.caps.Supports(capability.Filter) {
		_ = req.Capabilities.Set(capability.Filter)
		req.Filter = "tree:0"
	}
	objs, err := c.transfer(ctx, fresh, req, filepath.Join(dir.path, "history"))
	if err != nil {
		return fmt.Errorf("look for commit %s: %w", prefix, err)
	}
	defer objs.Close() //nolint:errcheck // only read
	for h, at := range objs.index {
		if at.typ == plumbing.CommitObject && strings.HasPrefix(hexOf(h), prefix) {
			found[hexOf(h)] = true
		}
	}
	return nil
}

func (f *folderRepo) search(prefix string, found map[string]bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.store.IterEncodedObjects(plumbing.CommitObject)
	if err != nil {
		return fmt.Errorf("read commits: %w", err)
	}
	return all.ForEach(func(o plumbing.EncodedObject) error {
		if hash := o.Hash().String(); strings.HasPrefix(hash, prefix) {
			found[hash] = true
		}
		return nil
	})
}
