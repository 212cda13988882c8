package deploy

import (
	"context"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/source"
)

// sight is all that a reading of a tree depended on: Git's own hashes of the folders that were read, and the commits
// of the repositories that they include. While it is the same, reading again would find the same.
type sight struct {
	Version int `json:"version"`
	// Settings are those of the syncer that say what is read.
	Settings string            `json:"settings,omitempty"`
	Folders  map[string]string `json:"folders"`
	Includes []included        `json:"includes,omitempty"`
}

// included is a repository as it was read.
type included struct {
	catalog.Include
	Commit string `json:"commit"`
}

// sightVersion changes when a reading of the same files would find something else.
const sightVersion = 1

// known ends a sync of a tree in which nothing has changed since the last one that was done to its end: only the
// folders' hashes are fetched. What a person asks for is read anew.
func (r *syncRun) known(ctx context.Context) error {
	if isFolder(r.tree().Repo) || r.req.Force || r.req.Job.Force || r.req.Job.ByHand() {
		return nil
	}
	text, gen, err := r.Sights.Seen(ctx, r.tree().ID())
	if err != nil {
		return err
	}
	var last sight
	// what cannot be read was noted by another version: the tree is read anew
	if text == "" || json.Unmarshal([]byte(text), &last) != nil || last.Version != sightVersion || last.Settings != r.settings() || !r.stands(ctx, last) {
		return nil //nolint:nilerr // as said
	}
	saw, err := r.Sights.Saw(ctx, r.switchTo(gen), text)
	if err != nil {
		return err
	}
	r.res.Outcome = job.Unchanged
	if !saw {
		r.res.Outcome, r.res.Detail = job.Superseded, "a newer sync of "+r.tree().ID()+" has been there"
	}
	return nil
}

// stands reports whether the tree looks as it did. What cannot be told does not: whoever reads the tree says why.
func (r *syncRun) stands(ctx context.Context, last sight) bool {
	ts := &trees{client: r.Source, pin: wishedHalf(r.req)}
	defer func() { _ = ts.Close() }()
	for _, in := range last.Includes {
		at, err := ts.commitOf(ctx, in.Repo, manifest.Ref{Name: in.Ref})
		if err != nil || at.Hash != in.Commit {
			return false
		}
	}
	outline, err := ts.keep(r.Source.Outline(ctx, r.tree().Repo, r.at))
	if err != nil {
		return false
	}
	for dir, hash := range last.Folders {
		if now, err := outline.Hash(dir); err != nil || now != hash {
			return false
		}
	}
	return len(last.Folders) > 0
}

// remember notes what the tree looked like, where a next sync that finds it the same would have nothing to do: not
// where something was refused, or waits to be pruned.
func (r *syncRun) remember(ctx context.Context) error {
	if len(r.problems)+len(r.refused) > 0 || r.unread || r.open || r.sight.Version == 0 {
		return nil
	}
	r.sight.Settings = r.settings()
	text, err := json.Marshal(r.sight)
	if err != nil {
		return err
	}
	_, err = r.Sights.Saw(ctx, r.switchTo(r.gen), string(text))
	return err
}

func (s *Syncer) settings() string { return strings.TrimRight(s.Manifest.Org+" "+s.Registry, " ") }

func (r *syncRun) switchTo(gen int64) queue.Switch {
	return queue.Switch{Config: r.tree(), Generation: gen, Commit: r.at.Hash, Order: r.req.Job.Order, Fence: r.req.Fence}
}

// look notes what a reading depends on; nothing where that is not known: a semver range of an included repository.
func (t *trees) look(root *source.Tree, tree job.Config, read manifest.Tree) sight {
	s := sight{Version: sightVersion, Folders: map[string]string{}}
	for _, dir := range foldersOf(root, tree, read) {
		hash, err := root.Hash(dir)
		if err != nil {
			return sight{}
		}
		s.Folders[dir] = hash
	}
	for _, in := range includesOf(read.Repos, tree) {
		commit := t.commits[in]
		if commit == "" {
			return sight{}
		}
		s.Includes = append(s.Includes, included{in, commit})
	}
	return s
}

// foldersOf gives the folders of the tree's own repository that a reading depends on: where the walk began, and the
// whole repository where an app, or a link, may name something outside of that.
func foldersOf(root *source.Tree, tree job.Config, read manifest.Tree) []string {
	dirs := append([]string{path.Clean("/" + tree.Path)[1:]}, read.Folders...)
	for _, e := range read.Apps {
		if e.Repo != "" {
			continue
		}
		text, err := canonical(e.Node, nil)
		if err != nil || strings.Contains(text, "..") || len(e.App.Source.Watch) > 0 && e.App.Source.Type == "local" {
			return []string{""}
		}
		// the tree may be one manifest; the files beside it count
		dirs = append(dirs, path.Clean("/" + e.Dir)[1:])
	}
	slices.Sort(dirs)
	var tops []string
	for _, dir := range dirs {
		if !slices.ContainsFunc(tops, func(top string) bool { return top == "" || dir == top || strings.HasPrefix(dir, top+"/") }) {
			tops = append(tops, dir)
		}
	}
	if tops[0] != "" && links(root, tops) {
		return []string{""}
	}
	return tops
}

// links reports whether there is a symbolic link below one of the folders, or that cannot be told.
func links(root *source.Tree, dirs []string) bool {
	fsys, err := root.FS()
	if err != nil {
		return true
	}
	found := false
	for _, dir := range dirs {
		err := fs.WalkDir(fsys, path.Join(".", dir), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSymlink != 0 {
				found = true
				return fs.SkipAll
			}
			return err
		})
		if found || err != nil {
			return true
		}
	}
	return false
}
