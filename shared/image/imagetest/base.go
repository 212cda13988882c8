package imagetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Busybox pushes a base image that has a shell, of Debian's busybox-static, and gives its name. Beside it, in /bin, are the
// programs whose files are named; they are linked statically.
func Busybox(tb testing.TB, host string, programs ...string) string {
	tb.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		miss(tb, "the program busybox (busybox-static) is not installed")
	}
	text, err := os.ReadFile(program) //nolint:gosec // a program of the system's
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string][]byte{"bin/busybox": text}
	for _, p := range programs {
		if files["bin/"+filepath.Base(p)], err = os.ReadFile(p); err != nil { //nolint:gosec // a program of the test's own
			tb.Fatal(err)
		}
	}
	links := map[string]string{}
	for _, applet := range []string{"sh", "cat", "echo", "env", "ls", "sleep", "id", "wget", "dd", "test", "sha256sum", "mkdir", "cp", "grep", "head", "tail", "ps", "nc", "true", "false", "touch"} {
		links["bin/"+applet] = "busybox"
	}
	return push(tb, host+"/base/busybox:1", image(tb, files, links))
}

// image makes an image of one layer.
func image(tb testing.TB, files map[string][]byte, links map[string]string) v1.Image {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h *tar.Header, text []byte) {
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			tb.Fatal(err)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/", "run/", "root/"} {
		add(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
	}
	for file, text := range files {
		add(&tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o755, Size: int64(len(text))}, text)
	}
	for file, to := range links {
		add(&tar.Header{Typeflag: tar.TypeSymlink, Name: file, Linkname: to, Mode: 0o777}, nil)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	if err != nil {
		tb.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}})
	if err == nil {
		img, err = mutate.AppendLayers(img, layer)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

func push(tb testing.TB, as string, img v1.Image) string {
	tb.Helper()
	ref, err := name.ParseReference(as)
	if err == nil {
		err = remote.Write(ref, img)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return as
}

// Files gives the regular files of an image in a registry on loopback.
func Files(tb testing.TB, of string) map[string]string {
	tb.Helper()
	ref, err := name.ParseReference(of)
	if err != nil {
		tb.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		tb.Fatal(err)
	}
	layers := mutate.Extract(img)
	defer func() { _ = layers.Close() }()
	files := map[string]string{}
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			tb.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[strings.TrimPrefix(h.Name, "/")] = string(text)
		}
	}
}

// Folder writes a build's folder.
func Folder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for file, text := range files {
		file = filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			tb.Fatal(err)
		}
		write(tb, file, text)
	}
	return dir
}
