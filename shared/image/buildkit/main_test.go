package buildkit_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

// The tests of this room build with a real buildkitd and runc in a real sandbox, and push to docker-registry. Base images
// are scratch, or hold the one program imagetest.Step: nothing is asked of the world.

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(world.Run(m))
}

// world holds what these tests share.
var world imagetest.World

// builder gives a Builder with a folder of its own that pushes to the registry.
func builder(tb testing.TB, registry string) *buildkit.Builder {
	tb.Helper()
	imagetest.Need(tb, "buildkitd", "runc")
	dir, err := os.MkdirTemp(world.Dir, "b") //nolint:usetesting // a short path, for the socket in it
	if err != nil {
		tb.Fatal(err)
	}
	b := &buildkit.Builder{Dir: dir, Registry: registry, Allow: []netip.AddrPort{netip.MustParseAddrPort(registry)}}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return b
}

// sharedBuilder gives a builder that the tests share which need none of their own, with the shared registry.
func sharedBuilder(tb testing.TB) (b *buildkit.Builder, registry string) {
	tb.Helper()
	imagetest.Need(tb, "buildkitd", "runc")
	registry = world.Registry(tb)
	begin.Do(func() {
		// a path as long as it may be: sockets are made below it, also for the steps
		dir := filepath.Join(world.Dir, strings.Repeat("d", max(71-len(world.Dir), 1)))
		theBuilder = &buildkit.Builder{Dir: dir, Registry: registry, Allow: []netip.AddrPort{netip.MustParseAddrPort(registry)}}
		world.AtEnd(func() { _ = theBuilder.Close() })
	})
	return theBuilder, registry
}

var (
	begin      sync.Once
	theBuilder *buildkit.Builder
)

// base pushes the image that holds /step alone, and gives its name.
func base(tb testing.TB, registry string) string {
	tb.Helper()
	return imagetest.Base(tb, registry, world.Program(tb, imagetest.Step))
}

var tags atomic.Int64

// asked gives a request under a tag and an app of its own, without cache in the registry.
func asked(tb testing.TB, files map[string]string) image.Request {
	tb.Helper()
	tag := tags.Add(1)
	return image.Request{
		Dir: imagetest.Folder(tb, files), App: fmt.Sprintf("app-%d", tag), Tag: fmt.Sprintf("t-%d", tag), Cache: "off", Log: tb.Output(),
	}
}

func mustBuild(tb testing.TB, b *buildkit.Builder, req image.Request) image.Reference {
	tb.Helper()
	ref, err := b.Build(context.Background(), req)
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

// processesOf gives the processes whose command line names a folder.
func processesOf(tb testing.TB, dir string) []int {
	tb.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		tb.Fatal(err)
	}
	var pids []int
	for _, file := range all {
		text, err := os.ReadFile(file)
		if pid, e := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && e == nil && strings.Contains(string(text), dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func readAll(tb testing.TB, open func() (io.ReadCloser, error)) string {
	tb.Helper()
	r, err := open()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// pushed gives the image that the registry serves under a reference's tag, which must be its digest.
func pushed(tb testing.TB, ref image.Reference) v1.Image {
	tb.Helper()
	got, err := image.Registry{}.Resolve(tb.Context(), ref.Name)
	if err != nil || got != ref {
		tb.Fatalf("the registry says %v (error %v), Build said %v", got, err, ref)
	}
	return imagetest.Image(tb, ref.String())
}

// filesOf gives the regular files of an image, without the base's program.
func filesOf(tb testing.TB, img v1.Image) map[string]string {
	tb.Helper()
	files := imagetest.FilesOf(tb, img)
	delete(files, "step")
	return files
}
