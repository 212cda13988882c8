package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// ContextSpec says what a build reads.
type ContextSpec struct {
	// Source and Path are the app's source: a tree and the folder in it. Nil means that there is
	// none, as with an inline Dockerfile.
	Source *Tree
	Path   string
	// Config and ConfigPath are the folder of the app's manifest; Merge says which of its files are
	// copied over the source.
	Config     *Tree
	ConfigPath string
	Merge      manifest.MergeCfg
	// Inline is the text of a Dockerfile that takes the place of the source's.
	Inline string
}

// Context is a folder of its own for one build. The caller closes it.
type Context struct {
	// Dir is the folder on disk.
	Dir  string
	temp *tempDir
}

// Close removes the folder. Closing again does nothing.
func (c *Context) Close() error { return c.temp.Close() }

// Context makes the folder that a build reads: the source's files, over them the merged files of
// the config folder, over those the inline Dockerfile. Where none of them brings a .dockerignore, it
// is the source's .gitignore, as FlyCD has always done it.
//
// What the source's .flycdignore excludes is left out, as it is from the digest: two commits of one digest give one
// folder, so the image of one stands for the other. A Dockerfile that it excludes is not there.
//
// A git-lfs pointer in the place of a file, a submodule, a symlink out of the source and a merged file that does not
// exist are rejected.
func (c *Client) Context(ctx context.Context, spec ContextSpec) (_ *Context, err error) {
	temp, err := c.tempDir()
	if err != nil {
		return nil, err
	}
	out := &Context{Dir: filepath.Join(temp.path, "context"), temp: temp}
	defer func() {
		if err != nil {
			_ = temp.Close()
		}
	}()
	if err := os.Mkdir(out.Dir, 0o755); err != nil { //nolint:gosec // images keep the modes of their context
		return nil, fmt.Errorf("make folder for build: %w", err)
	}
	root, err := os.OpenRoot(out.Dir)
	if err != nil {
		return nil, fmt.Errorf("open folder for build: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing is buffered
	if err := root.Chmod(".", 0o755); err != nil {
		return nil, fmt.Errorf("make folder for build: %w", err)
	}
	b := &copier{ctx: ctx, to: root, limits: c.Limits.withDefaults(), opened: map[string]bool{}}
	if err := b.build(spec); err != nil {
		return nil, err
	}
	return out, nil
}

// copier writes a build's folder.
type copier struct {
	ctx    context.Context //nolint:containedctx // of the one call that it serves
	to     *os.Root
	limits Limits
	bytes  int64
	count  int
	links  []string
	// opened are the folders that have their mode.
	opened map[string]bool
}

func (b *copier) build(spec ContextSpec) error {
	if spec.Source != nil {
		if err := b.source(spec.Source, spec.Path); err != nil {
			return err
		}
	}
	if spec.Config != nil {
		if err := b.merge(spec); err != nil {
			return fmt.Errorf("merge_cfg: %w", err)
		}
	}
	if spec.Inline != "" {
		if err := b.put("Dockerfile", 0o644, strings.NewReader(spec.Inline)); err != nil {
			return err
		}
	}
	for _, l := range b.links {
		if leaves(b.to, l) {
			return job.Rejectf("symlink %s leads out of the folder that is built", l)
		}
	}
	return b.ensureIgnore()
}

// source copies the app's files.
func (b *copier) source(t *Tree, p string) error {
	clean, err := cleanPath(p)
	if err != nil {
		return err
	}
	fsys, err := t.FS()
	if err != nil {
		return err
	}
	info, err := fs.Stat(fsys, or(clean, "."))
	if err != nil {
		return t.localMissing(fsys, clean, err)
	}
	if !info.IsDir() {
		return job.Rejectf("source.path %q is a file, expected a folder", clean)
	}
	ignore, err := t.flycdRules(clean)
	if err != nil {
		return err
	}
	if err := t.usable(clean, ignore); err != nil {
		return err
	}
	return b.tree(t, clean, func(rel string) bool {
		return ignore.judgeBelow(clean, path.Join(clean, rel)) != excluded
	})
}

// usable refuses what a build would take for content although it is none.
func (t *Tree) usable(dir string, ignore rules) error {
	used := func(p string) bool { return within(p, dir) && ignore.judgeBelow(dir, p) != excluded }
	for _, p := range t.Pointers {
		if used(p) {
			return job.Rejectf("%s is a git-lfs pointer: FlyCD does not fetch git-lfs content, keep the file in git or fetch it in the Dockerfile", p)
		}
	}
	for _, p := range t.Modules {
		if used(p) {
			return job.Rejectf("%s is a git submodule: FlyCD does not fetch submodules, copy its files into the repository", p)
		}
	}
	return nil
}

// tree copies the files of a folder of t that keep allows, by their path below the folder.
func (b *copier) tree(t *Tree, dir string, keep func(rel string) bool) error {
	fsys, err := t.FS()
	if err != nil {
		return err
	}
	each := func(f localFile) error {
		rel := below(f.path, dir)
		if !keep(rel) {
			return nil
		}
		return b.copy(fsys, f, rel)
	}
	if t.IsLocal() {
		return b.limits.walk(b.ctx, fsys, dir, each)
	}
	return walkAll(fsys, dir, each)
}

// walkAll visits all files of a fetched tree: what is in a commit is not ignored.
func walkAll(fsys fs.FS, dir string, visit func(localFile) error) error {
	return fs.WalkDir(fsys, or(dir, "."), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return visit(localFile{p, info})
	})
}

func (b *copier) copy(fsys fs.FS, f localFile, rel string) error {
	if err := b.ctx.Err(); err != nil {
		return context.Cause(b.ctx)
	}
	if f.info.Mode()&fs.ModeSymlink != 0 {
		target, err := fs.ReadLink(fsys, f.path)
		if err != nil {
			return fmt.Errorf("read symlink %s: %w", f.path, err)
		}
		if err := b.clear(rel); err != nil {
			return err
		}
		b.links = append(b.links, rel)
		if err := b.to.Symlink(target, rel); err != nil {
			return fmt.Errorf("make symlink %s: %w", rel, err)
		}
		return nil
	}
	in, err := fsys.Open(f.path)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	defer in.Close()
	mode := fs.FileMode(0o644)
	if f.info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return b.put(rel, mode, in)
}

// clear makes place for a file: its folders, and nothing of an earlier layer under its name.
func (b *copier) clear(rel string) error {
	if b.count++; b.count > b.limits.Files {
		return job.Rejectf("the build has more than %d files: exclude some in %s", b.limits.Files, gitIgnore)
	}
	if dir := path.Dir(rel); dir != "." {
		if err := b.to.MkdirAll(dir, 0o755); err != nil {
			return job.Rejectf("%s cannot be written: a file or symlink is in the place of its folder: %w", rel, err)
		}
		if err := b.open(dir); err != nil {
			return err
		}
	}
	if err := b.to.RemoveAll(rel); err != nil {
		return fmt.Errorf("replace %s: %w", rel, err)
	}
	return nil
}

// open gives a folder and those above it their mode whatever the process's umask is: an image has the modes of what it is
// built from, and is to be the same wherever that is.
func (b *copier) open(dir string) error {
	for ; dir != "." && !b.opened[dir]; dir = path.Dir(dir) {
		if err := b.to.Chmod(dir, 0o755); err != nil {
			return fmt.Errorf("make folder %s: %w", dir, err)
		}
		b.opened[dir] = true
	}
	return nil
}

func (b *copier) put(rel string, mode fs.FileMode, in io.Reader) (err error) {
	if err := b.clear(rel); err != nil {
		return err
	}
	out, err := b.to.OpenFile(rel, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", rel, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	left := b.limits.Bytes - b.bytes
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	b.bytes += n
	if err == nil {
		err = out.Chmod(mode)
	}
	switch {
	case err != nil:
		return fmt.Errorf("write %s: %w", rel, err)
	case n > left:
		return job.Reject(tooMuch("build", b.limits.Bytes))
	}
	return nil
}

// ensureIgnore writes a .dockerignore where there is none: the .gitignore, else an empty one.
func (b *copier) ensureIgnore() error {
	if _, err := b.to.Lstat(dockerIgnore); err == nil {
		return nil
	}
	text := readIgnore(b.to.FS(), gitIgnore)
	return b.put(dockerIgnore, 0o644, strings.NewReader(string(text)))
}
