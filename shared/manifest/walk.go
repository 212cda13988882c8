package manifest

import (
	"io/fs"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
)

// folder is what a walk saw of one folder.
type folder struct {
	repo     *repository
	dir      string
	apps     []string
	projects []string
	flyTOML  string
	children []*folder
	problems []Problem
}

// walk is the reading of one folder tree under the projects that lead to it.
type walk struct {
	repo   *repository
	common *common
	depth  int
	// scope names the project through which the walk came into a repository of another owner; empty in the tree's own.
	scope string
	// includes are the repositories through which it came.
	includes []RepoRef
	// done holds the manifests that were visited below this walk.
	done map[manifestFile]bool
}

// counter bounds what is seen; it is safe for concurrent use.
type counter struct {
	seen atomic.Int64
	most int64
}

// add reports whether n more are still within the bound.
func (c *counter) add(n int) bool { return c.seen.Add(int64(n)) <= c.most }

// over reports whether the bound was passed by this addition.
func (c *counter) over() bool { return c.seen.Load() > c.most }

// list walks a folder once; later walks of the same repository find what it saw.
func (r *reader) list(repo *repository, dir string) *folder {
	if f, ok := repo.folders[dir]; ok {
		return f
	}
	l := lister{repo: repo, entries: &r.entries, spare: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
	f := &folder{repo: repo, dir: dir}
	l.fill(f)
	l.others.Wait()
	if r.entries.over() {
		f.problems = append(f.problems, tooMany(f.dir, r.entries.most))
	}
	f.remember()
	return f
}

func (f *folder) remember() {
	f.repo.folders[f.dir] = f
	for _, child := range f.children {
		child.remember()
	}
}

// lister reads folders, in parallel where there is a processor to spare. What it finds does not
// depend on that.
type lister struct {
	repo    *repository
	entries *counter
	spare   chan struct{}
	others  sync.WaitGroup
}

func (l *lister) fill(f *folder) {
	entries, err := fs.ReadDir(l.repo.fsys, f.dir)
	if err != nil {
		f.problems = append(f.problems, Problem{File: f.dir, Text: "cannot be read: " + reason(err), Hides: true})
	}
	if !l.entries.add(len(entries)) {
		return
	}
	for _, e := range entries {
		f.sort(e)
	}
	f.onlyProjects()
	for _, child := range f.children {
		select {
		case l.spare <- struct{}{}:
			l.others.Add(1)
			go func() {
				defer l.others.Done()
				l.fill(child)
				<-l.spare
			}()
		default:
			l.fill(child)
		}
	}
}

// sort puts one entry of a folder where it belongs.
func (f *folder) sort(e fs.DirEntry) {
	name := path.Join(f.dir, e.Name())
	switch e.Name() {
	case "app.yaml", "app.toml", "project.yaml", "project.toml", "fly.toml":
		f.manifest(e, name)
		return
	case ".git", ".actions", ".idea", ".vscode":
		return
	}
	if e.IsDir() {
		f.children = append(f.children, &folder{repo: f.repo, dir: name})
	}
}

func (f *folder) manifest(e fs.DirEntry, name string) {
	switch {
	case e.IsDir():
		f.children = append(f.children, &folder{repo: f.repo, dir: name})
	case !e.Type().IsRegular() && e.Name() != "fly.toml":
		f.problems = append(f.problems, Problem{File: name, Text: "is not a plain file (symbolic links are not followed); put the file itself here", Hides: true})
	case e.Name() == "fly.toml":
		f.flyTOML = name
	case e.Name() == "app.yaml" || e.Name() == "app.toml":
		f.apps = append(f.apps, name)
	default:
		f.projects = append(f.projects, name)
	}
}

// onlyProjects descends into nothing but a projects folder, where there is one.
func (f *folder) onlyProjects() {
	for _, child := range f.children {
		if path.Base(child.dir) == "projects" {
			f.children = []*folder{child}
			return
		}
	}
}

func tooMany(dir string, most int64) Problem {
	return Problem{File: dir, Text: "has too many files: a tree may hold at most " + itoa(most) + "; point at a smaller folder or raise the limit", Hides: true}
}

// linkIn gives the first part of a path that is a symbolic link, or "".
func linkIn(fsys fs.FS, name string) string {
	links, ok := fsys.(fs.ReadLinkFS)
	if !ok {
		return ""
	}
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		if info, err := links.Lstat(name[:i]); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return name[:i]
		}
	}
	return ""
}
