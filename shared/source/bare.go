package source

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Edit is a commit to be made on a branch of a bare repository.
type Edit struct {
	// Branch is made from the default branch where it does not exist; empty is the default branch.
	Branch string
	// Message of the commit; empty is "change".
	Message string
	// Author is a name; empty is "somebody".
	Author string
	// Time of the commit; zero is now.
	Time time.Time
	// Files are texts by path; an empty text removes the file. All others stay.
	Files map[string]string
}

// Init makes an empty bare repository Dir/name.git whose default branch is main. One that is there is left as
// it is.
func (s *Server) Init(name string) error {
	clean := filepath.FromSlash(strings.TrimSuffix(name, ".git"))
	if !filepath.IsLocal(clean) {
		return fmt.Errorf("make repository %q: the name leaves the folder", name)
	}
	_, err := git.PlainInitWithOptions(filepath.Join(s.Dir, clean+".git"), &git.PlainInitOptions{
		Bare: true, InitOptions: git.InitOptions{DefaultBranch: mirrorBranch},
	})
	if err != nil && !errors.Is(err, git.ErrRepositoryAlreadyExists) {
		return fmt.Errorf("make repository %s: %w", name, err)
	}
	return nil
}

// Commit makes a commit in a repository and moves the branch to it. Commits to one repository are made one
// after the other by the caller.
func (s *Server) Commit(name string, e Edit) (Change, error) {
	change, err := s.commit(name, e)
	if err != nil {
		return Change{}, fmt.Errorf("commit to %s: %w", name, err)
	}
	return change, nil
}

func (s *Server) commit(name string, e Edit) (Change, error) {
	store, err := s.repository(name)
	if err != nil {
		return Change{}, err
	}
	branch, parent, err := tip(store, e.Branch)
	if err != nil {
		return Change{}, err
	}
	change := Change{Before: plumbing.ZeroHash.String(), Changed: true}
	if ref, err := store.Reference(branch); err == nil {
		change.Before = ref.Hash().String()
	}
	tree, err := edited(store, parent, e.Files)
	if err != nil {
		return Change{}, err
	}
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	who := object.Signature{Name: or(e.Author, "somebody"), Email: "somebody@example.com", When: at}
	c := object.Commit{Author: who, Committer: who, Message: or(e.Message, "change"), TreeHash: tree}
	if !parent.IsZero() {
		c.ParentHashes = []plumbing.Hash{parent}
	}
	o := store.NewEncodedObject()
	if err := c.Encode(o); err != nil {
		return Change{}, err
	}
	h, err := store.SetEncodedObject(o)
	if err != nil {
		return Change{}, err
	}
	change.After = h.String()
	return change, moveRef(store.Filesystem().Root(), branch, h)
}

// tip gives the full name of the branch and the commit that the next one follows; zero for the first one.
func tip(store *filesystem.Storage, branch string) (plumbing.ReferenceName, plumbing.Hash, error) {
	head, err := store.Reference(plumbing.HEAD)
	if err != nil {
		return "", plumbing.ZeroHash, fmt.Errorf("read HEAD: %w", err)
	}
	name := head.Target()
	if branch != "" {
		name = plumbing.NewBranchReferenceName(branch)
	}
	if !validRefName(name.String()) {
		return "", plumbing.ZeroHash, fmt.Errorf("%q cannot be the name of a branch", branch)
	}
	for _, candidate := range []plumbing.ReferenceName{name, head.Target()} {
		ref, err := store.Reference(candidate)
		if err == nil {
			return name, ref.Hash(), nil
		}
		if !errors.Is(err, plumbing.ErrReferenceNotFound) {
			return "", plumbing.ZeroHash, fmt.Errorf("read branch %s: %w", candidate.Short(), err)
		}
	}
	return name, plumbing.ZeroHash, nil
}

// edited stores the tree of a commit with files laid over it.
func edited(store *filesystem.Storage, parent plumbing.Hash, files map[string]string) (plumbing.Hash, error) {
	all := map[string]counted{}
	if !parent.IsZero() {
		c, err := object.GetCommit(store, parent)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read commit %s: %w", parent, err)
		}
		tree, err := c.Tree()
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read tree of %s: %w", parent, err)
		}
		err = tree.Files().ForEach(func(f *object.File) error {
			all[f.Name] = counted{f.Name, uint32(f.Mode), f.Hash}
			return nil
		})
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read tree of %s: %w", parent, err)
		}
	}
	for name, text := range files {
		clean, err := cleanPath(name)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		delete(all, clean)
		if text == "" {
			continue
		}
		h, err := storeObject(store, plumbing.BlobObject, []byte(text))
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("store %s: %w", name, err)
		}
		all[clean] = counted{clean, uint32(filemode.Regular), h}
	}
	top := newFolder()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		top.add(split(name), all[name])
	}
	return top.store(store)
}

// moveRef moves a ref in one step: go-git writes into the ref's file, and who reads in between finds none.
func moveRef(dir string, name plumbing.ReferenceName, h plumbing.Hash) error {
	file := filepath.Join(dir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	next, err := os.CreateTemp(dir, "next-*")
	if err != nil {
		return err
	}
	_, err = next.WriteString(h.String() + "\n")
	if err := errors.Join(err, next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), file)
}

// SetRef makes a ref of a repository a commit, or removes it where the commit is empty.
func (s *Server) SetRef(name, ref, commit string) error {
	store, err := s.repository(name)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(ref, "refs/") || !validRefName(ref) {
		return fmt.Errorf("set ref of %s: %q cannot be the full name of a ref", name, ref)
	}
	if commit == "" {
		return store.RemoveReference(plumbing.ReferenceName(ref))
	}
	if !plumbing.IsHash(commit) {
		return fmt.Errorf("set %s of %s: %q is no full commit hash", ref, name, commit)
	}
	return moveRef(store.Filesystem().Root(), plumbing.ReferenceName(ref), plumbing.NewHash(commit))
}
