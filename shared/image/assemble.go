package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"
)

// Assembly says what an image is made of: files that are there already, and how its program starts. No builder is
// needed to make it, and nothing of it is run. It has no base, so it is for programs that need nothing beside them.
type Assembly struct {
	// Layers are the image's parts, lowest first. One that changes is sent alone.
	Layers []Layer
	// Entrypoint is the command line of the image, Env its environment (NAME=VALUE).
	Entrypoint, Env []string
	// User is UID:GID; empty is root. Dir is the folder that the program starts in; empty is /.
	User, Dir string
	// Labels are told of the image, and change nothing of it.
	Labels map[string]string
}

// Layer is one part of an image. Folders above its files belong to root and can be read by everybody.
type Layer struct {
	// Name tells the layer to people, in the image's history.
	Name string
	// Files may stand in any order.
	Files []File
}

// File is a file of an image, or a folder. It belongs to root and has no time.
type File struct {
	// Path is where it is in the image, from its root.
	Path string
	// From is a file of this machine; without one the file holds Content.
	From    string
	Content []byte
	// Mode is who may do what with it; zero is 0644. With fs.ModeDir it is a folder.
	Mode fs.FileMode
}

// Assembled is an image that can be pushed. It is safe for concurrent use.
type Assembled struct {
	image  v1.Image
	digest string
	size   int64
}

// Digest is sha256:…; the same files and settings have the same one, whenever and wherever they are put together.
func (a Assembled) Digest() string { return a.digest }

// Size is how many bytes a registry keeps of it.
func (a Assembled) Size() int64 { return a.size }

// Assemble puts an image for linux/amd64 together. The files are read once, here; what is compressed of them stays in
// memory. Two files of one path in one layer, and a file that cannot be read, are errors.
func Assemble(ctx context.Context, a Assembly) (Assembled, error) {
	made := make([]mutate.Addendum, len(a.Layers))
	var each errgroup.Group
	each.SetLimit(2)
	for i, l := range a.Layers {
		each.Go(func() (err error) {
			made[i], err = l.make(ctx)
			return err
		})
	}
	if err := each.Wait(); err != nil {
		return Assembled{}, err
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Created: v1.Time{Time: time.Unix(0, 0).UTC()},
		Config: v1.Config{Entrypoint: a.Entrypoint, Env: a.Env, User: a.User, WorkingDir: a.Dir, Labels: a.Labels},
	})
	if err == nil {
		img, err = mutate.Append(img, made...)
	}
	if err != nil {
		return Assembled{}, fmt.Errorf("assemble image: %w", err)
	}
	return assembled(img)
}

func assembled(img v1.Image) (Assembled, error) {
	digest, err := img.Digest()
	if err != nil {
		return Assembled{}, fmt.Errorf("assemble image: %w", err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return Assembled{}, fmt.Errorf("assemble image: %w", err)
	}
	size := manifest.Config.Size
	for _, l := range manifest.Layers {
		size += l.Size
	}
	return Assembled{image: img, digest: digest.String(), size: size}, nil
}

// make packs the layer.
func (l Layer) make(ctx context.Context) (mutate.Addendum, error) {
	entries, err := l.entries()
	if err != nil {
		return mutate.Addendum{}, fmt.Errorf("assemble layer %s: %w", l.Name, err)
	}
	var packed bytes.Buffer
	// the header of gzip tells neither a name nor a time
	zip := gzip.NewWriter(&packed)
	files := tar.NewWriter(zip)
	for _, e := range entries {
		if err := e.write(ctx, files); err != nil {
			return mutate.Addendum{}, fmt.Errorf("assemble layer %s: %s: %w", l.Name, e.Path, err)
		}
	}
	if err := errors.Join(files.Close(), zip.Close()); err != nil {
		return mutate.Addendum{}, fmt.Errorf("assemble layer %s: %w", l.Name, err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		return mutate.Addendum{}, fmt.Errorf("assemble layer %s: %w", l.Name, err)
	}
	return mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: time.Unix(0, 0).UTC()}, CreatedBy: l.Name}}, nil
}

// entries are the layer's files and the folders above them, in the order of their paths.
func (l Layer) entries() ([]File, error) {
	all := map[string]File{}
	for _, f := range l.Files {
		f.Path = strings.TrimPrefix(path.Clean("/"+f.Path), "/")
		if f.Path == "" {
			return nil, errors.New("a file has no path")
		}
		if _, twice := all[f.Path]; twice {
			return nil, fmt.Errorf("there are two of /%s", f.Path)
		}
		all[f.Path] = f
	}
	for _, f := range l.Files {
		for dir := path.Dir(path.Clean("/" + f.Path)); dir != "/"; dir = path.Dir(dir) {
			above, there := all[dir[1:]]
			if there && !above.Mode.IsDir() {
				return nil, fmt.Errorf("%s is a file, and a folder of another", dir)
			}
			if !there {
				all[dir[1:]] = File{Path: dir[1:], Mode: fs.ModeDir | 0o755}
			}
		}
	}
	out := make([]File, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out, nil
}

// write puts the file into an archive.
func (f File) write(ctx context.Context, to *tar.Writer) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	// PAX would be needed for times alone, and they are zero
	h := &tar.Header{Name: f.Path, Mode: int64(f.Mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if f.Mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	switch {
	case f.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, f.Path+"/"
		return to.WriteHeader(h)
	case f.Mode.Perm() == 0:
		h.Mode = 0o644
	}
	h.Typeflag = tar.TypeReg
	if f.From == "" {
		h.Size = int64(len(f.Content))
		return writeEntry(to, h, bytes.NewReader(f.Content))
	}
	file, err := os.Open(f.From)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	h.Size = info.Size()
	return writeEntry(to, h, file)
}

func writeEntry(to *tar.Writer, h *tar.Header, from io.Reader) error {
	if err := to.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(to, from)
	return err
}
