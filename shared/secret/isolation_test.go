package secret_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// watched is a resolver whose sops writes down how it was started before it becomes the real one.
func watched(t *testing.T, r secret.Resolver) (secret.Resolver, func() string) {
	t.Helper()
	notes := filepath.Join(t.TempDir(), "notes")
	r.Sops = script(t, fmt.Sprintf(`{
echo started; for a in "$@"; do echo "arg $a"; done
env | sed 's/^/env /'
echo "mode $(stat -c '%%a' .) $(ls -A | tr '\n' ' ')"; for f in $(ls -A); do echo "mode $(stat -c '%%a' $f) $f"; done
} >> %s
exec %s "$@"`, notes, need(t, "sops")))
	return r, func() string {
		b, err := os.ReadFile(notes)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestSopsIsStartedOnceForEachFile(t *testing.T) {
	key := newAgeKey(t)
	r, notes := watched(t, key.resolver(t))
	files := map[string][]byte{"a.yaml": key.encrypt(t, "yaml", "A: 1\nB: 2\nC: 3\n"), "b.env": key.encrypt(t, "dotenv", "D=4\nE=5\n")}
	var refs []manifest.SecretRef
	for _, name := range []string{"A", "B", "C"} {
		refs = append(refs, manifest.SecretRef{Name: name, Type: "sops", File: "a.yaml"})
	}
	for _, name := range []string{"D", "E"} {
		refs = append(refs, manifest.SecretRef{Name: name, Type: "sops", File: "b.env"})
	}
	got, err := r.Resolve(t.Context(), app(refs...), files)
	if err != nil || len(got) != 5 {
		t.Fatalf("got %v, %v", got, err)
	}
	if n := strings.Count(notes(), "started\n"); n != 2 {
		t.Errorf("sops was started %d times for two files", n)
	}
}

func TestSopsSeesItsKeysAndNothingElse(t *testing.T) {
	key := newAgeKey(t)
	t.Setenv("FLYCD_TEST_CANARY", canary)
	r := key.resolver(t)
	r.Env = map[string]string{"PATH": os.Getenv("PATH"), "FLY_API_TOKEN": canary, "OTHER": canary}
	r, notes := watched(t, r)
	files := map[string][]byte{canary + ".yaml": key.encrypt(t, "yaml", "A: "+canary+"\n")}
	if _, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "A", Type: "sops", File: canary + ".yaml"}), files); err != nil {
		t.Fatal(err)
	}
	text := notes()
	if strings.Contains(text, canary) {
		t.Errorf("sops was told a value:\n%s", text)
	}
	var names []string
	for line := range strings.Lines(text) {
		if kv, ok := strings.CutPrefix(line, "env "); ok {
			name, _, _ := strings.Cut(kv, "=")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	want := []string{"GNUPGHOME", "HOME", "OLDPWD", "PATH", "PWD", "SHLVL", "SOPS_AGE_KEY", "SOPS_DISABLE_VERSION_CHECK", "SOPS_GPG_EXEC", "SOPS_HC_VAULT_ALLOWLIST", "_"}
	for _, name := range names {
		if !slices.Contains(want, name) {
			t.Errorf("sops sees %s", name)
		}
	}
	if !strings.Contains(text, "mode 700 \n") {
		t.Errorf("its folder is not private and empty:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "arg ") && strings.Contains(line, key.private) {
			t.Errorf("the key is on the command line: %s", line)
		}
	}
	left(t, r.Dir)
}

// A file can name any server that sops should ask for its key, and so make the runner call it.
func TestNoVaultServerIsAsked(t *testing.T) {
	asked := make(chan string, 100)
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(vault.Close)
	key := newAgeKey(t)
	content := []byte(strings.Replace(vaultOnly, "http://127.0.0.1:1", vault.URL, 1))
	if _, err := key.resolver(t).Resolve(t.Context(), app(manifest.SecretRef{Name: "A", Type: "sops", File: "s.json"}), map[string][]byte{"s.json": content}); err == nil {
		t.Error("the file was opened")
	}
	select {
	case what := <-asked:
		t.Errorf("sops asked the server for %s", what)
	default:
	}
}
