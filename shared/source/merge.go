package source

import (
	"path"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/gigurra/flycd/shared/job"
)

// merge copies the files of the config folder that merge_cfg names: all of them but the excluded, or
// the included but the excluded.
func (b *copier) merge(spec ContextSpec) error {
	if !spec.Merge.All && len(spec.Merge.Include) == 0 {
		return nil
	}
	dir, err := cleanPath(spec.ConfigPath)
	if err != nil {
		return err
	}
	include, err := globs(spec.Merge.Include)
	if err != nil {
		return err
	}
	exclude, err := globs(spec.Merge.Exclude)
	if err != nil {
		return err
	}
	hit := make(map[string]bool, len(include))
	pointers := map[string]bool{}
	for _, p := range spec.Config.Pointers {
		pointers[p] = true
	}
	var pointer string
	err = b.tree(spec.Config, dir, func(rel string) bool {
		named := spec.Merge.All
		for _, glob := range include {
			if within(rel, glob) || watched(rel, []string{glob}) {
				named, hit[glob] = true, true
			}
		}
		take := named && !watched(rel, exclude) && !inAny(rel, exclude)
		if take && pointers[path.Join(dir, rel)] {
			pointer = path.Join(dir, rel)
		}
		return take
	})
	if err != nil {
		return err
	}
	if pointer != "" {
		return spec.Config.usable(pointer, nil)
	}
	for _, glob := range include {
		if !hit[glob] {
			return spec.Config.notThere(path.Join(dir, glob), "")
		}
	}
	return nil
}

// inAny reports whether one of the names, taken as they are, is p or a folder above it: a file may be
// called [id].json.
func inAny(p string, names []string) bool {
	for _, name := range names {
		if within(p, name) {
			return true
		}
	}
	return false
}

func globs(list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, glob := range list {
		clean, err := cleanPath(glob)
		if err != nil {
			return nil, err
		}
		if !doublestar.ValidatePattern(clean) {
			return nil, job.Rejectf("%q is no glob", glob)
		}
		out[i] = clean
	}
	return out, nil
}
