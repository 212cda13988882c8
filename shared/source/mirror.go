package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage"
)

const mirrorBranch = plumbing.ReferenceName("refs/heads/main")

// Mirror keeps a bare repository whose branch main follows a folder: each call of Commit records
// the folder's state as a commit, as `git add --all` and `git commit` would, ignore files honoured.
// The folder itself is only read; it need not be a repository. It is safe for concurrent use.
type Mirror struct {
	// Dir is the folder, Bare the repository.
	Dir, Bare string
	// Now gives the time of a commit; nil means time.Now.
	Now func() time.Time
	// Limits bound the folder.
	Limits Limits

	mu    sync.Mutex
	store storage.Storer
	known map[string]seenFile
}

// seenFile is a file whose content was stored already.
type seenFile struct {
	size  int64
	mod   time.Time
	mode  fs.FileMode
	entry treeEntry
}

// Change is what Commit did.
type Change struct {
	// Before and After are the branch's commits; Before is forty zeros for the first one. They are equal when
	// nothing has changed.
	Before, After string
	// Changed reports whether a commit was made.
	Changed bool
}

// NewMirror opens or makes the bare repository for the folder.
func NewMirror(dir, bare string) (*Mirror, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("mirror folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("mirror %s: it is no folder", dir)
	}
	repo, err := git.PlainOpen(bare)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repo, err = git.PlainInitWithOptions(bare, &git.PlainInitOptions{
			Bare: true, InitOptions: git.InitOptions{DefaultBranch: mirrorBranch},
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", bare, err)
	}
	return &Mirror{Dir: dir, Bare: bare, store: repo.Storer, known: map[string]seenFile{}}, nil
}

// Commit records the folder's state with that message. Without a change it makes no commit.
func (m *Mirror) Commit(ctx context.Context, message string) (Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tree, err := m.snapshot(ctx)
	if err != nil {
		return Change{}, fmt.Errorf("read folder %s: %w", m.Dir, err)
	}
	before := plumbing.ZeroHash
	ref, err := m.store.Reference(mirrorBranch)
	switch {
	case err == nil:
		before = ref.Hash()
		last, err := object.GetCommit(m.store, before)
		if err != nil {
			return Change{}, fmt.Errorf("read commit %s: %w", before, err)
		}
		if last.TreeHash == tree {
			return Change{Before: before.String(), After: before.String()}, nil
		}
	case !errors.Is(err, plumbing.ErrReferenceNotFound):
		return Change{}, fmt.Errorf("read branch of %s: %w", m.Bare, err)
	}
	after, err := m.commit(tree, before, message)
	if err != nil {
		return Change{}, fmt.Errorf("commit to %s: %w", m.Bare, err)
	}
	return Change{Before: before.String(), After: after.String(), Changed: true}, nil
}

func (m *Mirror) commit(tree, parent plumbing.Hash, message string) (plumbing.Hash, error) {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	who := object.Signature{Name: "flycd local", Email: "flycd@localhost", When: now()}
	c := object.Commit{Author: who, Committer: who, Message: message, TreeHash: tree}
	if !parent.IsZero() {
		c.ParentHashes = []plumbing.Hash{parent}
	}
	o := m.store.NewEncodedObject()
	if err := c.Encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	h, err := m.store.SetEncodedObject(o)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return h, m.moveBranch(h)
}

// moveBranch moves the branch in one step. go-git writes into the ref's file, and who reads in between
// finds a repository whose branch has no commit.
func (m *Mirror) moveBranch(h plumbing.Hash) error {
	next := filepath.Join(m.Bare, "next")
	if err := os.WriteFile(next, []byte(h.String()+"\n"), 0o600); err != nil {
		return err
	}
	file := filepath.Join(m.Bare, filepath.FromSlash(mirrorBranch.String()))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// snapshot stores the folder's files and gives the hash of their tree.
func (m *Mirror) snapshot(ctx context.Context) (plumbing.Hash, error) {
	root, err := os.OpenRoot(m.Dir)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer root.Close() //nolint:errcheck // only read
	top := newFolder()
	known := make(map[string]seenFile, len(m.known))
	err = m.Limits.withDefaults().walk(ctx, root.FS(), "", func(f localFile) error {
		seen, ok := m.known[f.path]
		if !ok || seen.size != f.info.Size() || !seen.mod.Equal(f.info.ModTime()) || seen.mode != f.info.Mode() {
			if seen, err = m.storeFile(root, f); err != nil {
				return fmt.Errorf("store %s: %w", f.path, err)
			}
		}
		// a file this young may change again within the clock's tick
		if time.Since(f.info.ModTime()) > time.Second {
			known[f.path] = seen
		}
		top.add(split(f.path), counted{f.path, seen.entry.mode, seen.entry.hash})
		return nil
	})
	if err != nil {
		return plumbing.ZeroHash, err
	}
	m.known = known
	return top.store(m.store)
}

func (m *Mirror) storeFile(root *os.Root, f localFile) (seenFile, error) {
	content, err := readLocal(root, f)
	if err != nil {
		return seenFile{}, err
	}
	h, err := storeObject(m.store, plumbing.BlobObject, content)
	if err != nil {
		return seenFile{}, err
	}
	return seenFile{
		size: f.info.Size(), mod: f.info.ModTime(), mode: f.info.Mode(),
		entry: treeEntry{mode: modeOf(f.info), hash: h},
	}, nil
}

func readLocal(root *os.Root, f localFile) ([]byte, error) {
	name := filepath.FromSlash(f.path)
	if f.info.Mode()&fs.ModeSymlink != 0 {
		target, err := root.Readlink(name)
		return []byte(target), err
	}
	in, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // only read
	return io.ReadAll(in)
}

// storeObject writes an object unless it is there.
func storeObject(store storage.Storer, typ plumbing.ObjectType, content []byte) (plumbing.Hash, error) {
	h := plumbing.ComputeHash(typ, content)
	if store.HasEncodedObject(h) == nil {
		return h, nil
	}
	o := store.NewEncodedObject()
	o.SetType(typ)
	w, err := o.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	_, err = w.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		return plumbing.ZeroHash, err
	}
	return store.SetEncodedObject(o)
}

// store writes the tree objects of a folder.
func (d *folder) store(store storage.Storer) (plumbing.Hash, error) {
	entries := d.files
	for name, sub := range d.folders {
		h, err := sub.store(store)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries = append(entries, treeEntry{name, modeDir, h})
	}
	return storeObject(store, plumbing.TreeObject, encodeTree(entries))
}
