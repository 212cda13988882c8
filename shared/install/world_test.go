package install_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/install"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue/queuetest"
	"github.com/gigurra/flycd/shared/source"
)

const (
	org      = "acme"
	app      = "flycd-acme"
	flyToken = "fo1_the-persons-own-token"
	gitToken = "ghp_the-persons-own-token"
	// adminToken is somebody else's, who may do everything on the forge.
	adminToken = "ghp_the-admins-own-token"
)

// world is a Fly, a forge, a registry and a Redis, with nothing of FlyCD in them.
type world struct {
	sim      *flysim.Server
	forge    *forgesim.Server
	flyURL   string
	forgeURL string
	registry string
	redis    string
	images   install.Published
	calls    atomic.Int64
}

// options say what is behind the simulators.
type options struct {
	// real runs the dispatcher's machine as a process; without it an address is said to answer.
	real bool
	// reach are the repositories that the forge's token reaches; nil is all.
	reach []string
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{}
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	reg := httptest.NewServer(registry.New(quiet))
	t.Cleanup(reg.Close)
	w.registry = strings.TrimPrefix(reg.URL, "http://")
	so := flysim.Options{Tokens: []string{flyToken}, Orgs: []string{org, "rival"}, Foreign: []string{"somebody-elses"}}
	if o.real {
		w.redis = queuetest.Embedded(t)
		so.Redis = w.redis
		so.Exec = map[string][]string{w.registry + "/dispatcher": {dispatcherBinary(t)}, w.registry + "/runner": {"true"}}
	}
	w.sim = flysim.New(so)
	t.Cleanup(func() { _ = w.sim.Close() })
	var err error
	if w.flyURL, err = w.sim.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.ListenProxy("127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	var outside http.RoundTripper = answering{}
	if o.real {
		outside = w.sim.Transport(http.DefaultTransport)
	}
	w.forge, err = forgesim.New(forgesim.Options{Tokens: map[string]forgesim.Token{gitToken: {Login: "ann", Repos: o.reach}, adminToken: {Login: "root"}}, HTTP: outside})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.forge.Close() })
	if w.forgeURL, err = w.forge.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"acme/config", "acme/web", "acme/api"} {
		if _, err := w.forge.SetRepo(forgesim.Repo{Repo: repo, Members: map[string]string{"ann": "admin", "root": "admin"}}); err != nil {
			t.Fatal(err)
		}
	}
	w.images = install.Published{Dispatcher: w.image(t, "dispatcher"), Runner: w.image(t, "runner")}
	return w
}

// answering is a dispatcher that answers everything.
type answering struct{}

func (answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// image pushes a new image and gives its reference.
func (w *world) image(t *testing.T, of string) string {
	t.Helper()
	full := w.registry + "/" + of + ":v1"
	ref, err := name.ParseReference(full)
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return full
}

// binary is compiled once for all tests.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	zombies.Wait()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

func dispatcherBinary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "flycd-install-test-"); binary.err != nil { //nolint:usetesting // it outlives the test
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(binary.dir, "dispatcher"), "github.com/gigurra/flycd/cmd/dispatcher").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return filepath.Join(binary.dir, "dispatcher")
}

// installer is one process that installs.
func (w *world) installer(t *testing.T) *install.Installer {
	t.Helper()
	return w.mortal(t, &cutter{next: &http.Transport{}, calls: &w.calls, left: -1})
}

