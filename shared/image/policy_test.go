package image_test

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/manifest"
)

// policies is the table of tags and policies with the tag that each takes; no tag where none fits.
var policies = []struct {
	name   string
	policy manifest.ImagePolicy
	tags   string
	want   string
}{
	{"no rule chooses nothing", manifest.ImagePolicy{}, "1.0.0 latest", ""},
	{"a followed digest chooses nothing", manifest.ImagePolicy{Digest: true}, "1.0.0 latest", ""},

	{"the highest in the range", manifest.ImagePolicy{Semver: ">=1.2 <2"}, "1.0.0 1.2.0 1.10.1 1.9.9 2.0.0 latest", "1.10.1"},
	{"none in the range", manifest.ImagePolicy{Semver: ">=3"}, "1.0.0 2.0.0", ""},
	{"no tags", manifest.ImagePolicy{Semver: ">=1"}, "", ""},
	{"v in front", manifest.ImagePolicy{Semver: "^1"}, "v1.4.0 1.3.0 v2.0.0", "v1.4.0"},
	{"caret", manifest.ImagePolicy{Semver: "^1.2.3"}, "1.2.2 1.2.3 1.9.0 2.0.0", "1.9.0"},
	{"tilde", manifest.ImagePolicy{Semver: "~1.2"}, "1.2.0 1.2.9 1.3.0", "1.2.9"},
	{"wildcard", manifest.ImagePolicy{Semver: "16.x"}, "15.8 16.3 16.4 17.0 latest", "16.4"},
	{"either", manifest.ImagePolicy{Semver: "1.x || 3.x"}, "1.0.0 2.0.0 3.1.0 4.0.0", "3.1.0"},
	{"hyphen", manifest.ImagePolicy{Semver: "1.0 - 2.5"}, "1.0.0 2.5.0 2.6.0", "2.5.0"},
	{"pre-releases are out", manifest.ImagePolicy{Semver: ">=1.0"}, "1.0.0 1.1.0-rc.1", "1.0.0"},
	{"unless the range names one", manifest.ImagePolicy{Semver: ">=1.0-0"}, "1.0.0 1.1.0-rc.1 1.1.0-beta.9", "1.1.0-rc.1"},
	{"a release beats its pre-releases", manifest.ImagePolicy{Semver: ">=1.0-0"}, "1.1.0-rc.1 1.1.0", "1.1.0"},
	{"variants are pre-releases", manifest.ImagePolicy{Semver: ">=1.27"}, "1.27.1 1.28.0-alpine", "1.27.1"},
	{"floating tags lose to what they stand for", manifest.ImagePolicy{Semver: ">=1"}, "1 1.27 1.27.0 latest", "1.27.0"},
	{"two parts are a version", manifest.ImagePolicy{Semver: ">=1"}, "1.26 1.27", "1.27"},
	{"a number alone is none: commits and dates", manifest.ImagePolicy{Semver: ">=1.0"}, "1234567 20240131 1.4.0", "1.4.0"},
	{"two spellings of one version", manifest.ImagePolicy{Semver: ">=1"}, "v1.2.0 1.2.0 1.2", "v1.2.0"},
	{"of two as long the first by alphabet", manifest.ImagePolicy{Regex: `-(\d+)$`, Sort: "number"}, "b-7 a-7 c-7 a-6", "a-7"},
	{"commits, branches and signatures are no versions", manifest.ImagePolicy{Semver: "*"}, "main sha-1f2e sha256-ab.sig 0.1.0 edge", "0.1.0"},

	{"the last by alphabet", manifest.ImagePolicy{Regex: `^main-`}, "main-a main-c main-b zzz", "main-c"},
	{"a pattern may match a part", manifest.ImagePolicy{Regex: `alpine`}, "1.2-alpine 1.3-alpine 1.4", "1.3-alpine"},
	{"what is captured is sorted", manifest.ImagePolicy{Regex: `^[a-f0-9]+-(\d+)$`, Sort: "number"}, "ff-9 aa-10 0a-8 main", "aa-10"},
	{"a named group as well", manifest.ImagePolicy{Regex: `^main-[a-f0-9]+-(?P<ts>\d+)$`, Sort: "number"}, "main-aa-1643378400 main-bb-1643378500", "main-bb-1643378500"},
	{"by number, not by alphabet", manifest.ImagePolicy{Regex: `^build-(\d+)$`, Sort: "number"}, "build-9 build-10 build-0100", "build-0100"},
	{"by alphabet, not by number", manifest.ImagePolicy{Regex: `^build-(\d+)$`, Sort: "text"}, "build-9 build-10 build-0100", "build-9"},
	{"numbers of any length", manifest.ImagePolicy{Regex: `(\d+)`, Sort: "number"}, "t18446744073709551616 t18446744073709551617 t9", "t18446744073709551617"},
	{"fractions", manifest.ImagePolicy{Regex: `^r([0-9.]+)$`, Sort: "number"}, "r1.5 r1.25 r1.50 r1.2.3", "r1.50"},
	{"what is no number takes no part", manifest.ImagePolicy{Regex: `^v(.*)$`, Sort: "number"}, "v2 vnext v3", "v3"},
	{"a group that took no part", manifest.ImagePolicy{Regex: `^(?:v(\d+)|latest)$`, Sort: "text"}, "latest v1", "v1"},
	{"captured versions", manifest.ImagePolicy{Regex: `^web-v(.+)$`, Sort: "semver"}, "web-v1.9.0 web-v1.10.0 api-v3.0.0", "web-v1.10.0"},
	{"the pattern lets pre-releases through", manifest.ImagePolicy{Regex: `^v(.+)$`, Sort: "semver"}, "v1.0.0 v1.1.0-rc1", "v1.1.0-rc1"},
	{"a captured number is a version", manifest.ImagePolicy{Regex: `^r(\d+)$`, Semver: ">=2"}, "r1 r2 r10", "r10"},
	{"range and pattern", manifest.ImagePolicy{Regex: `^(.*)-alpine$`, Semver: ">=1.2 <2"}, "1.3.0 1.2.5-alpine 1.2.10-alpine 2.0.0-alpine", "1.2.10-alpine"},
	{"range and pattern, by alphabet", manifest.ImagePolicy{Regex: `^(.*)-alpine$`, Semver: ">=1", Sort: "text"}, "1.9.0-alpine 1.10.0-alpine", "1.9.0-alpine"},
	{"order alone: versions but pre-releases", manifest.ImagePolicy{Sort: "semver"}, "1.0.0 2.0.0-rc1 latest", "1.0.0"},
	{"order alone: numbers", manifest.ImagePolicy{Sort: "number"}, "7 12 latest", "12"},
	{"names that are no tags", manifest.ImagePolicy{Regex: `.`}, "ok -no .no ünicode zz/top", "ok"},
}

