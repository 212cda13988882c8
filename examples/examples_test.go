package examples_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// apps are the examples, each with the apps it has and the machines that they run on.
func apps() map[string]map[string]int {
	return map[string]map[string]int{
		"hello":        {"hello": 1},
		"image":        {"whoami": 1},
		"build":        {"greeter-web": 1, "greeter-worker": 1},
		"monorepo":     {"shop-api": 2, "shop-web": 1},
		"environments": {"bookings-api-dev": 1, "bookings-web-dev": 1, "bookings-api-prod": 4, "bookings-web-prod": 4},
		"worker":       {"thumbs": 3},
		"volume":       {"notes": 1},
		"private":      {"ledger": 2},
		"secrets":      {"checkout": 1},
		"release":      {"storefront": 2},
		"schedule":     {"invoices": 2},
		"policy":       {"shop-front": 2, "reports": 1},
		"gitops":       {"acme-site": 1, "acme-hello": 1},
		"database":     {"orders-api": 1, "orders-web": 1},
	}
}

func TestEveryExampleIsDeployedOnce(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		seen++
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			if text, err := os.ReadFile(filepath.Join(f.Name(), "README.md")); err != nil || !strings.Contains(string(text), "flycd ") {
				t.Errorf("its README shows no command: %v", err)
			}
			if f.Name() == "secrets" {
				need(t, "sops")
			}
			deployExample(t, f.Name(), apps()[f.Name()])
		})
	}
	if got, want := seen, len(apps()); got != want {
		t.Errorf("%d examples, want %d", got, want)
	}
}

// deployExample deploys every app of an example twice: created, then unchanged without a write.
func deployExample(t *testing.T, name string, want map[string]int) {
	t.Helper()
	w := deploytest.New(t, flysim.Options{})
	client := w.Source()
	folder, err := deploy.OpenFolder(t.Context(), client, here(t, w, name), manifest.Options{})
	if err != nil || len(folder.Problems) != 0 {
		t.Fatalf("read: %v %v", err, folder.Problems)
	}
	defer func() { _ = folder.Close() }()
	d := &deploy.Deployer{
		Fly: w.Fly(), Source: client, Images: w.Images(), Builder: image.Fact{Registry: w.Registry}, Registry: w.Registry,
		Secrets: values(t, name), DigestKey: manifest.NewSecret("the key of this test"), HTTP: users(t),
	}
	images := map[string]bool{}
	for _, outcome := range []job.Outcome{job.Created, job.Unchanged} {
		w.FlyRequests.Reset()
		for _, e := range folder.Apps {
			j := job.Job{ID: job.SaltedID(job.Deploy, e.App.Name, string(outcome)), Kind: job.Deploy, App: e.App.Name, Config: job.Config{Repo: folder.Path()}}
			res, err := d.Deploy(t.Context(), deploy.Request{Job: j, Folder: folder, Final: true})
			if err != nil || res.Outcome != outcome {
				t.Fatalf("%s is %s, want %s: %s, %v", e.App.Name, res.Outcome, outcome, res.Detail, err)
			}
			images[res.Image] = true
		}
		writes := w.FlyRequests.Matching(func(method, uri string) bool {
			return method != http.MethodGet && uri != "/graphql" // add-ons are looked up there
		})
		if outcome == job.Unchanged && len(writes) != 0 {
			t.Errorf("nothing changed, and yet: %v", writes)
		}
	}
	if name == "build" && len(images) != 1 {
		t.Errorf("its apps share a tree and a repository, and run %v", images)
	}
	got := map[string]int{}
	for _, a := range w.Sim.State().Apps {
		for _, m := range a.Machines {
			if m.State != "destroyed" && m.State != "destroying" {
				got[a.Name]++
			}
		}
	}
	for app, machines := range want {
		if got[app] != machines {
			t.Errorf("%s runs on %d machines, want %d", app, got[app], machines)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the apps are %v, want %v", got, want)
	}
}

// need skips what needs a program that is not installed, unless nothing may be skipped.
func need(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
		t.Fatal(name + " is not installed")
	}
	t.Skip(name + " is not installed")
}

