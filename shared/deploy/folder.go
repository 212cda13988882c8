package deploy

import (
	"context"
	"errors"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// Folder is a config tree on this machine that was read once, for the deploys of all its apps: a
// thousand apps of one folder are read once and not a thousand times. It is safe to share, and must
// stay open until the last deploy that was given it has ended.
type Folder struct {
	// Tree is what the manifests say. Where a repository of a project could not be opened, that is one
	// of the Problems.
	manifest.Tree
	// Problems are what is wrong with single apps and projects; the others are sound.
	Problems manifest.Problems
	// Dir is the folder that the files of the Tree are named from: the root of the enclosing work tree.
	Dir string

	path  string
	trees *trees
}

// Path is the absolute path that was read: what a job names as its config tree.
func (f *Folder) Path() string { return f.path }

// OpenFolder reads the manifests at dir, an app's folder, a file or a tree of them, and what the
// projects in it point to. The error says that dir is not there or cannot be read.
func OpenFolder(ctx context.Context, client *source.Client, dir string, opts manifest.Options) (*Folder, error) {
	t := &trees{client: client}
	read, problems, err := t.read(ctx, job.Config{Repo: dir}, source.Commit{}, opts)
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	return &Folder{Tree: read, Problems: problems, Dir: t.open[0].Dir, path: dir, trees: t}, nil
}

// Close lets go of what was read.
func (f *Folder) Close() error { return f.trees.Close() }

// readTree gives the config tree: the one that the request brings, else one that is fetched now.
func (w *work) readTree(ctx context.Context) (manifest.Tree, manifest.Problems, error) {
	w.trees = &trees{client: w.Source}
	if f := w.req.Folder; f != nil {
		w.trees.lent = f.trees.open
		return f.Tree, f.Problems, nil
	}
	read, problems, err := w.trees.read(ctx, w.tree, w.configAt, w.Manifest)
	if !w.remembered || !errors.Is(err, source.ErrAbsent) {
		return read, problems, err
	}
	if w.configAt, err = resolveTree(ctx, w.Source, w.tree); err != nil {
		return manifest.Tree{}, nil, err
	}
	return w.trees.read(ctx, w.tree, w.configAt, w.Manifest)
}
