package catalog_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
)

const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"

func TestOneImageHasOneKey(t *testing.T) {
	for want, spellings := range map[string][]string{
		"docker.io/library/nginx": {
			"nginx", "Nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/library/nginx", "index.docker.io/nginx",
			"registry-1.docker.io/library/nginx", "registry.hub.docker.com/library/nginx", "nginx:1.27", "nginx@" + digest, "nginx:1.27@" + digest, "docker.io:443/nginx", "nginx:",
		},
		"docker.io/acme/web":           {"acme/web", "docker.io/acme/web", "ACME/web:latest", "registry.hub.docker.com/acme/web"},
		"ghcr.io/acme/web":             {"ghcr.io/acme/web", "GHCR.io/Acme/Web:1.2", "ghcr.io:443/acme/web", "ghcr.io/Acme/web:"},
		"registry.example.com:5000/a":  {"registry.example.com:5000/a", "Registry.example.com:5000/A:1"},
		"localhost/a":                  {"localhost/a"},
		"localhost:5000/a/b":           {"localhost:5000/a/b:1"},
		"gcr.io/a/b/c/d":               {"gcr.io/a/b/c/d"},
		"registry.fly.io/my-app":       {"registry.fly.io/my-app:deployment-01"},
		"ghcr.io/a__b/c--d.e_f":        {"ghcr.io/a__b/c--d.e_f"},
		"1.dkr.ecr.eu.amazonaws.com/a": {"1.dkr.ecr.eu.amazonaws.com/a:1"},
	} {
		for _, s := range spellings {
			img, ok := catalog.ParseImage(s)
			if !ok || img.Repository != want {
				t.Errorf("%s is %q (%t), want %q", s, img.Repository, ok, want)
			}
			if got := catalog.ImageKey(catalog.Entry{Image: s}); got != want {
				t.Errorf("the key of %s is %q, want %q", s, got, want)
			}
		}
	}
}

func TestTagAndDigestAreTakenApart(t *testing.T) {
	for ref, want := range map[string]catalog.Image{
		"ghcr.io/acme/web":                      {Repository: "ghcr.io/acme/web"},
		"ghcr.io/acme/web:V1.2_a-b":             {Repository: "ghcr.io/acme/web", Tag: "V1.2_a-b"},
		"ghcr.io/acme/web@" + digest:            {Repository: "ghcr.io/acme/web", Digest: digest},
		"ghcr.io/acme/web:1@" + digest:          {Repository: "ghcr.io/acme/web", Tag: "1", Digest: digest},
		"localhost:5000/web":                    {Repository: "localhost:5000/web"},
		"localhost:5000/web:5000":               {Repository: "localhost:5000/web", Tag: "5000"},
		"ghcr.io/a:" + strings.Repeat("x", 128): {Repository: "ghcr.io/a", Tag: strings.Repeat("x", 128)},
	} {
		if got, ok := catalog.ParseImage(ref); !ok || got != want {
			t.Errorf("%s is %+v (%t), want %+v", ref, got, ok, want)
		}
		if again, ok := catalog.ParseImage(want.String()); !ok || again != want {
			t.Errorf("%s is %+v (%t), want %+v", want, again, ok, want)
		}
	}
}

func TestWhatIsNoImageHasNoKey(t *testing.T) {
	for _, ref := range []string{
		"", " ", "/", "a/", "/a", "a//b", "ghcr.io/", "https://ghcr.io/a", "a b", "a\nb", "a\x00b", "a:b c", "a:-b", "a:b/c", "a:" + strings.Repeat("x", 129), "a@sha256:1", "a@", "a@" + digest + "@" + digest,
		"a@sha256:" + strings.Repeat("g", 64), "ghcr.io/../a", "ghcr.io/a/..", "ghcr.io/-a", "user:password@ghcr.io/a", "ghcr.io/ä", "*", "ghcr.io/a*", "{{image}}", strings.Repeat("a", 240), strings.Repeat("a", 1025), "ghcr.io:port/a", "[::1]:5000/a",
	} {
		if img, ok := catalog.ParseImage(ref); ok {
			t.Errorf("%q is %+v", ref, img)
		}
	}
	if got := catalog.ImageKey(catalog.Entry{}); got != "" {
		t.Errorf("an app that is built has the key %q", got)
	}
}

