package manifest

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// visit reads what a walk found: the projects first, so that an app which is reachable through an
// inner project gets that project's settings too, then the apps that no project has visited.
func (r *reader) visit(w walk, f *folder) {
	var apps, projects []manifestFile
	r.collect(w, f, &apps, &projects)
	for _, p := range projects {
		if !w.done[p] {
			r.visitProject(w, p)
		}
	}
	apps = slices.DeleteFunc(apps, func(f manifestFile) bool { return w.done[f] })
	results := make([]appResult, len(apps))
	inParallel(len(apps), func(i int) { results[i] = r.readApp(w, apps[i]) })
	r.tree.Apps = slices.Grow(r.tree.Apps, len(apps))
	for i, res := range results {
		w.done[apps[i]] = true
		r.accept(w, apps[i], res)
	}
}

// collect lists the manifests of a folder tree in the order of the walk, and takes over its problems.
func (r *reader) collect(w walk, f *folder, apps, projects *[]manifestFile) {
	for _, p := range f.problems {
		r.problems = append(r.problems, f.repo.owned(p))
	}
	found := f.apps
	switch {
	case len(found) == 2:
		p := Problem{File: found[0], Line: 1, Column: 1, Hides: true, Text: "and " + found[1] + " stand in one folder; keep one of them"}
		r.problems = append(r.problems, f.repo.owned(p))
		found = nil
	case f.flyTOML != "" && len(found) == 1 && found[0] != f.flyTOML:
		p := Problem{File: f.flyTOML, Text: "is left out, because " + found[0] + " beside it wins; delete it when it is no longer needed"}
		r.tree.Warnings = append(r.tree.Warnings, f.repo.owned(p))
	case len(found) == 0 && f.flyTOML != "" && w.common.discoverFly:
		found = []string{f.flyTOML}
	}
	for _, name := range found {
		*apps = append(*apps, manifestFile{f.repo, name})
	}
	if len(f.projects) == 2 {
		p := Problem{File: f.projects[0], Line: 1, Column: 1, Hides: true, Text: "and " + f.projects[1] + " stand in one folder; keep one of them"}
		r.problems = append(r.problems, f.repo.owned(p))
	} else {
		for _, name := range f.projects {
			*projects = append(*projects, manifestFile{f.repo, name})
		}
	}
	for _, child := range f.children {
		r.collect(w, child, apps, projects)
	}
}

func (repo *repository) owned(p Problem) Problem {
	p.Repo = repo.shown()
	return p
}

// accept takes over what came of one app.
func (r *reader) accept(w walk, f manifestFile, res appResult) {
	at := place{manifestFile: f, foreign: w.foreign(), refused: res.refused, name: res.name, first: len(r.problems)}
	r.problems = append(r.problems, res.problems...)
	r.tree.Warnings = append(r.tree.Warnings, res.warnings...)
	if res.name == "" {
		return
	}
	at.last = len(r.problems)
	at.line, at.column = position(res.nameNode)
	r.places = append(r.places, at)
	if at.refused {
		return
	}
	first, known := r.apps[res.name]
	switch {
	case !known:
		r.take(at, res)
	case first.foreign && !at.foreign:
		r.dropApps(map[string]bool{res.name: true})
		r.take(at, res)
		r.taken(at, first)
	case !r.sameFile(first, at):
		r.taken(first, at)
	}
}

// take gives an app its name.
func (r *reader) take(at place, res appResult) {
	r.apps[at.name] = at
	delete(r.depends, at.name)
	if res.entry == nil {
		return
	}
	r.tree.Apps = append(r.tree.Apps, *res.entry)
	if res.depends.Key != "" {
		r.depends[at.name] = res.depends
	}
	r.need(res.entry)
}

// sameFile reports whether two files are one: a project may point back to the repository that it lies
// in, which then is read under two names. Foreign files are nobody else's.
func (r *reader) sameFile(a, b place) bool {
	if a.foreign != b.foreign {
		return false
	}
	return a.path == b.path && (a.repo == b.repo || !a.foreign && (a.repo.url == "" || b.repo.url == ""))
}

// need lists the repository of an app's source.
func (r *reader) need(e *Entry) {
	if src := e.App.Source; src.Type == "git" {
		r.tree.Repos = append(r.tree.Repos, RepoRef{Repo: src.Repo, Ref: src.Ref, By: e.App.Name})
	}
}

// dropClashes leaves out the apps whose names are taken twice: neither is the right one.
func (r *reader) dropClashes() {
	r.dropApps(r.clashes)
}

func (r *reader) dropApps(names map[string]bool) {
	if len(names) == 0 {
		return
	}
	r.tree.Apps = slices.DeleteFunc(r.tree.Apps, func(e Entry) bool { return names[e.App.Name] })
	r.tree.Repos = slices.DeleteFunc(r.tree.Repos, func(n RepoRef) bool { return !n.Project && names[n.By] })
}

// inParallel calls do with 0 … n-1 on as many goroutines as there are processors, and waits for them.
func inParallel(n int, do func(int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// load reads one file within the bound.
func (r *reader) load(f manifestFile) ([]byte, string) {
	file, err := f.repo.fsys.Open(f.path)
	if err != nil {
		return nil, "cannot be read: " + reason(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, "cannot be read: " + reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, "is not a plain file"
	}
	if info.Size() > r.lim.FileBytes {
		return nil, "is larger than " + itoa(r.lim.FileBytes) + " bytes, the most that a manifest may be"
	}
	data := make([]byte, 0, info.Size()+1)
	for int64(len(data)) <= r.lim.FileBytes {
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) || err == nil && n > 0 && int64(len(data)) == info.Size() {
			return data, ""
		}
		if err != nil {
			return nil, "cannot be read: " + reason(err)
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, 512)
		}
	}
	return nil, "is larger than " + itoa(r.lim.FileBytes) + " bytes, the most that a manifest may be"
}

// reason is the cause of a file error, without the path that the problem names already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// settled sorts the problems and says each of them once. One that several apps share, because a
// project's settings are wrong, may hide them all.
func (ps Problems) settled() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Text, b.Text), cmp.Compare(a.App, b.App))
	})
	out := ps[:0]
	for _, p := range ps {
		if len(out) > 0 {
			last := &out[len(out)-1]
			same := *last
			same.App, same.Hides = p.App, p.Hides
			if same == p {
				last.Hides = last.Hides || p.Hides || last.App != p.App
				if last.App != p.App {
					last.App = ""
				}
				continue
			}
		}
		out = append(out, p)
	}
	return out
}
