package buildkit_test

import (
	"archive/tar"
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
)

func TestBuildPushesTheDigestThatItTells(t *testing.T) {
	b, r := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY hello /app/hello\n", "hello": "hi\n"})
	ref := mustBuild(t, b, req)
	if want := r.host + "/" + req.App + ":" + req.Tag; ref.Name != want {
		t.Errorf("name = %s, want %s", ref.Name, want)
	}
	img := pushed(t, ref)
	if diff := cmp.Diff(map[string]string{"app/hello": "hi\n"}, filesOf(t, img)); diff != "" {
		t.Error(diff)
	}
	config, err := img.ConfigFile()
	if err != nil || config.OS != "linux" || config.Architecture != "amd64" {
		t.Errorf("the image is for %s/%s (error %v)", config.OS, config.Architecture, err)
	}
	if again := mustBuild(t, b, req); again != ref {
		t.Errorf("building the same again gives %v, want %v", again, ref)
	}
	got, ok, err := b.Built(t.Context(), req)
	if err != nil || !ok || got != ref {
		t.Errorf("Built says %v %v (error %v), want %v", got, ok, err, ref)
	}
}

func TestRepositoryTakesTheImageInsteadOfTheApps(t *testing.T) {
	b, r := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	if _, ok, err := b.Built(t.Context(), req); ok || err != nil {
		t.Errorf("Built before building = %v, error %v", ok, err)
	}
	req.Repository = r.host + "/acme/many/apps"
	ref := mustBuild(t, b, req)
	if want := r.host + "/acme/many/apps:" + req.Tag; ref.Name != want {
		t.Errorf("name = %s, want %s", ref.Name, want)
	}
	pushed(t, ref)
}

func TestStagesTargetArgumentsAndLabelsAreHonoured(t *testing.T) {
	b, r := sharedBuilder(t)
	req := asked(t, map[string]string{
		"docker/web.Dockerfile": "FROM " + base(t, r) + " AS made\nARG WHO=nobody\nRUN [\"/step\", \"env\", \"WHO\", \"/out\"]\n" +
			"FROM scratch AS first\nARG SAYS\nLABEL says=$SAYS\nCOPY --from=made /out /who\nFROM scratch AS last\nCOPY b.txt /who\n",
		"b.txt": "b",
	})
	req.Dockerfile, req.Target = "docker/web.Dockerfile", "first"
	req.Args, req.Labels = map[string]string{"WHO": "a", "SAYS": `x=1, "y" and more`}, map[string]string{"org.acme.team": "a, b=c"}
	img := pushed(t, mustBuild(t, b, req))
	if diff := cmp.Diff(map[string]string{"who": "a"}, filesOf(t, img)); diff != "" {
		t.Error(diff)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"says": req.Args["SAYS"], "org.acme.team": "a, b=c"}, config.Config.Labels); diff != "" {
		t.Errorf("labels: %s", diff)
	}
}

func TestIgnoreFilesAreHonouredAndTheFolderStaysAsItIs(t *testing.T) {
	b, _ := sharedBuilder(t)
	files := map[string]string{
		"docker/Dockerfile": "FROM scratch\nCOPY . /\n", "docker/own.Dockerfile": "FROM scratch\nCOPY . /\n",
		"docker/own.Dockerfile.dockerignore": "docker\n*.ignore\n.dockerignore\nc\n",
		".dockerignore":                      "docker\n*.ignore\n.dockerignore\na\n", "web.ignore": "docker\n*.ignore\n.dockerignore\nb\n", "none.ignore": "",
		"a": "a", "b/f": "b", "c": "c",
	}
	for _, c := range []struct {
		dockerfile, ignorefile string
		want                   []string
	}{
		{"docker/Dockerfile", "", []string{"b/f", "c"}},
		{"docker/Dockerfile", "web.ignore", []string{"a", "c"}},
		{"docker/own.Dockerfile", "", []string{"a", "b/f"}},
		{"docker/own.Dockerfile", "web.ignore", []string{"a", "c"}},
		{"docker/Dockerfile", "none.ignore", []string{
			".dockerignore", "a", "b/f", "c", "docker/Dockerfile", "docker/own.Dockerfile", "docker/own.Dockerfile.dockerignore", "none.ignore", "web.ignore",
		}},
	} {
		req := asked(t, files)
		req.Dockerfile, req.Ignorefile = c.dockerfile, c.ignorefile
		before := stamps(t, req.Dir)
		got := filesOf(t, pushed(t, mustBuild(t, b, req)))
		want := map[string]string{}
		for _, f := range c.want {
			want[f] = files[f]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s with %q (-want +got):\n%s", c.dockerfile, c.ignorefile, diff)
		}
		if diff := cmp.Diff(before, stamps(t, req.Dir)); diff != "" {
			t.Errorf("the build changed its folder:\n%s", diff)
		}
	}
}

