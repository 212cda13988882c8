package source

import "github.com/go-git/go-git/v5/plumbing"

// fold2tree gives the hash of the tree object that git would make of the files below base.
func fold2tree(base string, files []counted) plumbing.Hash {
	root := newFolder()
	for _, f := range files {
		root.add(split(below(f.path, base)), f)
	}
	return root.hash()
}

// folder is a tree object in the making.
type folder struct {
	files   []treeEntry
	folders map[string]*folder
}

func newFolder() *folder { return &folder{folders: map[string]*folder{}} }

func (d *folder) add(parts []string, f counted) {
	if len(parts) == 1 {
		d.files = append(d.files, treeEntry{parts[0], f.mode, f.hash})
		return
	}
	next, ok := d.folders[parts[0]]
	if !ok {
		next = newFolder()
		d.folders[parts[0]] = next
	}
	next.add(parts[1:], f)
}

func (d *folder) hash() plumbing.Hash {
	entries := d.files
	for name, sub := range d.folders {
		entries = append(entries, treeEntry{name, modeDir, sub.hash()})
	}
	return hashTree(entries)
}
