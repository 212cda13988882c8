package image

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// The names of what a build's private folder holds beside the logins.
const (
	metadata = "metadata.json"
	ignoring = "dockerfile"
)

// copyDockerfile makes a folder of a request's Dockerfile and its ignore file: BuildKit takes an ignore file under the
// name <Dockerfile>.dockerignore only, and the folder that is built stays as it is.
func copyDockerfile(to string, req Request) error {
	from, err := os.OpenRoot(req.Dir)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // only read
	name := path.Clean(or(req.Dockerfile, "Dockerfile"))
	if err := os.MkdirAll(filepath.Join(to, filepath.FromSlash(path.Dir(name))), 0o700); err != nil {
		return fmt.Errorf("make folder for the Dockerfile: %w", err)
	}
	for file, as := range map[string]string{name: name, req.Ignorefile: name + ".dockerignore"} {
		text, err := from.ReadFile(filepath.FromSlash(file))
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		// the line end keeps an empty ignore file from being taken for none
		if err := os.WriteFile(filepath.Join(to, filepath.FromSlash(as)), append(text, '\n'), 0o600); err != nil { //nolint:gosec // a local path in a private folder of ours
			return fmt.Errorf("copy %s: %w", file, err)
		}
	}
	return nil
}

// stamp makes the times of a folder's files those of this request alone, within their second. BuildKit keeps what it was
// sent, for all clients in one place, and asks only for files whose size or time differs: of two folders
// that were written at once, as those of one repository's apps are, a file of one would stand for the other's.
// Stamping again changes nothing.
func stamp(req Request) error {
	sum := fnv.New64a()
	fmt.Fprint(sum, req.App, ":", req.Tag)
	fraction := time.Duration(sum.Sum64() % uint64(time.Second))
	root, err := os.OpenRoot(req.Dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is buffered
	return fs.WalkDir(root.FS(), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		at := info.ModTime().Truncate(time.Second).Add(fraction)
		return root.Chtimes(filepath.FromSlash(file), at, at)
	})
}
