package manifest

import (
	"io/fs"
	"path"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"
)

// reader reads one tree.
type reader struct {
	opts     Options
	lim      Limits
	codec    *codec
	app      setter
	project  setter
	root     *repository
	repos    map[repoKey]*repository
	tree     Tree
	problems Problems
	projects map[string]manifestFile
	apps     map[string]place
	// places are all apps that were found, in the order of the walk.
	places  []place
	clashes map[string]bool
	// depends are the places of depends_on, by app.
	depends map[string]Problem
	entries counter
}

type repoKey struct {
	repo string
	ref  Ref
}

// repository is one tree of files.
type repository struct {
	url     string
	ref     Ref
	fsys    fs.FS
	folders map[string]*folder
}

// manifestFile is one file of one repository.
type manifestFile struct {
	repo *repository
	path string
}

func (f manifestFile) dir() string { return path.Dir(f.path) }

// String names the file for a sentence.
func (f manifestFile) String() string {
	if f.repo.url == "" {
		return f.path
	}
	return f.repo.shown() + " " + f.path
}

func newReader(fsys fs.FS, opts Options) *reader {
	c := newCodec(reflect.TypeFor[App](), reflect.TypeFor[Project]())
	r := &reader{
		opts: opts, lim: opts.Limits.orDefault(), codec: c,
		app:      setStruct(c.plan(reflect.TypeFor[App]()), ""),
		project:  setStruct(c.plan(reflect.TypeFor[Project]()), ""),
		root:     &repository{fsys: fsys, folders: map[string]*folder{}},
		repos:    map[repoKey]*repository{},
		projects: map[string]manifestFile{},
		apps:     map[string]place{},
		clashes:  map[string]bool{},
		depends:  map[string]Problem{},
	}
	r.entries.most = int64(r.lim.Files)
	return r
}

func (l Limits) orDefault() Limits {
	if l.FileBytes <= 0 {
		l.FileBytes = 1 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Aliases <= 0 {
		l.Aliases = 1000
	}
	if l.Files <= 0 {
		l.Files = 100_000
	}
	return l
}

func (r *reader) read(name string) (Tree, error) {
	w := walk{repo: r.root, common: &common{}, done: map[manifestFile]bool{}}
	if f, ok := r.start(w, name); ok {
		if len(f.apps) == 0 && f.flyTOML != "" {
			f.apps = []string{f.flyTOML}
		}
		r.visit(w, f)
	}
	r.dropClashes()
	r.disown()
	r.checkOrder()
	slices.Sort(r.tree.Folders)
	r.tree.Folders = slices.Compact(r.tree.Folders)
	if len(r.problems) == 0 {
		return r.tree, nil
	}
	return r.tree, r.problems.settled()
}

// start finds what the caller named: a folder or one manifest.
func (r *reader) start(w walk, name string) (*folder, bool) {
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		r.problems = append(r.problems, Problem{File: name, Text: "leaves the tree; name a folder or a manifest inside it", Hides: true})
		return nil, false
	}
	if p := linkIn(w.repo.fsys, name); p != "" {
		r.problems = append(r.problems, Problem{File: p, Text: "is a symbolic link, which is not followed; name the folder itself", Hides: true})
		return nil, false
	}
	info, err := fs.Stat(w.repo.fsys, name)
	switch {
	case err != nil:
		r.problems = append(r.problems, Problem{File: name, Text: "does not exist; name a folder or a manifest", Hides: true})
		return nil, false
	case !info.IsDir():
		return r.startFile(w.repo, name)
	}
	return r.list(w.repo, name), true
}

// startFile makes a folder that holds nothing but the named manifest.
func (r *reader) startFile(repo *repository, name string) (*folder, bool) {
	f := &folder{repo: repo, dir: path.Dir(name)}
	switch base := path.Base(name); {
	case base == "project.yaml" || base == "project.toml":
		f.projects = []string{name}
	case extension(base) != "":
		f.apps = []string{name}
	default:
		r.problems = append(r.problems, Problem{File: name, Text: "is not a manifest; name a folder, or a file that ends in .yaml or .toml", Hides: true})
		return nil, false
	}
	return f, true
}

// position gives a node's place, which is the start of the file for what has none.
func position(n *yaml.Node) (line, column int) {
	if n == nil || n.Line == 0 {
		return 1, 1
	}
	return n.Line, n.Column
}
