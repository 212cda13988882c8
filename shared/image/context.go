package image

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
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
	name := path.Clean(cmp.Or(req.Dockerfile, "Dockerfile"))
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

// stamp makes the times of a folder's files those of this request alone: the request's own time, which the image tells, and within
// its second a fraction that the app and the tag give. The fraction is for BuildKit, which keeps what it was
// sent, for all clients in one place, and asks only for files whose size or time differs: of two folders
// with one time, as those of one repository's apps would be, a file of one would stand for the other's. The image does not show
// it: what is later than the request's time is given that time when it is written. So two machines that build one tree make one
// image. Stamping again changes nothing.
func stamp(req Request) error {
	sum := fnv.New64a()
	fmt.Fprint(sum, req.App, ":", req.Tag)
	at := req.epoch().Add(time.Duration(sum.Sum64() % uint64(time.Second)))
	root, err := os.OpenRoot(req.Dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is buffered
	return fs.WalkDir(root.FS(), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() && !entry.IsDir() {
			return err
		}
		return root.Chtimes(filepath.FromSlash(file), at, at)
	})
}

// epoch is the time that the image tells, in whole seconds: what BuildKit is told is the argument of the user's own, where there is one.
func (r Request) epoch() time.Time {
	if v, err := strconv.ParseInt(r.Args[epochArg], 10, 64); err == nil {
		return time.Unix(v, 0)
	}
	if r.Epoch.IsZero() {
		return time.Unix(0, 0)
	}
	return r.Epoch.Truncate(time.Second)
}

// epochArg is how every tool that makes reproducible files is told the time: https://reproducible-builds.org/docs/source-date-epoch/.
const epochArg = "SOURCE_DATE_EPOCH"
