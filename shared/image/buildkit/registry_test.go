package buildkit_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
)

// keepThread starts a program on a thread that stays: its Pdeathsig comes when that thread ends.
func keepThread(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait()
	}
}

// tarOf gives a layer of one program.
func tarOf(program, as string) (func() (io.ReadCloser, error), error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := tar.Header{Name: strings.TrimPrefix(as, "/"), Mode: 0o755, Size: int64(len(text)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(&h); err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, nil
}

// pushed gives the image that the registry serves under a reference's tag, which must be its digest.
func pushed(tb testing.TB, ref image.Reference) v1.Image {
	tb.Helper()
	got, err := image.Registry{}.Resolve(tb.Context(), ref.Name)
	if err != nil || got != ref {
		tb.Fatalf("the registry says %v (error %v), Build said %v", got, err, ref)
	}
	parsed, err := name.ParseReference(ref.String())
	if err != nil {
		tb.Fatal(err)
	}
	img, err := remote.Image(parsed)
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// filesOf gives the regular files of an image, without the base's program.
func filesOf(tb testing.TB, img v1.Image) map[string]string {
	tb.Helper()
	files := map[string]string{}
	for h, text := range entries(tb, img) {
		if h.Typeflag == tar.TypeReg && h.Name != "step" {
			files[strings.TrimPrefix(h.Name, "/")] = text
		}
	}
	return files
}

// entries gives all that an image's file system holds.
func entries(tb testing.TB, img v1.Image) map[*tar.Header]string {
	tb.Helper()
	layers := mutate.Extract(img)
	defer layers.Close() //nolint:errcheck // only read
	all := map[*tar.Header]string{}
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		all[h] = string(text)
	}
}
