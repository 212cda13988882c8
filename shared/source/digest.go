package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/gigurra/flycd/shared/job"
)

// Digest gives the hash of a folder or file: the same as long as nothing that counts in it has changed
// (see the package's comment for what counts). For a commit it is git's own hash of the folder, unless a
// .flycdignore lies in it.
//
// Watch are globs over the whole tree (** crosses folders) of further paths whose change counts;
// with them the digest is another one. A path that does not exist is rejected.
func (t *Tree) Digest(p string, watch ...string) (string, error) {
	return t.DigestOf(Reading{Path: p}, watch...)
}

// DigestOf is Digest of a folder for a build that says which files it reads. For a commit they make no difference.
func (t *Tree) DigestOf(r Reading, watch ...string) (string, error) {
	clean, err := cleanPath(r.Path)
	if err != nil {
		return "", err
	}
	main, err := t.hash(clean, r)
	if err != nil {
		return "", err
	}
	if len(watch) == 0 {
		return hexOf(main), nil
	}
	for _, glob := range watch {
		if !doublestar.ValidatePattern(glob) {
			return "", job.Rejectf("source.watch: %q is no glob", glob)
		}
	}
	files, err := t.files("", Reading{})
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "tree %s\n", hexOf(main))
	for _, f := range files {
		if watched(f.path, watch) {
			fmt.Fprintf(sum, "%o %s %q\n", f.mode, hexOf(f.hash), f.path)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// watched reports whether a glob names the file or a folder above it.
func watched(p string, globs []string) bool {
	for _, glob := range globs {
		glob = strings.TrimPrefix(path.Clean("/"+glob), "/")
		for at := p; at != "."; at = path.Dir(at) {
			if ok, err := doublestar.Match(glob, at); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// counted is a file whose change counts.
type counted struct {
	path string // in the tree
	mode uint32
	hash plumbing.Hash
}

// hash gives the git hash of what counts at p.
func (t *Tree) hash(p string, r Reading) (plumbing.Hash, error) {
	if t.IsLocal() {
		return t.localHash(p, r)
	}
	e, err := t.lookup(p)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if e.mode != modeDir {
		return e.hash, nil
	}
	entries, err := readTree(t.objects, e.hash)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if ignore, ok := find(entries, flycdIgnore); !ok || !isRegular(ignore.mode) {
		return e.hash, nil
	}
	files, err := t.files(p, r)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return fold2tree(p, files), nil
}

// files lists what counts below p, .flycdignore of p applied, in the order of paths.
func (t *Tree) files(p string, r Reading) ([]counted, error) {
	var out []counted
	var err error
	if t.IsLocal() {
		out, err = t.localFiles(p, r)
	} else {
		out, err = t.gitFiles(p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].path < out[j].path })
	return out, err
}

func (t *Tree) gitFiles(p string) ([]counted, error) {
	e, err := t.lookup(p)
	if err != nil {
		return nil, err
	}
	entries, err := readTree(t.objects, e.hash)
	if err != nil {
		return nil, err
	}
	g := &gitLister{tree: t}
	if g.ignore, err = t.flycdRules(p); err != nil {
		return nil, err
	}
	if err := g.list(p, entries); err != nil {
		return nil, err
	}
	return g.out, nil
}

type gitLister struct {
	tree   *Tree
	ignore rules
	out    []counted
	seen   int
}

func (g *gitLister) list(dir string, entries []treeEntry) error {
	if len(split(dir)) > g.tree.limits.Depth {
		return job.Rejectf("folder %.60s… is nested deeper than the limit of %d", dir, g.tree.limits.Depth)
	}
	for _, e := range entries {
		p := path.Join(dir, e.name)
		if g.seen++; g.seen > g.tree.limits.Files {
			return job.Rejectf("the tree has more than %d files and folders", g.tree.limits.Files)
		}
		if g.ignore.judge(split(p), e.mode == modeDir) == excluded {
			continue
		}
		if e.mode != modeDir {
			g.out = append(g.out, counted{p, e.mode, e.hash})
			continue
		}
		below, err := readTree(g.tree.objects, e.hash)
		if err != nil {
			return err
		}
		if err := g.list(p, below); err != nil {
			return err
		}
	}
	return nil
}

// localHash gives the hash that git would give the files on disk.
func (t *Tree) localHash(p string, r Reading) (plumbing.Hash, error) {
	fsys, err := t.FS()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	info, err := fs.Stat(fsys, or(p, "."))
	if err != nil {
		return plumbing.ZeroHash, t.localMissing(fsys, p, err)
	}
	if !info.IsDir() {
		return hashFile(fsys, localFile{p, info}, t.limits)
	}
	files, err := t.localFiles(p, r)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return fold2tree(p, files), nil
}

func (t *Tree) localMissing(fsys fs.FS, p string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return job.Rejectf("%s in %s cannot be read: %w", p, t.Dir, err)
	}
	var names []string
	entries, _ := fs.ReadDir(fsys, path.Dir(p)) // no folder, no names to suggest
	for _, e := range entries {
		names = append(names, path.Join(path.Dir(p), e.Name()))
	}
	return t.notThere(p, nearest(p, names))
}

func (t *Tree) localFiles(p string, r Reading) ([]counted, error) {
	fsys, err := t.FS()
	if err != nil {
		return nil, err
	}
	docker, err := r.dockerRules(fsys, p)
	if err != nil {
		return nil, err
	}
	ignore, err := t.flycdRules(p)
	if err != nil {
		return nil, err
	}
	var out []counted
	// a digest is asked for without a context: it reads the disk and ends
	err = t.limits.walk(context.Background(), fsys, p, func(f localFile) error {
		verdict := ignore.judgeBelow(p, f.path)
		if verdict == excluded || verdict == silent && docker.excludes(below(f.path, p)) {
			return nil
		}
		h, err := hashFile(fsys, f, t.limits)
		if err != nil {
			return err
		}
		out = append(out, counted{f.path, modeOf(f.info), h})
		return nil
	})
	return out, err
}

// below gives p relative to the folder dir that it lies in.
func below(p, dir string) string {
	return strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
}

func modeOf(info fs.FileInfo) uint32 {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return modeSymlink
	case info.Mode()&0o100 != 0:
		return modeExec
	}
	return modeFile
}

// hashFile gives the git hash of a file's content, or of a symlink's target.
func hashFile(fsys fs.FS, f localFile, limits Limits) (plumbing.Hash, error) {
	if f.info.Mode()&fs.ModeSymlink != 0 {
		target, err := fs.ReadLink(fsys, f.path)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read symlink %s: %w", f.path, err)
		}
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(target)), nil
	}
	if f.info.Size() > limits.FileBytes {
		return plumbing.ZeroHash, job.Reject(tooMuch("file "+f.path, limits.FileBytes))
	}
	in, err := fsys.Open(f.path)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", f.path, err)
	}
	defer in.Close()
	h := plumbing.NewHasher(plumbing.BlobObject, f.info.Size())
	n, err := io.Copy(h, in)
	if err == nil && n != f.info.Size() {
		err = errors.New("it changed while it was read")
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", f.path, err)
	}
	return h.Sum(), nil
}
