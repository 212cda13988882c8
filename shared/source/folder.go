package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/storage"

	"github.com/gigurra/flycd/shared/job"
)

// folderRepo is a repository on this machine. Its objects are read in place: no git program is
// started and nothing is copied but the files that are wanted.
type folderRepo struct {
	mu    sync.Mutex // go-git's storage is not safe for concurrent use
	store storage.Storer
}

// openFolder reads the refs of a repository on this machine: bare, or a work tree's.
func (c *Client) openFolder(r remote) (*advert, error) {
	if c.NoFolders {
		return nil, job.Rejectf("repository %s is a folder: only https and ssh repositories may be used here", r)
	}
	repo, err := git.PlainOpenWithOptions(r.path, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, job.Rejectf("%s is no git repository", r)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, job.Rejectf("repository %s may not be read: %w", r, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", r, err)
	}
	a := &advert{
		remote: r, refs: map[string]plumbing.Hash{}, peeled: map[string]plumbing.Hash{},
		caps: capability.NewList(), folder: &folderRepo{store: repo.Storer}, asked: c.now(),
	}
	if err := a.readRefs(repo); err != nil {
		return nil, fmt.Errorf("read refs of %s: %w", r, err)
	}
	if len(a.refs) == 0 {
		return nil, job.Rejectf("repository %s is empty: make a commit first", r)
	}
	return a, nil
}

func (a *advert) readRefs(repo *git.Repository) error {
	refs, err := repo.References()
	if err != nil {
		return err
	}
	if err := refs.ForEach(func(ref *plumbing.Reference) error {
		name := ref.Name().String()
		if ref.Type() != plumbing.HashReference || !strings.HasPrefix(name, "refs/") {
			return nil
		}
		a.refs[name] = ref.Hash()
		if tag, err := object.GetTag(repo.Storer, ref.Hash()); err == nil {
			if commit, _, err := peel(a.folder, tag.Hash); err == nil {
				a.peeled[name] = commit
			}
		}
		return nil
	}); err != nil {
		return err
	}
	head, err := repo.Storer.Reference(plumbing.HEAD)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
	case err != nil:
		return err
	case head.Type() == plumbing.SymbolicReference:
		a.headRef = head.Target().String()
		a.head = a.refs[a.headRef]
	default:
		a.head = head.Hash()
	}
	return nil
}

func (f *folderRepo) stat(h plumbing.Hash) (plumbing.ObjectType, int64, error) {
	o, err := f.object(h)
	if err != nil {
		return plumbing.InvalidObject, 0, err
	}
	return o.Type(), o.Size(), nil
}

func (f *folderRepo) open(h plumbing.Hash) (io.ReadCloser, error) {
	o, err := f.object(h)
	if err != nil {
		return nil, err
	}
	return o.Reader()
}

func (f *folderRepo) object(h plumbing.Hash) (plumbing.EncodedObject, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, err := f.store.EncodedObject(plumbing.AnyObject, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, errMissing
	}
	return o, err
}