// mortal is one whose requests can end.
func (w *world) mortal(t *testing.T, road http.RoundTripper) *install.Installer {
	t.Helper()
	client, err := fly.New(t.Context(), fly.Options{
		Token: flyToken, BaseURL: w.flyURL, Transport: road, Smoke: -1, Poll: 10 * time.Millisecond, Lag: 100 * time.Millisecond, LeaseWait: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	git := &source.Client{Dir: t.TempDir()}
	return &install.Installer{
		Fly: client, Source: git, Images: w.images, Patience: 5 * time.Second,
		Deployer: &deploy.Deployer{Fly: client, Source: git, Images: image.Registry{}, Registry: w.registry},
		Forge:    &forge.Client{BaseURL: w.forgeURL + "/api/v3/", Token: gitToken, Transport: road},
		HTTP:     &http.Client{Transport: w.sim.Transport(answersOr(w))},
	}
}

// answersOr lets an address that is only simulated answer.
func answersOr(w *world) http.RoundTripper {
	if w.redis == "" {
		return answering{}
	}
	return http.DefaultTransport
}

func (w *world) want() install.Want {
	host := strings.TrimPrefix(w.forgeURL, "http://")
	return install.Want{
		Org: org, Region: "ams", Roots: []job.Config{{Repo: "http://" + host + "/acme/config.git"}},
		Repos: []string{"http://" + host + "/acme/config.git", "http://" + host + "/acme/web.git"},
	}
}

// install plans and applies.
func (w *world) install(t *testing.T, want install.Want) (install.Plan, install.Report) {
	t.Helper()
	in := w.installer(t)
	p, err := in.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	r, err := in.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	w.forge.Wait()
	return p, r
}

// check plans again, and wants nothing to do.
func (w *world) check(t *testing.T, want install.Want) install.Plan {
	t.Helper()
	p, err := w.installer(t).Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if !s.Done && !s.Manual {
			t.Errorf("there is something to do: %s: %s", s.Name, s.Why)
		}
	}
	return p
}

// holdings tells what there is, without ids and values.
func (w *world) holdings(t *testing.T) string {
	t.Helper()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, a := range w.sim.State().Apps {
		add("app %s of %s in %s", a.Name, a.Org, a.Network)
		for _, s := range a.Secrets {
			add("app %s secret %s", a.Name, strings.Replace(s.Name, "SECRET_2", "SECRET", 1)) // one slot is as good as the other
		}
		for _, m := range a.Machines {
			if m.State != "destroyed" {
				add("app %s machine %s schedule=%t current=%t", a.Name, m.Name, strings.Contains(string(m.Config), `"schedule"`), m.SecretsVersion+1 >= a.SecretsVersion) // asking for the version makes another
			}
		}
	}
	for _, a := range w.sim.State().Addons {
		add("add-on %s %s of %s", a.Type, a.Name, a.Org)
	}
	client := w.installer(t).Fly
	tokens, err := client.Tokens(t.Context(), fly.TokenScope{Org: org})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		add("token %s", token.Name)
	}
	for _, r := range w.forge.State().Repos {
		for _, h := range r.Hooks {
			bare, key, _ := strings.Cut(h.URL, "?k=")
			add("hook of %s at %s key=%t %s signed=%t active=%t %v", r.Repo, bare, key != "", h.ContentType, h.Secret, h.Active, h.Events)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// machine gives the environment of the dispatcher's machines.
func (w *world) configs() (all []string) {
	for _, a := range w.sim.State().Apps {
		for _, m := range a.Machines {
			all = append(all, string(m.Config)+fmt.Sprint(m.Metadata))
		}
	}
	return all
}

var errKilled = errors.New("killed")

// zombies are processes that were killed and do not know it yet: none of their requests gets through.
var zombies sync.WaitGroup

// cutter lets a number of requests through and then nothing more, as if the process were killed. The last one takes
// effect, or is never sent. Less than zero is all of them.
type cutter struct {
	next  http.RoundTripper
	calls *atomic.Int64
	after bool
	kill  context.CancelCauseFunc

	mu   sync.Mutex
	left int
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	c.mu.Lock()
	last, dead := c.left == 1, c.left == 1 || c.left == 0
	c.left = max(c.left-1, min(c.left, 0))
	c.mu.Unlock()
	if !dead {
		return c.next.RoundTrip(r)
	}
	if last && c.after {
		if res, err := c.next.RoundTrip(r); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	}
	c.kill(errKilled)
	return nil, errKilled
}

// machine makes an app of the organisation with a machine that says whose it is.
func (w *world) machine(t *testing.T, name, owner string) {
	t.Helper()
	w.machineIn(t, org, name)
	if owner == "flycd_app" {
		w.post(t, "/v1/apps/"+name+"/machines", `{"config":{"image":"registry.fly.io/x:1","metadata":{"flycd_app":"`+name+`"}}}`)
		return
	}
	w.post(t, "/v1/apps/"+name+"/machines", `{"config":{"image":"registry.fly.io/x:1"}}`)
}

func (w *world) machineIn(t *testing.T, org, name string) {
	t.Helper()
	w.post(t, "/v1/apps", `{"app_name":"`+name+`","org_slug":"`+org+`"}`)
}

func (w *world) post(t *testing.T, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.flyURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+flyToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode > 299 {
		t.Fatalf("%s: %s", path, res.Status)
	}
}

func secretsOf(values map[string]string) map[string]manifest.Secret {
	all := map[string]manifest.Secret{}
	for k, v := range values {
		all[k] = manifest.NewSecret(v)
	}
	return all
}