// stamps gives the files of a folder with their times.
func stamps(tb testing.TB, dir string) map[string]time.Time {
	tb.Helper()
	all := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		all[p] = info.ModTime()
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestDockerfileMayBeALinkInsideTheFolderOnly(t *testing.T) {
	b, _ := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f", "docker/none": ""})
	if err := os.Symlink("../Dockerfile", filepath.Join(req.Dir, "docker", "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	req.Dockerfile = "docker/Dockerfile"
	if diff := cmp.Diff(map[string]string{"f": "f"}, filesOf(t, pushed(t, mustBuild(t, b, req)))); diff != "" {
		t.Error(diff)
	}
	outside := folder(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	if err := os.Symlink(filepath.Join(outside, "Dockerfile"), filepath.Join(req.Dir, "outside")); err != nil {
		t.Fatal(err)
	}
	req.Dockerfile = "outside"
	_, err := b.Build(t.Context(), req)
	wantRejected(t, err, "outside")
}

// A folder is sent as it is: links are links, and what they lead to outside of it stays outside.
func TestLinksOutOfTheFolderAreNotFollowed(t *testing.T) {
	b, _ := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"})
	outside := folder(t, map[string]string{"f": "of the runner"})
	if err := os.Symlink(outside, filepath.Join(req.Dir, "dir")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"}, filesOf(t, pushed(t, mustBuild(t, b, req)))); diff != "" {
		t.Error(diff)
	}
	req = asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY dir/f /\n"})
	if err := os.Symlink(outside, filepath.Join(req.Dir, "dir")); err != nil {
		t.Fatal(err)
	}
	_, err := b.Build(t.Context(), req)
	wantRejected(t, err, "dir", "escapes")
}

func TestSyntaxLineNamesTheFrontend(t *testing.T) {
	b, r := sharedBuilder(t)
	text := "# syntax=" + pushProgram(t, r, "frontend", frontendImage) + "\nwhatever it takes\n"
	got := filesOf(t, pushed(t, mustBuild(t, b, asked(t, map[string]string{"Dockerfile": text}))))
	if diff := cmp.Diff(map[string]string{"made": "by the frontend of " + text}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCacheMountOfOneStepIsFoundByTheNext(t *testing.T) {
	b, r := sharedBuilder(t)
	mount := "RUN --mount=type=cache,target=/kept "
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\n" +
		mount + "[\"/step\", \"write\", \"/kept/f\", \"kept\"]\n" + mount + "[\"/step\", \"copy\", \"/kept/f\", \"/found\"]\n"})
	if diff := cmp.Diff(map[string]string{"found": "kept"}, filesOf(t, pushed(t, mustBuild(t, b, req)))); diff != "" {
		t.Error(diff)
	}
}

func TestNoCacheBuildsEveryStepAgain(t *testing.T) {
	b, _ := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /a\nCOPY f /b\n", "f": "f"})
	for _, c := range []struct {
		noCache bool
		cached  int
	}{{false, 0}, {false, 2}, {true, 0}} {
		var log bytes.Buffer
		req.NoCache, req.Log = c.noCache, &log
		mustBuild(t, b, req)
		if got := strings.Count(log.String(), "CACHED"); got != c.cached {
			t.Errorf("no cache %v: %d steps from the cache, want %d:\n%s", c.noCache, got, c.cached, &log)
		}
	}
}

func TestWhatIsNotPushedLeavesNothingInTheRegistry(t *testing.T) {
	b, _ := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	req.NoPush, req.Cache = true, "max"
	ref := mustBuild(t, b, req)
	for _, name := range []string{ref.Name, b.Registry + "/" + req.App + ":cache-" + req.App} {
		if _, ok, err := (image.Registry{}).Exists(t.Context(), name); ok || err != nil {
			t.Errorf("%s is in the registry: %v, error %v", name, ok, err)
		}
	}
	req.NoPush = false
	if pushed := mustBuild(t, b, req); pushed != ref {
		t.Errorf("pushed %v, and said %v before", pushed, ref)
	}
}

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
	for h := range entries(t, img) {
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
	need(t, "buildkitd", "runc", "docker-registry")
	r, err := openRegistry()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"Dockerfile": "FROM " + base(t, r) + " AS made\nCOPY . /src\nRUN [\"/step\", \"copy\", \"/src/a/f\", \"/out/made\"]\n" +
			"FROM scratch\nCOPY . /app\nCOPY --from=made /out /out\n",
		"a/f": "f", "b/g": strings.Repeat("g", 1<<20),
	}
	builders := []*buildkit.Builder{builder(t, r), builder(t, r)}
	first := asked(t, files)
	second := first
	second.Dir = folder(t, files)
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
	two := mustBuild(t, builders[1], second)
	if one != two {
		t.Errorf("one machine makes %v, the other %v", one, two)
	}
	first.Epoch, second.Epoch = time.Unix(1e9, 0), time.Unix(1e9, 0)
	if later, same := mustBuild(t, builders[0], first), mustBuild(t, builders[1], second); later != same || later == one {
		t.Errorf("with another epoch one machine makes %v, the other %v, before it was %v", later, same, one)
	}
}

func TestNetworkNoneReachesNothing(t *testing.T) {
	need(t, "buildkitd", "runc", "docker-registry")
	r, err := openRegistry()
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("reached")) }))
	defer web.Close()
	b := builder(t, r)
	b.Allow = append(b.Allow, netip.MustParseAddrPort(strings.TrimPrefix(web.URL, "http://")))
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"get\", \"" + web.URL + "\"]\n"})
	var log bytes.Buffer
	req.Log = &log
	mustBuild(t, b, req)
	wantSays(t, "log", log.String(), "reached")
	req.Network, req.NoCache = "none", true
	_, err = b.Build(t.Context(), req)
	wantRejected(t, err, "exit code 1")
}

