package manifest

import (
	"io/fs"

	"gopkg.in/yaml.v3"
)

// Limits bound what a tree may make a reader do. The zero value of a field means its default.
type Limits struct {
	// FileBytes is the most that one manifest may hold; default 1 MiB.
	FileBytes int64
	// Depth is the deepest nesting of values and of projects; default 64.
	Depth int
	// Aliases is the most YAML aliases that one file may use; default 1,000.
	Aliases int
	// Files is the most entries that one walk may see; default 100,000.
	Files int
}

// Options say how a tree is read.
type Options struct {
	// Lenient turns unknown keys into warnings.
	Lenient bool
	Limits  Limits
	// Repo is the address of the repository that is read, where it is known. A project whose git
	// source names it without a ref is then read from the tree at hand instead of being opened.
	Repo string
	// Org is the slug of the organisation that apps are created in which name none; empty means personal.
	Org string
	// Repos opens the git repositories that project.yaml files point to. Nil leaves such
	// projects out and lists them in Tree.Unread.
	Repos Opener
}

// Opener gives the files of another repository. An error that it returns becomes a problem of the
// project that asked.
type Opener interface {
	Open(repo string, ref Ref) (fs.FS, error)
}

// Entry is one app of a tree.
type Entry struct {
	App *App
	// Repo is the repository that the manifest lies in; empty means the one that Read was given.
	Repo string
	// Ref is the ref at which that repository was asked for.
	Ref Ref
	// File is the manifest's path in that repository; Dir is its folder.
	File, Dir string
	// FS holds the repository's files, for local sources, merge_cfg and local_path.
	FS fs.FS
	// Includes are the repositories through which the manifest was reached, outermost first; none where it lies in
	// the one that Read was given.
	Includes []RepoRef
	// Foreign reports whether one of them has another owner than the repository that Read was given.
	Foreign bool
	// Projects are the names of the enclosing projects, outermost first.
	Projects []string
	// Node is the effective manifest after merging, with every key that was written, each with its line
	// and column, and without comments. It holds no aliases, and no values of raw secrets.
	Node *yaml.Node
}

// RepoRef is a repository that a tree needs.
type RepoRef struct {
	Repo string
	Ref  Ref
	// By names the app or the project that needs it.
	By string
	// Project reports whether a project.yaml points to it.
	Project bool
}

// Tree is what a folder of manifests says.
type Tree struct {
	// Apps are in the order of the walk, which is the same on every machine.
	Apps []Entry
	// Folders are the further folders of the repository that was read in which projects had the walk begin, sorted.
	Folders []string
	// Repos are the repositories that the tree needs, in a stable order.
	Repos []RepoRef
	// Unread are the repositories that Options.Repos could not be asked for.
	Unread []RepoRef
	// Warnings never make an app unusable.
	Warnings []Problem
}

// Read walks the folder, or the one manifest, at path inside fsys and gives the apps it finds.
//
// The error, where there is one, is a Problems: everything that is wrong with the tree at once, in
// a stable order. The tree then holds the apps that are sound, so that one person's mistake stops
// nobody else; Problems.HideApps says whether something was unreadable that may hide further apps, in
// which case nothing may be concluded from an app's absence.
func Read(fsys fs.FS, path string, opts Options) (Tree, error) {
	return newReader(fsys, opts).read(path)
}
