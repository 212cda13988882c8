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
	entries := map[*tar.Header]string{{Typeflag: tar.TypeReg, Name: "bin/busybox"}: read(tb, program)}
	for _, dir := range []string{"etc/", "tmp/", "run/", "root/"} {
		entries[&tar.Header{Typeflag: tar.TypeDir, Name: dir}] = ""
	}
	for _, p := range programs {
		entries[&tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + filepath.Base(p)}] = read(tb, p)
	}
	for _, applet := range []string{"sh", "cat", "echo", "env", "ls", "sleep", "id", "wget", "dd", "test", "sha256sum", "mkdir", "cp", "grep", "head", "tail", "ps", "nc", "true", "false", "touch"} {
		entries[&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}] = ""
	}
	return push(tb, host+"/base/busybox:1", v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}, entries)
}

// Base pushes a base image that holds a program and nothing else, at /, and gives its name.
func Base(tb testing.TB, host, program string) string {
	tb.Helper()
	as := filepath.Base(program)
	return push(tb, host+"/base/"+as+":1", v1.Config{Entrypoint: []string{"/" + as}},
		map[*tar.Header]string{{Typeflag: tar.TypeReg, Name: as}: read(tb, program)})
}

func read(tb testing.TB, file string) string {
	tb.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // a program of the system's or of the test's own
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// push makes an image of one layer and pushes it.
func push(tb testing.TB, as string, config v1.Config, entries map[*tar.Header]string) string {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for h, text := range entries {
		h.Mode, h.Size = 0o755, int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	if err != nil {
		tb.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: config})
	if err == nil {
		img, err = mutate.AppendLayers(img, layer)
	}
	if err != nil {
		tb.Fatal(err)
	}
	if err := remote.Write(parsed(tb, as), img); err != nil {
		tb.Fatal(err)
	}
	return as
}

func parsed(tb testing.TB, ref string) name.Reference {
	tb.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// Image gives an image in a registry on loopback.
func Image(tb testing.TB, ref string) v1.Image {
	tb.Helper()
	img, err := remote.Image(parsed(tb, ref))
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// Files gives the regular files of an image in a registry on loopback.
func Files(tb testing.TB, of string) map[string]string {
	tb.Helper()
	return FilesOf(tb, Image(tb, of))
}

// FilesOf gives the regular files of an image.
func FilesOf(tb testing.TB, img v1.Image) map[string]string {
	tb.Helper()
	files := map[string]string{}
	for h, text := range Entries(tb, img) {
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = text
		}
	}
	return files
}

// Entries gives all that the file system of an image holds, by names without a slash before them.
func Entries(tb testing.TB, img v1.Image) map[*tar.Header]string {
	tb.Helper()
	layers := mutate.Extract(img)
	defer func() { _ = layers.Close() }()
	entries := map[*tar.Header]string{}
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			tb.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		h.Name = strings.TrimPrefix(h.Name, "/")
		entries[h] = string(text)
	}
}