// values finds the values of secrets as the README says: what it exports is the environment.
func values(t *testing.T, name string) secret.Resolver {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(name, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{"PATH=" + os.Getenv("PATH")}
	for _, found := range regexp.MustCompile(`(?m)^export (\w+=)(?:"([^"$]+)"|([\w-]+))`).FindAllSubmatch(text, -1) {
		environ = append(environ, string(found[1])+string(found[2])+string(found[3]))
	}
	r := secret.Environment(environ)
	r.Dir = t.TempDir()
	return r
}

// users asks what verify asks: every address answers as a healthy app does.
func users(t *testing.T) *http.Client {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	t.Cleanup(app.Close)
	return &http.Client{Transport: towards(app.Listener.Addr().String())}
}

// towards is the address that every request goes to.
type towards string

func (to towards) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", string(to)
	return http.DefaultTransport.RoundTrip(r)
}

// here copies an example, with its images in the registry of this test.
func here(t *testing.T, w *deploytest.World, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(name)); err != nil {
		t.Fatal(err)
	}
	where := strings.NewReplacer(`"ghcr.io/acme/*"`, `"`+w.Registry+`/**"`)
	if name == "gitops" {
		files, err := os.ReadDir("hello")
		if err != nil {
			t.Fatal(err)
		}
		hello := repository(t, w, "hello", files)
		where = strings.NewReplacer("https://github.com/acme/hello", hello, `"github.com/acme/*"`, `"`+strings.TrimPrefix(w.GitURL, "http://")+`/*"`, `"docker.io/library/nginx"`, `"`+w.Registry+`/nginx"`)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "greeter")); err == nil {
		where = strings.NewReplacer("https://github.com/acme/greeter", repository(t, w, filepath.Join(dir, "greeter"), files), "registry.fly.io", w.Registry)
	}
	images := regexp.MustCompile(`image: "(?:ghcr\.io/)?([a-z/-]+:[^"]+)"`)
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "app.yaml" && e.Name() != "project.yaml" {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		text = images.ReplaceAllFunc(text, func(found []byte) []byte {
			return []byte(`image: "` + w.Image(string(images.FindSubmatch(found)[1])) + `"`)
		})
		return os.WriteFile(p, []byte(where.Replace(string(text))), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// repository is a Git repository of the files that stand for it in an example.
func repository(t *testing.T, w *deploytest.World, dir string, files []os.DirEntry) string {
	t.Helper()
	tree := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		tree[f.Name()] = string(text)
	}
	r := w.Repo("greeter")
	r.Commit(tree)
	return r.URL
}

// TestTheProgramOfTheBuildIsSound compiles what the build example builds, as its Dockerfile does.
func TestTheProgramOfTheBuildIsSound(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "greeter")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=1.4", "-o", program, ".")
	cmd.Dir = filepath.Join("build", "greeter")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dockerfile, err := os.ReadFile(filepath.Join("build", "greeter", "Dockerfile"))
	if err != nil || !strings.Contains(string(dockerfile), `go build -trimpath -ldflags "-s -w -X main.version=$VERSION"`) {
		t.Errorf("the Dockerfile builds something else: %v", err)
	}
}

// TestThePolicyRefusesWithTheSentenceOfItsREADME breaks one rule, and nobody else's deploy.
func TestThePolicyRefusesWithTheSentenceOfItsREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("policy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("policy")); err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(dir, "teams", "shop", "front", "app.yaml")
	text, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(app, []byte(strings.Replace(string(text), "primary_region: ams", "primary_region: sin", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := manifest.Read(os.DirFS(dir), ".", manifest.Options{Repo: "https://github.com/acme/config"})
	if err == nil || !strings.Contains(string(readme), "\n"+err.Error()+"\n") {
		t.Errorf("the README does not say: %v", err)
	}
	if len(tree.Apps) != 1 || tree.Apps[0].App.Name != "reports" {
		t.Errorf("the others: %+v", tree.Apps)
	}
}
