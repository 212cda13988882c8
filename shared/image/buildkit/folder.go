package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"github.com/gigurra/flycd/shared/image"
)

// folders gives what a build is sent: the folder, with every time set to the epoch, and a folder in memory that holds the
// Dockerfile and its ignore file and nothing else. The caller closes the root when the build has ended.
func folders(req image.Request) (map[string]fsutil.FS, *os.Root, error) {
	root, err := os.OpenRoot(req.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open the folder that is built: %w", err)
	}
	seconds, err := strconv.ParseInt(epochOf(req), 10, 64)
	if err != nil {
		seconds = 0 // the frontend says what is wrong with the user's own
	}
	sent, err := fsutil.NewFilterFS(fsutil.NewRootFS(fsutil.NewRoot(root)), &fsutil.FilterOpt{
		Map: func(_ string, stat *types.Stat) fsutil.MapResult {
			stat.ModTime = seconds * 1e9
			return fsutil.MapResultKeep
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("send the folder that is built: %w", err)
	}
	definition, err := readDefinition(root, req)
	if err != nil {
		root.Close() //nolint:errcheck,gosec // only read
		return nil, nil, err
	}
	return map[string]fsutil.FS{"context": sent, "dockerfile": definition}, root, nil
}

// readDefinition reads the Dockerfile, which may be a link inside the folder, and its ignore file: the one that was asked
// for, else the one beside it. BuildKit takes it under the name <Dockerfile>.dockerignore only.
func readDefinition(root *os.Root, req image.Request) (memory, error) {
	name := dockerfileOf(req)
	text, err := root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	files := memory{name: text}
	ignore := name + ".dockerignore"
	if req.Ignorefile != "" {
		ignore = req.Ignorefile
	}
	text, err = root.ReadFile(filepath.FromSlash(ignore))
	switch {
	case err == nil:
		// the line end keeps an empty ignore file from being taken for none
		files[name+".dockerignore"] = append(text, '\n')
	case req.Ignorefile != "":
		return nil, fmt.Errorf("read %s: %w", ignore, err)
	}
	return files, nil
}

// memory is a folder of files by path, for sending.
type memory map[string][]byte

// Walk implements fsutil.FS.
func (m memory) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = strings.Trim(path.Clean("/"+filepath.ToSlash(target)), "/")
	skipped := ""
	for _, p := range m.paths() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if target != "" && !within(p, target) || skipped != "" && within(p, skipped) {
			continue
		}
		err := fn(p, &fsutil.DirEntryInfo{Stat: m.stat(p)}, nil)
		switch {
		case err == nil:
		case !errors.Is(err, fs.SkipDir):
			return err
		case m[p] != nil:
			skipped = path.Dir(p) // as io/fs has it: the rest of the file's directory
		default:
			skipped = p
		}
	}
	return nil
}

func within(p, dir string) bool { return p == dir || dir == "." || strings.HasPrefix(p, dir+"/") }

// Open implements fsutil.FS.
func (m memory) Open(p string) (io.ReadCloser, error) {
	text, ok := m[filepath.ToSlash(p)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

// paths gives the files and the directories above them, each directory before what is in it.
func (m memory) paths() []string {
	var all []string
	for p := range m {
		for ; p != "."; p = path.Dir(p) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})
	return slices.Compact(all)
}

func (m memory) stat(p string) *types.Stat {
	if text, ok := m[p]; ok {
		return &types.Stat{Path: filepath.FromSlash(p), Mode: 0o644, Size: int64(len(text))}
	}
	return &types.Stat{Path: filepath.FromSlash(p), Mode: uint32(fs.ModeDir | 0o755)}
}
