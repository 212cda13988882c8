package image_test

import (
	"archive/tar"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/manifest"
)

// assembly is an image of two layers, of one file of this machine and of what is written here.
func assembly(t *testing.T, program string) image.Assembly {
	t.Helper()
	file := filepath.Join(t.TempDir(), "whatever")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return image.Assembly{
		Layers: []image.Layer{
			{Name: "data", Files: []image.File{{Path: "/etc/app/b", Content: []byte("b")}, {Path: "etc/a", Content: []byte("a"), Mode: 0o600}, {Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777}}},
			{Name: "program", Files: []image.File{{Path: "/usr/bin/app", From: file, Mode: 0o755}}},
		},
		Entrypoint: []string{"/usr/bin/app"}, Env: []string{"PATH=/usr/bin"}, User: "65532:65532", Dir: "/tmp", Labels: map[string]string{"of": "test"},
	}
}

func assembled(t *testing.T, a image.Assembly) image.Assembled {
	t.Helper()
	made, err := image.Assemble(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAssembledImageHoldsItsFilesAndNothingElse(t *testing.T) {
	made := assembled(t, assembly(t, "#!"))
	ref, err := image.Registry{}.Push(t.Context(), made, imagetest.Registry(t, "")+"/app")
	if err != nil || !strings.HasSuffix(ref.Name, "/app:latest") || ref.Digest != made.Digest() {
		t.Fatalf("pushed %+v %v", ref, err)
	}
	img := imagetest.Image(t, ref.String())
	type entry struct {
		Kind byte
		Mode int64
		Text string
	}
	got := map[string]entry{}
	for h, text := range imagetest.Entries(t, img) {
		got[h.Name] = entry{h.Typeflag, h.Mode, text}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s is of %d:%d %s, at %s", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
	}
	folder := entry{tar.TypeDir, 0o755, ""}
	want := map[string]entry{
		"etc": folder, "etc/app": folder, "usr": folder, "usr/bin": folder, "tmp": {tar.TypeDir, 0o1777, ""},
		"etc/app/b": {tar.TypeReg, 0o644, "b"}, "etc/a": {tar.TypeReg, 0o600, "a"}, "usr/bin/app": {tar.TypeReg, 0o755, "#!"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if diff := cmp.Diff([]string{"linux", "amd64", "/usr/bin/app", "PATH=/usr/bin", "65532:65532", "/tmp", "test"},
		[]string{config.OS, config.Architecture, c.Entrypoint[0], c.Env[0], c.User, c.WorkingDir, c.Labels["of"]}); diff != "" {
		t.Errorf("config:\n%s", diff)
	}
	if size, err := img.Size(); err != nil || made.Size() <= size { // the manifest, and what it names
		t.Errorf("size %d, of the manifest %d, %v", made.Size(), size, err)
	}
}

func TestSameFilesMakeTheSameDigest(t *testing.T) {
	first := assembled(t, assembly(t, "one"))
	a := assembly(t, "one") // another file, at another time
	files := a.Layers[0].Files
	files[0], files[2] = files[2], files[0]
	if again := assembled(t, a); again.Digest() != first.Digest() {
		t.Errorf("once %s, again %s", first.Digest(), again.Digest())
	}
	if other := assembled(t, assembly(t, "two")); other.Digest() == first.Digest() {
		t.Errorf("another program has the same digest")
	}
}

func TestPushSendsWhatIsNotThere(t *testing.T) {
	host := imagetest.Registry(t, "pass-word")
	var mu sync.Mutex
	var asked, sent []string
	r := image.Registry{
		Logins: map[string]image.Login{host: {Username: "u", Password: manifest.NewSecret("pass-word")}},
		HTTP: roundTrip(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if req.URL.Path != "/v2/" {
				asked = append(asked, req.Method+" "+req.URL.Path)
			}
			if req.ContentLength != 0 && strings.Contains(req.URL.Path, "/blobs/") {
				sent = append(sent, req.Method)
			}
			return http.DefaultTransport.RoundTrip(req)
		}),
	}
	for _, c := range []struct {
		what, program, tag string
		sends              int
	}{
		{"a new image", "one", "v1", 3},
		{"the same under its name", "one", "v1", 0},
		{"the same under another name", "one", "v2", 0},
		// the configuration and the layer of the program
		{"one layer is new", "two", "v2", 2},
		{"the name goes back", "one", "v2", 0},
	} {
		asked, sent = nil, nil
		ref, err := r.Push(t.Context(), assembled(t, assembly(t, c.program)), host+"/app:"+c.tag)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		holds(t, ref, "pass-word")
		if len(sent) != c.sends {
			t.Errorf("%s: sent %v, want %d", c.what, sent, c.sends)
		}
		if c.what == "the same under its name" && strings.Join(asked, ", ") != "HEAD /v2/app/manifests/v1" {
			t.Errorf("%s: asked %v, want one HEAD", c.what, asked)
		}
	}
}

func TestPushThatWasBrokenOffGoesOn(t *testing.T) {
	h := hear(t)
	h.failing(func(r *http.Request) int {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			return http.StatusForbidden
		}
		return 0
	})
	made := assembled(t, assembly(t, "one"))
	_, err := image.Registry{}.Push(t.Context(), made, h.host+"/app:v1")
	imagetest.WantRetry(t, err, "answered 403", "see that the repository exists")
	h.failing(nil)
	h.said()
	ref, err := image.Registry{}.Push(t.Context(), made, h.host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, ref, "")
	if n := count(h.said(), "POST", "/blobs/uploads/"); n != 0 {
		t.Errorf("%d parts were sent again", n)
	}
}

func TestPushSaysWhatIsWrong(t *testing.T) {
	made := assembled(t, assembly(t, "one"))
	locked := imagetest.Registry(t, "pass-word")
	_, err := image.Registry{}.Push(t.Context(), made, locked+"/app:v1")
	imagetest.WantRetry(t, err, "registry "+locked+" answered 401", "login may push")
	_, err = image.Registry{}.Push(t.Context(), made, locked+"/app@"+made.Digest())
	imagetest.WantRejected(t, err, "not a digest")
	_, err = image.Registry{}.Push(t.Context(), made, "Not A Name")
	imagetest.WantRejected(t, err, "no image reference")
	_, err = image.Registry{}.Push(t.Context(), made, "127.0.0.1:1/app:v1")
	imagetest.WantRetry(t, err, "registry 127.0.0.1:1 cannot be reached")
	why := errors.New("enough")
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := (image.Registry{}).Push(gone, made, locked+"/app:v1"); !errors.Is(err, why) {
		t.Errorf("a push that was called off: %v", err)
	}
}

func TestAssemblyThatCannotBeIsRefused(t *testing.T) {
	for says, files := range map[string][]image.File{
		"there are two of /a":                    {{Path: "/a"}, {Path: "b/../a"}},
		"/a is a file, and a folder of another":  {{Path: "/a"}, {Path: "/a/b"}},
		"a file has no path":                     {{Path: "/"}},
		"assemble layer program: a: open /no/su": {{Path: "/a", From: "/no/such/file"}},
	} {
		_, err := image.Assemble(t.Context(), image.Assembly{Layers: []image.Layer{{Name: "program", Files: files}}})
		imagetest.WantRetry(t, err, says)
	}
	// nothing escapes the image's root
	made := assembled(t, image.Assembly{Layers: []image.Layer{{Files: []image.File{{Path: "../../etc/passwd"}}}}})
	ref, err := image.Registry{}.Push(t.Context(), made, hear(t).host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	for name := range imagetest.FilesOf(t, imagetest.Image(t, ref.String())) {
		if name != "etc/passwd" {
			t.Errorf("it holds %s", name)
		}
	}
}
