package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// namedFiles reads the files that a manifest names from its own folder. A deploy looks into the
// app's source first; where that is another repository, a file that is not here is left empty.
func namedFiles(entry manifest.Entry) (map[string][]byte, error) {
	files := map[string][]byte{}
	if err := readNamed(entry, machine.FilesOf(entry.App), files); err != nil {
		return nil, err
	}
	if err := readNamed(entry, machine.FilesIn(entry.App, files), files); err != nil {
		return nil, err
	}
	return files, nil
}

func readNamed(entry manifest.Entry, names []string, files map[string][]byte) error {
	for _, name := range names {
		content, err := fs.ReadFile(entry.FS, path.Join(entry.Dir, name))
		switch {
		case err == nil:
			files[name] = content
		case errors.Is(err, fs.ErrNotExist) && entry.App.Source.Type == "git":
			files[name] = nil
		case errors.Is(err, fs.ErrNotExist):
			// machine.Translate says which key names it
		default:
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}
