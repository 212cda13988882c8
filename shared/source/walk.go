package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	git "github.com/go-git/go-git/v5"

	"github.com/gigurra/flycd/shared/job"
)

// walker lists the files of a folder on disk that git would take: those that no .gitignore
// excludes. .flycdignore of the folder that is walked may bring files back.
type walker struct {
	fsys   fs.FS
	base   string // of the walk, in fsys
	limits Limits
	flycd  rules
	visit  func(localFile) error
	count  int
	bytes  int64
}

// localFile is one file or symlink that the walk found.
type localFile struct {
	path string // in the tree
	info fs.FileInfo
}

// walk visits the files below base in a stable order.
func (l Limits) walk(ctx context.Context, fsys fs.FS, base string, visit func(localFile) error) error {
	w := &walker{fsys: fsys, base: base, limits: l, visit: visit}
	w.flycd = parseRules(readIgnore(fsys, path.Join(base, flycdIgnore)), split(base))
	// the rules of the folders above hold here as well
	var inherited rules
	dir := ""
	for _, part := range split(base) {
		inherited = append(inherited, parseRules(readIgnore(fsys, path.Join(dir, gitIgnore)), split(dir))...)
		dir = path.Join(dir, part)
	}
	return w.folder(ctx, base, inherited)
}

func (w *walker) folder(ctx context.Context, dir string, inherited rules) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if len(split(dir)) > w.limits.Depth {
		return job.Rejectf("folder %s is nested deeper than the limit of %d", dir, w.limits.Depth)
	}
	entries, err := fs.ReadDir(w.fsys, or(dir, "."))
	if err != nil {
		return fmt.Errorf("read folder %s: %w", orRoot(dir), err)
	}
	own := parseRules(readIgnore(w.fsys, path.Join(dir, gitIgnore)), split(dir))
	all := append(inherited[:len(inherited):len(inherited)], own...)
	for _, e := range entries {
		if err := w.entry(ctx, path.Join(dir, e.Name()), e, all); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(ctx context.Context, p string, e fs.DirEntry, all rules) error {
	if isGitDir(e.Name()) {
		return nil
	}
	parts := split(p)
	if w.flycd.judge(parts, e.IsDir()) != included && all.judge(parts, e.IsDir()) == excluded {
		return nil
	}
	if w.count++; w.count > w.limits.Files {
		return job.Rejectf("the folder has more than %d files: raise the limit, or exclude some in %s", w.limits.Files, gitIgnore)
	}
	if e.IsDir() {
		return w.folder(ctx, p, all)
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went away while we looked
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", p, err)
	}
	switch {
	case info.Mode().IsRegular():
		if w.bytes += info.Size(); w.bytes > w.limits.Bytes {
			return job.Reject(tooMuch("folder", w.limits.Bytes))
		}
		if info.Size() > w.limits.FileBytes {
			return job.Reject(tooMuch("file "+p, w.limits.FileBytes))
		}
	case info.Mode()&fs.ModeSymlink == 0:
		return nil // sockets, pipes and devices are nothing that git or a build would take
	}
	return w.visit(localFile{p, info})
}

// Local gives the tree of a folder on this machine as it is now: its root is the enclosing git work
// tree, else the folder itself, and Path leads from the root to path (a folder or a file). Nothing is
// copied, and nothing is written into the folder, ever.
func (c *Client) Local(_ context.Context, dir string) (*Tree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find folder %s: %w", dir, err)
	}
	abs, err = filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, job.Rejectf("%s does not exist", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("find folder %s: %w", dir, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, fmt.Errorf("find folder %s: %w", dir, err)
	}
	start := abs
	if !info.IsDir() {
		start = filepath.Dir(abs)
	}
	root := workTree(start)
	rel, err := filepath.Rel(root, abs)
	if err != nil {
		return nil, fmt.Errorf("find folder %s: %w", dir, err)
	}
	clean, err := cleanPath(filepath.ToSlash(rel))
	if err != nil {
		return nil, err
	}
	return &Tree{Dir: root, Path: clean, Origin: originOf(root), repo: root, limits: c.Limits.withDefaults()}, nil
}

// originOf gives the URL of a work tree's remote "origin", empty where there is none or it cannot be
// read: a folder can be deployed without.
func originOf(root string) string {
	repo, err := git.PlainOpenWithOptions(root, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return ""
	}
	cfg, err := repo.Config()
	if err != nil || cfg.Remotes["origin"] == nil || len(cfg.Remotes["origin"].URLs) == 0 {
		return ""
	}
	r, err := parseRepo(cfg.Remotes["origin"].URLs[0])
	if err != nil {
		return ""
	}
	return r.String()
}

// workTree gives the nearest folder at or above dir that holds .git, else dir.
func workTree(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if filepath.Dir(at) == at {
			return dir
		}
	}
}
