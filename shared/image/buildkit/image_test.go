package buildkit_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

func TestCompressionIsWhatWasAskedFor(t *testing.T) {
	b, r := sharedBuilder(t)
	level := 3
	for compression, media := range map[string]string{"": "gzip", "gzip": "gzip", "zstd": "zstd"} {
		req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nCOPY f /\n", "f": "f"})
		req.Compression = compression
		if compression != "" {
			req.Level = &level
		}
		layers, err := pushed(t, mustBuild(t, b, req)).Layers()
		if err != nil || len(layers) != 2 {
			t.Fatalf("%d layers, error %v", len(layers), err)
		}
		for _, l := range layers {
			if got, err := l.MediaType(); err != nil || !strings.HasSuffix(string(got), media) {
				t.Errorf("compression %q gives %s (error %v), want %s", compression, got, err, media)
			}
		}
	}
}

func TestProvenanceIsAttachedWhenAskedAndTellsNoArgument(t *testing.T) {
	b, r := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nARG TOKEN\nRUN [\"/step\", \"say\", \"hello\"]\n"})
	req.Args = map[string]string{"TOKEN": "hunter2-argument"}
	if index := indexOf(t, mustBuild(t, b, req)); index != nil {
		t.Error("an image without provenance is an index")
	}
	req.Provenance = true
	ref := mustBuild(t, b, req)
	// what runs is the image, not the index that holds it and its provenance
	pushed(t, ref)
	index := indexOf(t, ref)
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, d := range manifest.Manifests {
		if d.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			continue
		}
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			text := readAll(t, l.Uncompressed)
			found = found || strings.Contains(text, "slsa.dev/provenance")
			if strings.Contains(text, "hunter2") {
				t.Errorf("the provenance tells an argument: %s", text)
			}
		}
	}
	if !found {
		t.Errorf("no provenance among %d manifests", len(manifest.Manifests))
	}
}

// indexOf gives the index under a reference's tag; nil is none.
func indexOf(tb testing.TB, ref image.Reference) v1.ImageIndex {
	tb.Helper()
	parsed, err := name.ParseReference(ref.Name)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := remote.Get(parsed)
	if err != nil {
		tb.Fatal(err)
	}
	if !got.MediaType.IsIndex() {
		return nil
	}
	index, err := got.ImageIndex()
	if err != nil {
		tb.Fatal(err)
	}
	return index
}

func TestFilesCarryTheEpochAndNothingLater(t *testing.T) {
	b, r := sharedBuilder(t)
	epoch := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nCOPY f /app/f\nRUN [\"/step\", \"write\", \"/app/made\", \"x\"]\n", "f": "f"})
	req.Epoch = epoch
	if err := os.Chtimes(filepath.Join(req.Dir, "f"), epoch, epoch.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	img := pushed(t, mustBuild(t, b, req))
	seen := 0
	for h := range imagetest.Entries(t, img) {
		if h.Name == "step" || h.Typeflag != tar.TypeReg {
			continue
		}
		seen++
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s carries %s, want %s", h.Name, h.ModTime, epoch)
		}
	}
	config, err := img.ConfigFile()
	if err != nil || !config.Created.Equal(epoch) || seen != 2 {
		t.Errorf("created %s (error %v), with %d files, want %s and 2", config.Created, err, seen, epoch)
	}
}

func TestTwoMachinesMakeOneImageOfOneTree(t *testing.T) {
	t.Parallel()
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	files := map[string]string{
		"Dockerfile": "FROM " + base(t, r) + " AS made\nCOPY . /src\nRUN [\"/step\", \"copy\", \"/src/a/f\", \"/out/made\"]\n" +
			"FROM scratch\nCOPY . /app\nCOPY --from=made /out /out\n",
		"a/f": "f", "b/g": strings.Repeat("g", 1<<20),
	}
	builders := []*buildkit.Builder{builder(t, r), builder(t, r)}
	first := asked(t, files)
	second := first
	second.Dir = imagetest.Folder(t, files)
	old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for f := range files {
		if err := os.Chtimes(filepath.Join(second.Dir, f), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(second.Dir, "a"), old, old); err != nil {
		t.Fatal(err)
	}
	one := mustBuild(t, builders[0], first)
	for begun := time.Now().Unix(); time.Now().Unix() == begun; {
		time.Sleep(10 * time.Millisecond) // files have their times in seconds
	}
	two := mustBuild(t, builders[1], second)
	if one != two {
		t.Errorf("one machine makes %v, the other %v", one, two)
	}
	first.Epoch, second.Epoch = time.Unix(1e9, 0), time.Unix(1e9, 0)
	if later, same := mustBuild(t, builders[0], first), mustBuild(t, builders[1], second); later != same || later == one {
		t.Errorf("with another epoch one machine makes %v, the other %v, before it was %v", later, same, one)
	}
}
