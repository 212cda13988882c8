package dispatcher

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/catalog"
)

func TestPackagesAreRead(t *testing.T) {
	body, version := payloadOf(t, "package.published.json"), "package.package_version."
	older := []byte(strings.Replace(string(body), `"package": {`, `"registry_package": {`, 1))
	const bot = "github-actions[bot]"
	for name, c := range map[string]struct {
		event string
		body  []byte
		want  []catalog.ImagePush
	}{
		"a package":               {"package", body, told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"its older name":          {"registry_package", older, told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"a tag that moved":        {"package", changed(t, body, "action", `"updated"`), told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"no URL":                  {"package", changed(t, body, version+"package_url", ""), told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"another host":            {"package", changed(t, body, version+"package_url", `"containers.github.example.com/acme/web:1"`), told("containers.github.example.com/acme/web:1.2.3@"+tagged, "", bot)},
		"the URL's tag":           {"package", changed(t, body, version+"container_metadata", `null`), told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"no digest":               {"package", changed(t, changed(t, body, version+"version", `"v1"`), version+"container_metadata.tag.digest", `"sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"`), told("ghcr.io/acme/web:1.2.3", "", bot)},
		"the version's digest":    {"package", changed(t, body, version+"container_metadata.tag.digest", `""`), told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"other types elsewhere":   {"package", changed(t, changed(t, body, version+"body", `{"x":[1]}`), "repository", `7`), told("ghcr.io/acme/web:1.2.3@"+tagged, "", bot)},
		"a sender with a newline": {"package", changed(t, body, "sender.login", `"e\nve"`), told("ghcr.io/acme/web:1.2.3@"+tagged, "", "eve")},
	} {
		got, err := parse(verified{delivery{contentType: "application/json", event: c.event, body: c.body}})
		if diff := cmp.Diff(c.want, got.images); err != nil || diff != "" || got.ignored != "" {
			t.Errorf("%s: %v, ignored %q (-want +got):\n%s", name, err, got.ignored, diff)
		}
	}
}

func TestOtherPackagesAreIgnoredWithAReason(t *testing.T) {
	body, version := payloadOf(t, "package.published.json"), "package.package_version."
	npm := changed(t, changed(t, body, "package.package_type", `"npm"`), "package.ecosystem", `"NPM"`)
	for want, b := range map[string][]byte{
		`nothing is done at the action "deleted"`:                        changed(t, body, "action", `"deleted"`),
		`nothing is done at the action ""`:                               []byte("{}"),
		`package "web" is no container image but of the type "npm"`:      npm,
		`package "web" is no container image but of the type "npm" `:     changed(t, npm, version+"package_url", `7`),
		`package "web" has no version`:                                   changed(t, body, "package.package_version", `null`),
		"ghcr.io/acme/web was pushed without a tag":                      changed(t, changed(t, body, version+"container_metadata.tag.name", `""`), version+"package_url", `"ghcr.io/acme/web:"`),
		"ghcr.io/codertocat/hello-world was pushed without a tag: the p": payloadOf(t, "registry_package.published.docker.payload.json"),
	} {
		got, err := parse(verified{delivery{contentType: "application/json", event: "registry_package", body: b}})
		if err != nil || !strings.HasPrefix(got.ignored, "registry_package: "+strings.TrimSpace(want)) || len(got.images) > 0 {
			t.Errorf("got %+v, %v, want %q", got, err, want)
		}
	}
}

func TestWhatIsNoPackageIsNotUnderstood(t *testing.T) {
	body, version := payloadOf(t, "package.published.json"), "package.package_version."
	for name, b := range map[string][]byte{
		"nothing": nil, "no JSON": []byte("x"), "null": []byte("null"), "a list": []byte("[]"), "half": body[:500],
		"a number as action":   changed(t, body, "action", "1"),
		"no package":           changed(t, body, "package", ""),
		"null as package":      changed(t, body, "package", "null"),
		"a text as package":    changed(t, body, "package", `"web"`),
		"a list as name":       changed(t, body, "package.name", "[]"),
		"a number as URL":      changed(t, body, version+"package_url", "1"),
		"a text as tag":        changed(t, body, version+"container_metadata.tag", `"1"`),
		"a tag with a slash":   changed(t, body, version+"container_metadata.tag.name", `"a/b"`),
		"a tag with a newline": changed(t, body, version+"container_metadata.tag.name", `"a\nb"`),
		"no name at all":       changed(t, changed(t, body, version+"package_url", `""`), "package.name", `""`),
		"an ugly name":         changed(t, changed(t, body, version+"package_url", `""`), "package.name", `"../x"`),
		"deep":                 changed(t, body, "package.package_version.x", strings.Repeat("[", 9000)+strings.Repeat("]", 9000)),
		"deeper":               []byte(`{"action":"published","package":` + strings.Repeat("[", 1<<20) + `}`),
		"a long name":          changed(t, changed(t, body, version+"package_url", `""`), "package.name", `"`+strings.Repeat("x", 1<<20)+`"`),
	} {
		e, err := parse(verified{delivery{contentType: "application/json", event: "package", body: b}})
		if name == "deep" {
			if err != nil || len(e.images) != 1 {
				t.Errorf("%s: got %+v, %v", name, e, err)
			}
			continue
		}
		if !errors.Is(err, errNotUnderstood) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: the error repeats the body: %d characters", name, len(err.Error()))
		}
	}
}

// FuzzPackage does for GitHub's what FuzzRegistry does for others.
func FuzzPackage(f *testing.F) {
	f.Add("package", payloadOf(f, "package.published.json"))
	f.Add("registry_package", payloadOf(f, "registry_package.published.docker.payload.json"))
	f.Add("package", []byte(`{"action":"updated","package":{"package_type":"docker","package_version":{"package_url":"ghcr.io/a/b:"}}}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		if !isPackage(name) {
			name = "package"
		}
		e, err := parse(verified{delivery{event: name, guid: "guid", contentType: "application/json", body: body}})
		judge(t, e, err)
	})
}
