package adopt

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"time"
)

// folder is files in memory, by name: as much of an fs.FS as reading one manifest needs.
type folder map[string][]byte

// Open gives a file, or the folder itself.
func (f folder) Open(name string) (fs.File, error) {
	if name == "." {
		return &memoryFile{name: name, dir: true}, nil
	}
	content, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{Reader: bytes.NewReader(content), name: path.Base(name), size: int64(len(content))}, nil
}

type memoryFile struct {
	io.Reader
	name string
	size int64
	dir  bool
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *memoryFile) Close() error               { return nil }
func (f *memoryFile) Name() string               { return f.name }
func (f *memoryFile) Size() int64                { return f.size }
func (f *memoryFile) ModTime() time.Time         { return time.Time{} }
func (f *memoryFile) IsDir() bool                { return f.dir }
func (f *memoryFile) Sys() any                   { return nil }

func (f *memoryFile) Mode() fs.FileMode {
	if f.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