func TestPoliciesPick(t *testing.T) {
	for _, c := range policies {
		t.Run(c.name, func(t *testing.T) {
			tags := strings.Fields(c.tags)
			got, ok, err := image.Choose(tags, c.policy)
			if err != nil || got != c.want || ok != (c.want != "") {
				t.Errorf("took %q, %v, %v; want %q", got, ok, err, c.want)
			}
			slices.Reverse(tags)
			if again, _, _ := image.Choose(tags, c.policy); again != got {
				t.Errorf("took %q of the tags in reverse, %q before", again, got)
			}
		})
	}
}

func TestUnreadablePolicyIsRejectedByItsKey(t *testing.T) {
	for says, p := range map[string]manifest.ImagePolicy{
		`source.policy.semver: "newest"`: {Semver: "newest"},
		`source.policy.regex: "v(\\d+"`:  {Regex: `v(\d+`},
		"missing closing )":              {Regex: `v(\d+`},
		`source.policy.sort: "age"`:      {Sort: "age"},
	} {
		_, ok, err := image.Choose([]string{"1.0.0"}, p)
		if ok {
			t.Errorf("%+v took a tag", p)
		}
		imagetest.WantRejected(t, err, says)
	}
}

// drawTags makes lists with many equal and nearly equal tags.
func drawTags(t *rapid.T) []string {
	number := rapid.SampledFrom([]string{"0", "1", "2", "10", "010", "18446744073709551616"})
	tag := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			s := rapid.SampledFrom([]string{"", "v"}).Draw(t, "v") + number.Draw(t, "major")
			for range rapid.IntRange(0, 3).Draw(t, "parts") {
				s += "." + number.Draw(t, "part")
			}
			return s + rapid.SampledFrom([]string{"", "-rc.1", "-alpine"}).Draw(t, "end")
		}),
		rapid.SampledFrom([]string{"latest", "main-12", "main-9", "build-7", "-no", ""}),
		rapid.String(),
	)
	return rapid.SliceOfN(tag, 0, 12).Draw(t, "tags")
}