// FuzzImage looks for a text that is an image and not its own spelling, or whose key would be another key's.
func FuzzImage(f *testing.F) {
	for _, s := range []string{"nginx", "ghcr.io/acme/web:1.2@" + digest, "localhost:5000/a", "a:b@c", "index.docker.io/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		img, ok := catalog.ParseImage(s)
		if !ok {
			return
		}
		if again, ok := catalog.ParseImage(img.String()); !ok || again != img {
			t.Errorf("%q is %+v, and that is %+v (%t)", s, img, again, ok)
		}
		if strings.ContainsAny(img.Repository, " \n\x00@*") || img.Repository != strings.ToLower(img.Repository) || strings.ContainsAny(img.Tag, " :/@\n") {
			t.Errorf("%q is %+v", s, img)
		}
	})
}

func TestPolicySaysWhichTagsMayMatter(t *testing.T) {
	type policy = catalog.ImagePolicy
	for _, c := range []struct {
		image  string
		policy policy
		tag    string
		want   bool
		why    string
	}{
		// A range of versions.
		{"ghcr.io/acme/web", policy{Semver: ">=1.2"}, "1.2.0", true, ""},
		{"ghcr.io/acme/web", policy{Semver: ">=1.2"}, "v1.3", true, ""},
		{"ghcr.io/acme/web:1.2", policy{Semver: ">=1.2 <2"}, "1.9.9", true, ""},
		{"ghcr.io/acme/web", policy{Semver: ">=1.2 <2"}, "2.0.0", false, "tag 2.0.0 does not match >=1.2 <2 of app web"},
		{"ghcr.io/acme/web", policy{Semver: ">=1.2"}, "1.1.9", false, "tag 1.1.9 does not match >=1.2 of app web"},
		{"ghcr.io/acme/web", policy{Semver: ">=1.2"}, "nightly", false, "tag nightly does not match >=1.2 of app web"},
		{"ghcr.io/acme/web", policy{Semver: ">=1.2"}, "1.3.0-rc.1", false, "tag 1.3.0-rc.1 does not match >=1.2 of app web"},
		{"ghcr.io/acme/web", policy{Semver: ">=1.2-0"}, "1.3.0-rc.1", true, ""},
		{"ghcr.io/acme/web", policy{Semver: "~1.2 || 3.x"}, "3.4.5", true, ""},
		{"ghcr.io/acme/web", policy{Semver: "*"}, "latest", false, "tag latest does not match * of app web"},
		{"ghcr.io/acme/web", policy{Semver: "newest"}, "1.2.0", false, "source.policy.semver of app web is no range of versions"},
		// A pattern, with and without a group.
		{"ghcr.io/acme/web", policy{Regex: "^main-[0-9]+$"}, "main-17", true, ""},
		{"ghcr.io/acme/web", policy{Regex: "^main-[0-9]+$"}, "dev-17", false, "tag dev-17 does not match ^main-[0-9]+$ of app web"},
		{"ghcr.io/acme/web", policy{Regex: "^main-([0-9]+)$", Sort: "number"}, "main-17", true, ""},
		{"ghcr.io/acme/web", policy{Regex: "^rel-(.*)$", Semver: ">=2"}, "rel-2.1.0", true, ""},
		{"ghcr.io/acme/web", policy{Regex: "^rel-(.*)$", Semver: ">=2"}, "rel-1.9.0", false, "tag rel-1.9.0 does not match >=2 of app web"},
		{"ghcr.io/acme/web", policy{Regex: "^rel-(.*)$", Semver: ">=2"}, "2.1.0", false, "tag 2.1.0 does not match ^rel-(.*)$ of app web"},
		{"ghcr.io/acme/web", policy{Regex: "^rel-(.*)$", Semver: ">=2"}, "rel-x", false, "tag rel-x does not match >=2 of app web"},
		{"ghcr.io/acme/web", policy{Regex: "-alpine$", Semver: ">=2"}, "2.1.0-alpine", false, "tag 2.1.0-alpine does not match >=2 of app web"},
		{"ghcr.io/acme/web", policy{Regex: "("}, "x", false, "source.policy.regex of app web is no regular expression"},
		{"ghcr.io/acme/web", policy{Regex: "^(?:a-(.*)|b-.*)$"}, "b-1", false, "tag b-1 does not match ^(?:a-(.*)|b-.*)$ of app web"},
		// An order alone: every tag that can be sorted.
		{"ghcr.io/acme/web", policy{Sort: "text"}, "nightly", true, ""},
		{"ghcr.io/acme/web", policy{Sort: "number"}, "17", true, ""},
		{"ghcr.io/acme/web", policy{Sort: "number"}, "1.5", true, ""},
		{"ghcr.io/acme/web", policy{Sort: "number"}, "v17", false, "tag v17 is no number, as source.policy.sort of app web asks for"},
		{"ghcr.io/acme/web", policy{Sort: "semver"}, "1.2", true, ""},
		{"ghcr.io/acme/web", policy{Sort: "semver"}, "nightly", false, "tag nightly is no version, as source.policy.sort of app web asks for"},
		{"ghcr.io/acme/web", policy{Regex: "^b-(.*)$", Sort: "number"}, "b-x", false, "tag b-x is no number, as source.policy.sort of app web asks for"},
		{"ghcr.io/acme/web", policy{Regex: "^b-(.*)$", Sort: "semver"}, "b-2", true, ""},
		// A whole tag that is a number alone is no version: it may be a commit.
		{"ghcr.io/acme/web", policy{Semver: ">=1"}, "20261124", false, "tag 20261124 does not match >=1 of app web"},
		{"ghcr.io/acme/web", policy{Regex: "^r([0-9]+)$", Semver: ">=1"}, "r2", true, ""},
		// A tag that moves.
		{"ghcr.io/acme/web:prod", policy{Digest: true}, "prod", true, ""},
		{"ghcr.io/acme/web:prod", policy{Digest: true}, "dev", false, "tag dev is not prod, which app web follows"},
		{"ghcr.io/acme/web", policy{Digest: true}, "latest", true, ""},
		{"ghcr.io/acme/web", policy{Digest: true}, "1", false, "tag 1 is not latest, which app web follows"},
		{"ghcr.io/acme/web:Prod", policy{Digest: true}, "prod", false, "tag prod is not Prod, which app web follows"},
		{"ghcr.io/acme/web:prod", policy{Digest: true, Semver: ">=1"}, "prod", true, ""},
		{"ghcr.io/acme/web:prod", policy{Digest: true, Semver: ">=1"}, "1.2.3", true, ""},
		{"ghcr.io/acme/web:prod", policy{Digest: true, Semver: ">=1"}, "dev", false, "tag dev does not match >=1 of app web"},
		{"ghcr.io/acme/web:prod@" + digest, policy{Digest: true}, "prod", false, "app web names ghcr.io/acme/web:prod@" + digest + " by its digest, and so follows no tag"},
		// Nothing is followed.
		{"ghcr.io/acme/web:1.2", policy{}, "1.2", false, "app web names ghcr.io/acme/web:1.2 without source.policy; set source.policy.digest to follow it"},
		{"ghcr.io/acme/web", policy{}, "latest", false, "app web names ghcr.io/acme/web:latest without source.policy; set source.policy.digest to follow it"},
		{"ghcr.io/acme/web@" + digest, policy{}, "latest", false, "app web names ghcr.io/acme/web@" + digest + " by its digest, and so follows no tag"},
		{"no image", policy{Digest: true}, "latest", false, `app web names "no image", which is no image`},
	} {
		r := catalog.ImageRoute{App: "web", Image: c.image, Policy: c.policy, Auto: true}
		if ok, why := r.Follows(c.tag); ok != c.want || why != c.why {
			t.Errorf("%s with %+v at %s: %t %q, want %t %q", c.image, c.policy, c.tag, ok, why, c.want, c.why)
		}
		r.Auto = false
		if ok, why := r.Follows(c.tag); ok || !strings.Contains(why, "sync.auto: false") {
			t.Errorf("%s at %s without auto-sync: %t %q", c.image, c.tag, ok, why)
		}
	}
}
