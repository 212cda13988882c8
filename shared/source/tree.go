package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/gigurra/flycd/shared/job"
)

// Tree is the files of a repository at one commit, or of a folder on this machine. It is a value
// that is closed; until then only Client.Fill changes it, and reading it is safe from several goroutines.
type Tree struct {
	// Dir is the root of the tree on disk. For a fetched tree it holds only the paths that were asked
	// for; for a local one it is the user's own folder and must not be written to.
	Dir string
	// Commit is what was fetched; zero for a local tree.
	Commit Commit
	// Committed is when the commit was made, by its committer's clock, in UTC; zero for a local tree and for a
	// commit whose time is none. Builds take it as SOURCE_DATE_EPOCH.
	Committed time.Time
	// Path is, for a local tree, the path inside it that was asked for; else empty.
	Path string
	// Origin is, for a local tree that is a git work tree, the URL of its remote "origin", without
	// credentials; else empty.
	Origin string
	// Pointers are the files that are git-lfs pointers instead of content, Modules the submodules,
	// which are not fetched. They are refused where a build would use them (see Context).
	Pointers, Modules []string

	repo    string
	temp    *tempDir
	limits  Limits
	objects objects
	tree    plumbing.Hash
	// from is the server that has the files which are not in objects; nil where objects are complete.
	from *advert
	// filled are the paths that were written, written and bytes how much that was.
	filled  []string
	written int
	bytes   int64

	mu   sync.Mutex
	root *os.Root
}

// IsLocal reports whether the tree is a folder on this machine, as it is now, and not a commit.
func (t *Tree) IsLocal() bool { return t.objects == nil }

// FS gives the files below Dir. Symlinks are followed inside the tree and nowhere else. It may be
// used until Close.
func (t *Tree) FS() (fs.FS, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root == nil {
		root, err := os.OpenRoot(t.Dir)
		if err != nil {
			return nil, fmt.Errorf("open tree: %w", err)
		}
		t.root = root
	}
	return t.root.FS(), nil
}

// Close removes what Fetch wrote; a local tree's folder stays. Closing again does nothing.
func (t *Tree) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	if t.root != nil {
		err = t.root.Close()
		t.root = nil
	}
	if closer, ok := t.objects.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
		t.objects = closedObjects{}
	}
	if t.temp != nil {
		err = errors.Join(err, t.temp.Close())
	}
	return err
}

// closedObjects are the objects of a tree that was closed.
type closedObjects struct{}

func (closedObjects) stat(plumbing.Hash) (plumbing.ObjectType, int64, error) {
	return plumbing.InvalidObject, 0, fs.ErrClosed
}

func (closedObjects) open(plumbing.Hash) (io.ReadCloser, error) { return nil, fs.ErrClosed }

// enter reads the commit that the objects are of.
func (t *Tree) enter() error {
	commit, tree, err := peel(t.objects, plumbing.NewHash(t.Commit.Hash))
	if err != nil {
		return err
	}
	t.Commit.Hash, t.tree = commit.String(), tree
	t.Committed, err = committed(t.objects, commit)
	return err
}

// lookup finds a path in the commit. It rejects one that is not there with the nearest that is.
func (t *Tree) lookup(p string) (treeEntry, error) {
	at := treeEntry{mode: modeDir, hash: t.tree}
	if p == "" {
		return at, nil
	}
	walked := ""
	for _, part := range strings.Split(p, "/") {
		if at.mode != modeDir {
			return treeEntry{}, t.notThere(p, fmt.Sprintf(": %s is a file", walked))
		}
		entries, err := readTree(t.objects, at.hash)
		if err != nil {
			return treeEntry{}, err
		}
		next, ok := find(entries, part)
		if !ok {
			return treeEntry{}, t.notThere(p, suggestIn(walked, part, entries))
		}
		at = next
		walked = strings.TrimPrefix(walked+"/"+part, "/")
	}
	return at, nil
}

func (t *Tree) notThere(p, hint string) error {
	where := "repository " + t.repo
	if t.Commit.Hash != "" {
		where += " at " + short(t.Commit.Hash)
	}
	return job.Rejectf("%s has no %q%s", where, p, hint)
}

func find(entries []treeEntry, name string) (treeEntry, bool) {
	for _, e := range entries {
		if e.name == name {
			return e, true
		}
	}
	return treeEntry{}, false
}

func suggestIn(dir, part string, entries []treeEntry) string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimPrefix(dir+"/"+e.name, "/")
	}
	sort.Strings(names)
	return nearest(strings.TrimPrefix(dir+"/"+part, "/"), names)
}

func fold(name string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, name)
}

// sortEntries puts entries into git's order, in which a folder sorts as if its name ended in /.
func sortEntries(entries []treeEntry) {
	key := func(e treeEntry) string {
		if e.mode == modeDir {
			return e.name + "/"
		}
		return e.name
	}
	sort.Slice(entries, func(i, j int) bool { return key(entries[i]) < key(entries[j]) })
}
