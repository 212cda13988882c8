package manifest_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"
	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/manifest"
)

// sameVerdict holds what is said of a reference to what those say who ask registries.
func sameVerdict(t interface{ Errorf(string, ...any) }, ref string) {
	_, err := name.ParseReference(strings.TrimSpace(ref), name.WeakValidation)
	if why := manifest.ReferenceFault(ref); (why == "") != (err == nil) {
		t.Errorf("%q: said %q, and the registry's library %v", ref, why, err)
	}
}

func TestReferencesAreThoseThatRegistriesAreAskedFor(t *testing.T) {
	sha := "@sha256:" + strings.Repeat("0a", 32)
	for _, ref := range []string{
		"nginx", "nginx:1.27", "library/nginx", "docker.io/nginx", "ghcr.io/acme/web:v1-RC.2", "localhost/x", "localhost:5000/a/b_c:1", "127.0.0.1:1/w", "[::1]:5000/w:1",
		"nginx" + sha, "nginx:1" + sha, "h.x:5000/w:1" + sha, "x@sha512:" + strings.Repeat("0", 128), " nginx ", "a//b", "-", "a/b/", "GHCR.io/a", "h.x:/a", "ftp://x", "h:99999/x",
		"NGINX:1:2", "nginx@sha256:00", "nginx" + strings.ToUpper(sha), "nginx@", "@", ":", ":1", "nginx:", "nginx::1", "a b", "A/b", "h.x/A", "u@h.x/w", "h.x", "h.x/", "/x", "https://ghcr.io/x",
		"http://x", "é", "h.x:é/a", "h x.y/a", "x@md5:00", "nginx" + sha + sha, "nginx:" + strings.Repeat("1", 128), "nginx:" + strings.Repeat("1", 129), "h.x/" + strings.Repeat("a", 255), "h.x/" + strings.Repeat("a", 256),
		"h.x/a\n", "h.x/a\x00", "%41.x/a", "a?b.c/d", "a#b.c/d", "[::1/x", "h.x:80:81/x",
	} {
		sameVerdict(t, ref)
	}
	part := rapid.SampledFrom([]string{"a", "Z", "9", ".", "_", "-", "/", ":", "@", "localhost", "h.x", ":5000", "[::1]", "sha256:", sha, strings.Repeat("f", 64), " ", "%", "é", "?", "#"})
	rapid.Check(t, func(t *rapid.T) { sameVerdict(t, strings.Join(rapid.SliceOfN(part, 1, 9).Draw(t, "parts"), "")) })
}

// TestRangesOfSomeVersionAreAccepted draws ranges, and a version that is in the range proves that it is not empty.
func TestRangesOfSomeVersionAreAccepted(t *testing.T) {
	number := rapid.SampledFrom([]string{"0", "1", "2", "3", "10"})
	version := rapid.Custom(func(t *rapid.T) string {
		v := number.Draw(t, "major")
		for range rapid.IntRange(0, 2).Draw(t, "parts") {
			v += "." + number.Draw(t, "part")
		}
		return v + rapid.SampledFrom([]string{"", "", "", "-0", "-a", "-a.1"}).Draw(t, "end")
	})
	limit := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "=", "!=", ">", "<", ">=", "<=", "~", "^"}).Draw(t, "sign") + version.Draw(t, "version")
	})
	rapid.Check(t, func(t *rapid.T) {
		within := strings.Join(rapid.SliceOfN(limit, 1, 4).Draw(t, "limits"), rapid.SampledFrom([]string{" ", " ", ", ", " || "}).Draw(t, "between"))
		limits, err := semver.NewConstraint(within)
		if err != nil {
			t.Skip()
		}
		v, err := semver.NewVersion(version.Draw(t, "in it"))
		if err == nil && limits.Check(v) && manifest.RangeFault(within) != "" {
			t.Fatalf("%s is in %q: %s", v, within, manifest.RangeFault(within))
		}
	})
	for _, within := range []string{">=1.2 <2", "*", "1.x", "16.x", "^0", "~1.2", "1.0 - 2.5", ">1", ">1.2", "!=0", "!=0 !=1", ">=1.0-0", "<0.0.1", "=2.0.0-rc.1", ">1.0.0-a <1.0.0-b", "1.2.x || 3"} {
		if why := manifest.RangeFault(within); why != "" {
			t.Errorf("%s: %s", within, why)
		}
	}
	for _, within := range []string{">=2 <1", "<0", "<0.0.0", ">1.2.3 <1.2.4", "=1 =2", "^1 ^2", "!=*"} {
		if manifest.RangeFault(within) == "" {
			t.Errorf("%s is accepted", within)
		}
	}
}

// TestPatternsThatCanCaptureANumberAreAccepted draws patterns and numbers, and one that is captured proves the pattern.
func TestPatternsThatCanCaptureANumberAreAccepted(t *testing.T) {
	part := rapid.SampledFrom([]string{"main-", "[0-9]+", `\d`, "(", ")", "|", ".", `\.`, "?", "*", "+", "^", "$", "[a-f0-9]", "[a-z]", "(?:", "{2}", "1", "(?i)a"})
	number := rapid.StringMatching(`[0-9]{1,3}(\.[0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(part, 1, 7).Draw(t, "pattern"), "")
		re, err := regexp.Compile(pattern)
		if err != nil {
			t.Skip()
		}
		tag := rapid.SampledFrom([]string{"", "main-", "a"}).Draw(t, "before") + number.Draw(t, "number")
		m := re.FindStringSubmatch(tag)
		if m == nil {
			t.Skip()
		}
		captured := tag
		if len(m) > 1 {
			captured = m[1]
		}
		if regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`).MatchString(captured) && manifest.NoNumber(pattern) {
			t.Fatalf("%s captures %q of %s, and is refused", pattern, captured, tag)
		}
	})
}

// TestPolicyAloneIsOfTheBuildSectionsImage needs no second word for what build.image says.
func TestPolicyAloneIsOfTheBuildSectionsImage(t *testing.T) {
	tree, err := readText("app: a\nbuild: {image: ghcr.io/acme/web}\nsource: {policy: {semver: 1.x}}\n")
	if err != nil || len(tree.Warnings) > 0 {
		t.Fatalf("%v %v", err, tree.Warnings)
	}
	want := manifest.Source{Type: "image", Image: "ghcr.io/acme/web", Policy: manifest.ImagePolicy{Semver: "1.x"}}
	if got := tree.Apps[0].App; got.Source.Type != want.Type || got.Source.Image != want.Image || got.Source.Policy != want.Policy || got.ImageRef() != want.Image {
		t.Errorf("got %+v", got.Source)
	}
}

// TestOneSpellingEachInTwoFilesIsNoMistake lets an app say anew what its project says in the other spelling.
func TestOneSpellingEachInTwoFilesIsNoMistake(t *testing.T) {
	tree, err := manifest.Read(fstest.MapFS{
		"project.yaml":  {Data: []byte("project: shop\nsource: {type: local, path: apps}\ncommon: {app_defaults: {build: {build_target: old}}}\n")},
		"apps/app.yaml": {Data: []byte("app: web\nbuild: {build-target: new}\n")},
	}, ".", manifest.Options{})
	if err != nil || tree.Apps[0].App.Build.Target != "new" {
		t.Errorf("%v %+v", err, tree.Apps)
	}
}