var drawPolicy = rapid.Custom(func(t *rapid.T) manifest.ImagePolicy {
	return manifest.ImagePolicy{
		Semver: rapid.SampledFrom([]string{"", "*", ">=1", "^1.1", ">=1.0-0", "1.x || 10.x"}).Draw(t, "semver"),
		Regex:  rapid.SampledFrom([]string{"", ".", `^v(.*)$`, `(\d+)$`, `^(main|build)-(\d+)`, `^(?:x(\d)|.*)$`}).Draw(t, "regex"),
		Sort:   rapid.SampledFrom([]string{"", "number", "text", "semver"}).Draw(t, "sort"),
	}
})

// What is taken is one of the tags, obeys the policy, does not depend on their order, is taken again when those that lost are
// gone, and is beaten by nothing.
func TestChoiceObeysThePolicyInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags, p := drawTags(t), drawPolicy.Draw(t, "policy")
		got, ok, err := image.Choose(tags, p)
		if err != nil {
			t.Fatal(err)
		}
		again, _, _ := image.Choose(rapid.Permutation(tags).Draw(t, "order"), p)
		if again != got {
			t.Fatalf("took %q, and %q in another order", got, again)
		}
		if !ok {
			for _, one := range tags {
				if _, alone, _ := image.Choose([]string{one}, p); alone {
					t.Fatalf("took none, and %q when it is alone", one)
				}
			}
			return
		}
		if !slices.Contains(tags, got) || p == (manifest.ImagePolicy{}) {
			t.Fatalf("took %q of %q", got, tags)
		}
		for _, other := range tags {
			if two, _, _ := image.Choose([]string{other, got}, p); two != got {
				t.Fatalf("took %q, and of %q and it the other", got, other)
			}
		}
		obeys(t, got, p)
	})
}

// obeys looks at a policy in another way than the code does.
func obeys(t *rapid.T, tag string, p manifest.ImagePolicy) {
	captured := tag
	if p.Regex != "" {
		m := regexp.MustCompile(p.Regex).FindStringSubmatch(tag)
		if m == nil {
			t.Fatalf("%q does not match %s", tag, p.Regex)
		}
		if len(m) > 1 {
			captured = m[1]
		}
	}
	if p.Semver != "" {
		within, err := semver.NewConstraint(p.Semver)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := semver.NewVersion(captured); err != nil || !within.Check(v) {
			t.Fatalf("%q is not in %s: %v", captured, p.Semver, err)
		}
	}
	if _, ok := new(big.Rat).SetString(captured); p.Sort == "number" && !ok {
		t.Fatalf("%q is no number", captured)
	}
}

func TestNumbersSortAsNumbers(t *testing.T) {
	digits := rapid.StringMatching(`[0-9]{1,25}(\.[0-9]{1,5})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := digits.Draw(t, "a"), digits.Draw(t, "b")
		got, _, err := image.Choose([]string{a, b}, manifest.ImagePolicy{Sort: "number"})
		if err != nil {
			t.Fatal(err)
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if c := x.Cmp(y); c > 0 && got != a || c < 0 && got != b {
			t.Fatalf("took %s of %s and %s", got, a, b)
		}
	})
}

func FuzzChoose(f *testing.F) {
	for _, c := range policies {
		f.Add(c.tags, c.policy.Semver, c.policy.Regex, c.policy.Sort)
	}
	valid := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	f.Fuzz(func(t *testing.T, tags, within, pattern, order string) {
		list := strings.Split(tags, " ")
		p := manifest.ImagePolicy{Semver: within, Regex: pattern, Sort: order}
		got, ok, err := image.Choose(list, p)
		if err != nil {
			imagetest.WantRejected(t, err, "source.policy.")
			return
		}
		if ok && (!slices.Contains(list, got) || !valid.MatchString(got)) || !ok && got != "" {
			t.Errorf("took %q of %q", got, list)
		}
		slices.Reverse(list)
		if again, _, _ := image.Choose(list, p); again != got {
			t.Errorf("took %q, in reverse %q", got, again)
		}
	})
}
