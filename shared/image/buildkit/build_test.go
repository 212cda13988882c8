package buildkit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
	if again := mustBuild(t, b, req); again != ref {
		t.Errorf("building the same again gives %v, want %v", again, ref)
	}
}
