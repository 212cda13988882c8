package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/job"
)

const (
	lfsPrefix     = "version https://git-lfs.github.com/spec/v1\n"
	lfsMaxBytes   = 1024
	maxLinkBytes  = 4096
	maxPathBytes  = 4096
	writerBacklog = 256
)

// checkout writes the wanted folders and files of a tree into t.Dir. Folders are made first, then
// files, then symlinks, so that no write ever follows a link.
func (t *Tree) checkout(ctx context.Context, wanted []string) error {
	if err := mkdir(t.Dir); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	w := &writer{tree: t, files: make(chan fileToWrite, writerBacklog)}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(w.files)
		for _, p := range wanted {
			if err := w.path(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	for range max(2, runtime.GOMAXPROCS(0)) {
		group.Go(func() error { return w.run(ctx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := w.link(); err != nil {
		return err
	}
	t.filled = append(t.filled, wanted...)
	return nil
}

// mkdir makes a folder. One that is there serves as well, but not a link to one.
func mkdir(name string) error {
	err := os.Mkdir(name, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Lstat(name); err != nil || !info.IsDir() {
		return job.Rejectf("%s is a folder and something else in one tree: rename one of them", filepath.Base(name))
	}
	return nil
}

// writer walks the tree objects and hands the files to those who write them.
type writer struct {
	tree  *Tree
	files chan fileToWrite
	links []link
}

type fileToWrite struct {
	path string
	mode fs.FileMode
	hash plumbing.Hash
	size int64
}

type link struct{ path, target string }

// path writes one wanted path and the folders above it.
func (w *writer) path(ctx context.Context, p string) error {
	e, err := w.tree.lookup(p)
	if err != nil {
		return err
	}
	parent := ""
	for _, part := range strings.Split(path.Dir(p), "/") {
		if p == "" || part == "." {
			break
		}
		if err := checkName(part); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		parent = path.Join(parent, part)
		if err := mkdir(w.disk(parent)); err != nil {
			return fmt.Errorf("make folder %s: %w", parent, err)
		}
	}
	if e.mode == modeDir {
		return w.folder(ctx, p, e.hash)
	}
	return w.entry(ctx, parent, e)
}

func (w *writer) disk(p string) string { return filepath.Join(w.tree.Dir, filepath.FromSlash(p)) }

func (w *writer) folder(ctx context.Context, dir string, h plumbing.Hash) error {
	if strings.Count(dir, "/") >= w.tree.limits.Depth || len(dir) > maxPathBytes {
		return job.Rejectf("folder %.60s… is nested deeper than the limit of %d", dir, w.tree.limits.Depth)
	}
	entries, err := readTree(w.tree.objects, h)
	if err != nil {
		return fmt.Errorf("folder %s: %w", orRoot(dir), err)
	}
	if dir != "" {
		if err := mkdir(w.disk(dir)); err != nil {
			return fmt.Errorf("make folder %s: %w", dir, err)
		}
	}
	if err := checkSiblings(dir, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.entry(ctx, dir, e); err != nil {
			return err
		}
	}
	return nil
}

// checkSiblings refuses names that would be one file on a case-blind system, or twice the same.
func checkSiblings(dir string, entries []treeEntry) error {
	seen := make(map[string]string, len(entries))
	for _, e := range entries {
		if err := checkName(e.name); err != nil {
			return fmt.Errorf("folder %s: %w", orRoot(dir), err)
		}
		folded := fold(e.name)
		if other, ok := seen[folded]; ok {
			return job.Rejectf("folder %s holds %q and %q, which are one file on some systems: rename one of them", orRoot(dir), other, e.name)
		}
		seen[folded] = e.name
	}
	return nil
}

func (w *writer) entry(ctx context.Context, dir string, e treeEntry) error {
	p := path.Join(dir, e.name)
	if inAny(p, w.tree.filled) {
		return nil
	}
	if w.tree.written++; w.tree.written > w.tree.limits.Files {
		return job.Rejectf("the tree has more than %d files and folders: raise the limit, or set source.path to a smaller folder", w.tree.limits.Files)
	}
	switch e.mode {
	case modeDir:
		return w.folder(ctx, p, e.hash)
	case modeFile, modeGroup:
		return w.file(ctx, p, 0o644, e.hash)
	case modeExec:
		return w.file(ctx, p, 0o755, e.hash)
	case modeSymlink:
		target, err := readObject(w.tree.objects, e.hash, plumbing.BlobObject, maxLinkBytes)
		if err != nil {
			return fmt.Errorf("symlink %s: %w", p, err)
		}
		w.links = append(w.links, link{p, string(target)})
		return nil
	case modeModule:
		w.tree.Modules = append(w.tree.Modules, p)
		return nil
	}
	return job.Rejectf("%s has the mode %o, which is neither a file, a folder nor a symlink", p, e.mode)
}

func (w *writer) file(ctx context.Context, p string, mode fs.FileMode, h plumbing.Hash) error {
	typ, n, err := w.tree.objects.stat(h)
	if err != nil {
		return fmt.Errorf("file %s: %w", p, err)
	}
	limits := w.tree.limits
	w.tree.bytes += n
	switch {
	case typ != plumbing.BlobObject:
		return job.Rejectf("file %s is a %s: the repository is damaged", p, typ)
	case n > limits.FileBytes:
		return job.Reject(tooMuch("file "+p, limits.FileBytes))
	case w.tree.bytes > limits.Bytes:
		return job.Reject(tooMuch("tree", limits.Bytes))
	}
	if n < lfsMaxBytes && w.isPointer(h) {
		w.tree.Pointers = append(w.tree.Pointers, p)
	}
	select {
	case w.files <- fileToWrite{p, mode, h, n}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *writer) isPointer(h plumbing.Hash) bool {
	r, err := w.tree.objects.open(h)
	if err != nil {
		return false
	}
	defer r.Close() //nolint:errcheck // only read
	head := make([]byte, len(lfsPrefix))
	_, err = io.ReadFull(r, head)
	return err == nil && bytes.Equal(head, []byte(lfsPrefix))
}

func (w *writer) run(ctx context.Context) error {
	for f := range w.files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := w.write(f); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	return nil
}

func (w *writer) write(f fileToWrite) (err error) {
	r, err := w.tree.objects.open(f.hash)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	out, err := os.OpenFile(w.disk(f.path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.CopyN(out, r, f.size)
	return err
}

// link makes the symlinks and refuses those that lead out of the tree, whatever they lead through.
func (w *writer) link() error {
	for _, l := range w.links {
		if l.target == "" || strings.ContainsRune(l.target, 0) {
			return job.Rejectf("symlink %s leads nowhere", l.path)
		}
		if err := os.Symlink(l.target, w.disk(l.path)); err != nil {
			return fmt.Errorf("make symlink %s: %w", l.path, err)
		}
	}
	if len(w.links) == 0 {
		return nil
	}
	root, err := os.OpenRoot(w.tree.Dir)
	if err != nil {
		return fmt.Errorf("open tree: %w", err)
	}
	defer root.Close() //nolint:errcheck // only read
	for _, l := range w.links {
		if leaves(root, l.path) {
			return job.Rejectf("symlink %s leads to %s, which is outside of the repository", l.path, l.target)
		}
	}
	return nil
}

// leaves reports whether following the link ends outside of the root. A link that dangles or goes in a
// circle stays inside.
func leaves(root *os.Root, link string) bool {
	_, err := root.Stat(filepath.FromSlash(link))
	return err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOTDIR)
}

func orRoot(dir string) string { return or(dir, "/") }