// A step waits for the test to have read what it said.
func TestLogComesWhileTheStepRuns(t *testing.T) {
	t.Parallel()
	need(t, "buildkitd", "runc", "docker-registry")
	r, err := openRegistry()
	if err != nil {
		t.Fatal(err)
	}
	log := &watched{seen: make(chan struct{}), want: "are you there"}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-log.seen:
		case <-time.After(20 * time.Second):
			w.WriteHeader(http.StatusGatewayTimeout)
		}
	}))
	defer web.Close()
	b := builder(t, r)
	b.Allow = append(b.Allow, netip.MustParseAddrPort(strings.TrimPrefix(web.URL, "http://")))
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"get\", \"" + web.URL + "\", \"are you there\"]\n"})
	req.Log = log
	mustBuild(t, b, req)
}

// watched closes seen when what is wanted was written.
type watched struct {
	mu   sync.Mutex
	once sync.Once
	seen chan struct{}
	want string
	text []byte
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	// the step's own line, not the name of the step
	if i := bytes.Index(w.text, []byte("\n#")); i >= 0 && strings.Contains(string(w.text), " "+w.want+"\n") {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func TestClosedBuilderLeavesNothingAndStartsAnew(t *testing.T) {
	need(t, "buildkitd", "runc", "docker-registry")
	r, err := openRegistry()
	if err != nil {
		t.Fatal(err)
	}
	b := builder(t, r)
	if err := b.Close(); err != nil {
		t.Errorf("closing what never started: %v", err)
	}
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	for range 2 {
		mustBuild(t, b, req)
		for range 2 {
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		left, err := os.ReadDir(b.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, error %v", left, err)
		}
		if pids := processesOf(t, b.Dir); len(pids) > 0 {
			t.Errorf("processes %v go on", pids)
		}
	}
}
