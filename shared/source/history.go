package source

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// Made is who made a commit, when and why, and which files it changed against its first parent.
type Made struct {
	Hash, Message, Author, Email string
	Parents                      []string
	Time                         time.Time
	Added, Removed, Modified     []string
}

// Refs gives the commits of a repository's refs by their full names, tags peeled, and the full name that HEAD
// stands for. The error is fs.ErrNotExist where there is no such repository.
func (s *Server) Refs(name string) (refs map[string]string, head string, err error) {
	store, err := s.repository(name)
	if err != nil {
		return nil, "", err
	}
	all, err := store.IterReferences()
	if err != nil {
		return nil, "", fmt.Errorf("list refs of %s: %w", name, err)
	}
	refs = map[string]string{}
	folder := &folderRepo{store: store}
	err = all.ForEach(func(ref *plumbing.Reference) error {
		switch {
		case ref.Name() == plumbing.HEAD:
			head = ref.Target().String()
		case ref.Type() == plumbing.HashReference && strings.HasPrefix(ref.Name().String(), "refs/"):
			if commit, _, err := peel(folder, ref.Hash()); err == nil {
				refs[ref.Name().String()] = commit.String()
			}
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list refs of %s: %w", name, err)
	}
	return refs, head, nil
}

// History gives what is reachable from a commit and not from another, newest first, at most n of it. An empty
// or unknown second commit excludes nothing. The error is fs.ErrNotExist where there is no such repository or
// commit.
func (s *Server) History(name, from, without string, n int) ([]Made, error) {
	store, err := s.repository(name)
	if err != nil {
		return nil, err
	}
	start, err := object.GetCommit(store, plumbing.NewHash(from))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", from, err)
	}
	known := map[plumbing.Hash]bool{}
	if base, err := object.GetCommit(store, plumbing.NewHash(without)); err == nil {
		err = object.NewCommitPreorderIter(base, nil, nil).ForEach(func(c *object.Commit) error {
			known[c.Hash] = true
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", without, err)
		}
	}
	var out []Made
	err = object.NewCommitIterCTime(start, known, nil).ForEach(func(c *object.Commit) error {
		if len(out) == n {
			return storer.ErrStop
		}
		out = append(out, made(c))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", from, err)
	}
	return out, nil
}

func made(c *object.Commit) Made {
	m := Made{Hash: c.Hash.String(), Message: c.Message, Author: c.Author.Name, Email: c.Author.Email, Time: c.Author.When}
	for _, p := range c.ParentHashes {
		m.Parents = append(m.Parents, p.String())
	}
	now, err := c.Tree()
	if err != nil {
		return m
	}
	before := &object.Tree{}
	if parent, err := c.Parent(0); err == nil {
		if t, err := parent.Tree(); err == nil {
			before = t
		}
	}
	changes, err := object.DiffTree(before, now)
	if err != nil {
		return m
	}
	for _, ch := range changes {
		switch {
		case ch.From.Name == "":
			m.Added = append(m.Added, ch.To.Name)
		case ch.To.Name == "":
			m.Removed = append(m.Removed, ch.From.Name)
		default:
			m.Modified = append(m.Modified, ch.To.Name)
		}
	}
	return m
}
