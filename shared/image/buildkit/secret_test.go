package buildkit_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestSecretsReachTheirStepsAndStayNowhere(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	dir := t.TempDir()
	r := imagetest.RegistryIn(t, dir, "")
	b := builder(t, r)
	const file, variable, multi = "hunter2-in-a-file", "hunter2-in-a-variable", "first-hunter2-line\nsecond-hunter2-line\n"
	var log bytes.Buffer
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\n" +
		"RUN --mount=type=secret,id=file [\"/step\", \"hash\", \"/run/secrets/file\"]\n" +
		"RUN --mount=type=secret,id=multi,target=/there [\"/step\", \"hash\", \"/there\"]\n" +
		"RUN --mount=type=secret,id=var,env=TOKEN [\"/step\", \"hash\", \"TOKEN\"]\n" +
		// a step that shows its secrets by mistake
		"RUN --mount=type=secret,id=file --mount=type=secret,id=multi [\"/step\", \"show\", \"/run/secrets/file\", \"/run/secrets/multi\"]\n" +
		"RUN [\"/step\", \"absent\", \"/run/secrets/file\"]\n"})
	req.Log, req.Cache, req.Provenance = &log, "max", true
	req.Secrets = map[string]manifest.Secret{
		"file": manifest.NewSecret(file), "var": manifest.NewSecret(variable), "multi": manifest.NewSecret(multi), "unused": manifest.NewSecret("hunter2-unused"),
	}
	mustBuild(t, b, req)
	for _, v := range []string{file, variable, multi} {
		imagetest.WantSays(t, "log", log.String(), fmt.Sprintf("hash %x", sha256.Sum256([]byte(v))))
	}
	imagetest.WantSays(t, "log", log.String(), "shows [secret]", "absent true")
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("a secret is in the log:\n%s", &log)
	}
	if places := holding(t, "hunter2", b.Dir, dir); len(places) > 0 {
		t.Errorf("a secret is in %v", places)
	}
	if places := holding(t, `"architecture":"amd64"`, dir); len(places) == 0 {
		t.Error("nothing is found in the registry at all: nothing is proven")
	}
}

// holding gives the files, compressed ones as well, in which a text is.
func holding(tb testing.TB, text string, dirs ...string) []string {
	tb.Helper()
	var found []string
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // what buildkitd takes away meanwhile
			}
			raw, err := os.ReadFile(p)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			if z, err := gzip.NewReader(bytes.NewReader(raw)); err == nil {
				if plain, err := io.ReadAll(z); err == nil {
					raw = plain
				}
			}
			if bytes.Contains(raw, []byte(text)) {
				found = append(found, p)
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return found
}

func TestSSHKeysSignForStepsAndCannotBeTakenAway(t *testing.T) {
	b, r := sharedBuilder(t)
	first, firstPrint := imagetest.Key(t)
	second, secondPrint := imagetest.Key(t)
	var log bytes.Buffer
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\n" +
		"RUN --mount=type=ssh [\"/step\", \"ssh\"]\n" +
		"RUN --mount=type=ssh,id=other [\"/step\", \"ssh\"]\n" +
		"RUN --mount=type=ssh [\"/step\", \"ssh\", \"again\"]\n"})
	req.Log, req.SSH = &log, map[string]manifest.Secret{"default": manifest.NewSecret(first), "other": manifest.NewSecret(second)}
	mustBuild(t, b, req)
	for print, want := range map[string]int{firstPrint: 2, secondPrint: 1} {
		if got := strings.Count(log.String(), "signed "+print+" true"); got != want {
			t.Errorf("%d steps signed with %s, want %d", got, print, want)
		}
	}
	if got := strings.Count(log.String(), "removed false"); got != 3 {
		t.Errorf("%d steps could not remove the keys, want 3:\n%s", got, &log)
	}
}

func TestKeyThatIsNoneIsRejectedWithoutBeingTold(t *testing.T) {
	b, _ := sharedBuilder(t)
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	req.SSH = map[string]manifest.Secret{"default": manifest.NewSecret("hunter2-no-key")}
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, `"default" is no private key`)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

func TestLoginOpensPrivateRegistriesAndIsNeverTold(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := imagetest.Registry(t, "hunter2-password")
	b := builder(t, r)
	var log bytes.Buffer
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	req.Log, req.Cache = &log, "max"
	_, err := b.Build(t.Context(), req)
	imagetest.WantRetry(t, err, "does not take it", "401")
	b.Logins = map[string]image.Login{r: {Username: "u", Password: manifest.NewSecret("hunter2-wrong")}}
	_, err = b.Build(t.Context(), req)
	imagetest.WantRetry(t, err, "does not take it", "401")
	told := err.Error()

	// the login is right from now on, in the same buildkitd
	b.Logins = map[string]image.Login{r: {Username: "u", Password: manifest.NewSecret("hunter2-password")}}
	ref := mustBuild(t, b, req)
	got, ok, err := b.Built(t.Context(), req)
	if err != nil || !ok || got != ref {
		t.Errorf("Built says %v %v (error %v), want %v", got, ok, err, ref)
	}
	again := asked(t, map[string]string{"Dockerfile": "FROM " + ref.String() + "\nCOPY g /\n", "g": "g"})
	again.Log = &log
	mustBuild(t, b, again)
	if strings.Contains(told+log.String(), "hunter2") {
		t.Errorf("a password is told: %s\n%s", told, &log)
	}
	if places := holding(t, "hunter2", b.Dir); len(places) > 0 {
		t.Errorf("a password is in %v", places)
	}
}
