package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// mostRepos is how many repositories one config tree may point to.
const mostRepos = 100

// trees are the checked-out repositories of one deploy or sync: the config tree's own, those that its
// projects point to, and the app's source.
type trees struct {
	client *source.Client
	open   []*source.Tree
	// lent are trees of a Folder: somebody else closes them.
	lent []*source.Tree
	// pin is a push to a repository that a project may point to: the commit that it names is the one that is read.
	pin job.Half
	// commits are those at which projects' repositories were read.
	commits map[catalog.Include]string
	// sight is what the reading depended on.
	sight sight
	// broken is the first error of a project's repository that may pass.
	broken error
}

// read fetches the config tree and reads every app of it. Problems are what is wrong with single apps
// and projects; the error is for what could not be fetched.
func (t *trees) read(ctx context.Context, tree job.Config, at source.Commit, opts manifest.Options) (manifest.Tree, manifest.Problems, error) {
	root, err := t.root(ctx, tree, at)
	if err != nil {
		return manifest.Tree{}, nil, fmt.Errorf("fetch config tree %s: %w", tree.ID(), err)
	}
	fsys, err := root.FS()
	if err != nil {
		return manifest.Tree{}, nil, err
	}
	opts.Repos = opener(func(repo string, ref manifest.Ref) (fs.FS, error) { return t.project(ctx, repo, ref) })
	opts.Repo = tree.Repo
	if isFolder(tree.Repo) {
		opts.Repo = root.Origin
	}
	read, err := manifest.Read(fsys, path.Join(".", root.Path, tree.Path), opts)
	var problems manifest.Problems
	if err != nil && !errors.As(err, &problems) {
		return manifest.Tree{}, nil, job.Reject(fmt.Errorf("read config tree %s: %w", tree.ID(), err))
	}
	if !isFolder(tree.Repo) {
		t.sight = t.look(root, tree, read)
	}
	// what may pass is no mistake of the project's
	return read, problems, errors.Join(interrupted(ctx), t.broken)
}

// root opens the config tree: a commit, or a folder as it is now.
func (t *trees) root(ctx context.Context, tree job.Config, at source.Commit) (*source.Tree, error) {
	if isFolder(tree.Repo) {
		return t.keep(t.client.Local(ctx, tree.Repo))
	}
	return t.keep(t.client.Fetch(ctx, tree.Repo, at))
}

// project opens a repository that a project.yaml points to.
func (t *trees) project(ctx context.Context, repo string, ref manifest.Ref) (fs.FS, error) {
	if len(t.open) > mostRepos {
		return nil, job.Rejectf("the tree points to more than %d repositories", mostRepos)
	}
	at, err := t.commitOf(ctx, repo, ref)
	if err != nil {
		return nil, t.note(err)
	}
	tree, err := t.keep(t.client.Fetch(ctx, repo, at))
	if err != nil {
		return nil, t.note(err)
	}
	if t.commits == nil {
		t.commits = map[catalog.Include]string{}
	}
	t.commits[catalog.Include{Repo: withoutLogin(repo), Ref: fullRef(ref)}] = at.Hash
	return tree.FS()
}

// commitOf is what a push said of the repository at that ref, else what the forge says.
func (t *trees) commitOf(ctx context.Context, repo string, ref manifest.Ref) (source.Commit, error) {
	p := t.pin
	same := p.Commit != "" && p.Side == job.ConfigSide && job.RepoKey(p.Repo) == job.RepoKey(repo) && ref.Commit == "" && ref.Semver == ""
	if same && (ref == (manifest.Ref{}) && p.Default || fullRef(ref) != "" && shortRef(fullRef(ref)) == shortRef(p.Ref)) {
		return source.Commit{Hash: p.Commit, Ref: p.Ref}, nil
	}
	return t.client.Resolve(ctx, repo, ref)
}

func (t *trees) note(err error) error {
	if t.broken == nil && !errors.Is(err, job.ErrRejected) {
		t.broken = fmt.Errorf("open a project's repository: %w", err)
	}
	return err
}

func (t *trees) keep(tree *source.Tree, err error) (*source.Tree, error) {
	if err == nil {
		t.open = append(t.open, tree)
	}
	return tree, err
}

// of gives the repository that an app's manifest lies in.
func (t *trees) of(e manifest.Entry) (*source.Tree, error) {
	for _, tree := range slices.Concat(t.open, t.lent) {
		if fsys, err := tree.FS(); err == nil && fsys == e.FS {
			return tree, nil
		}
	}
	return nil, fmt.Errorf("find the repository of %s: it is not open", e.File)
}

// Close removes what was fetched.
func (t *trees) Close() error {
	var errs []error
	for _, tree := range t.open {
		errs = append(errs, tree.Close())
	}
	t.open = nil
	return errors.Join(errs...)
}

// opener opens the repositories of projects while one tree is read.
type opener func(repo string, ref manifest.Ref) (fs.FS, error)

// Open implements manifest.Opener.
func (o opener) Open(repo string, ref manifest.Ref) (fs.FS, error) { return o(repo, ref) }
