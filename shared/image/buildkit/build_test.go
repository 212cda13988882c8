package buildkit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

func TestBuildPushesTheDigestThatItTells(t *testing.T) {
	b, r := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY hello /app/hello\n", "hello": "hi\n"})
	ref := mustBuild(t, b, req)
	if want := r + "/" + req.App + ":" + req.Tag; ref.Name != want {
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
	req.Repository = r + "/acme/many/apps"
	ref := mustBuild(t, b, req)
	if want := r + "/acme/many/apps:" + req.Tag; ref.Name != want {
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
	outside := imagetest.Folder(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	if err := os.Symlink(filepath.Join(outside, "Dockerfile"), filepath.Join(req.Dir, "outside")); err != nil {
		t.Fatal(err)
	}
	req.Dockerfile = "outside"
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "outside")
}

// A folder is sent as it is: links are links, and what they lead to outside of it stays outside.
func TestLinksOutOfTheFolderAreNotFollowed(t *testing.T) {
	b, _ := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"})
	outside := imagetest.Folder(t, map[string]string{"f": "of the runner"})
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
	imagetest.WantRejected(t, err, "dir", "escapes")
}

func TestSyntaxLineNamesTheFrontend(t *testing.T) {
	b, r := sharedBuilder(t)
	text := "# syntax=" + imagetest.Base(t, r, world.Program(t, "./testdata/frontend")) + "\nwhatever it takes\n"
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
