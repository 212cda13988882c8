//go:build unix

package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// reader is what a reader of the README has: a Fly and a forge with nothing of FlyCD in them, and a release of it,
// whose dispatcher and runners are processes.
type reader struct {
	t                             *testing.T
	fly                           *flysim.Server
	forge                         *forgesim.Server
	flyURL, forgeURL, host, redis string
}

const (
	readersFlyToken   = "fo1_the-readers-own-token"
	readersForgeToken = "github_pat_the-readers-own-token"
)

func newReader(t *testing.T, programs string) *reader {
	t.Helper()
	r := &reader{t: t, redis: queuetest.Embedded(t)}
	reg := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(reg.Close)
	r.host = strings.TrimPrefix(reg.URL, "http://")
	of := func(program string) []string {
		return []string{"env", "FLY_REGISTRY_HOST=" + r.host, "FLYCD_BUILDER=fact", "FLYCD_SMOKE=40ms", filepath.Join(programs, program)}
	}
	r.fly = flysim.New(flysim.Options{
		Tokens: []string{readersFlyToken}, Orgs: []string{"personal", "acme"}, Redis: r.redis, Path: os.Getenv("PATH"),
		Exec: map[string][]string{r.host + "/flycd/dispatcher": of("dispatcher"), r.host + "/flycd/runner": of("runner")},
	})
	t.Cleanup(func() { _ = r.fly.Close() })
	r.flyURL = listening(t, r.fly.Listen)
	if _, err := r.fly.ListenProxy("127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	var err error
	r.forge, err = forgesim.New(forgesim.Options{
		Tokens: map[string]forgesim.Token{readersForgeToken: {Login: "ann"}}, HTTP: r.fly.Transport(http.DefaultTransport),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.forge.Close() })
	r.forgeURL = listening(t, r.forge.Listen)
	r.image("flycd/dispatcher:v1")
	r.image("flycd/runner:v1")
	return r
}

func listening(t *testing.T, listen func(string) (string, error)) string {
	t.Helper()
	at, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// image pushes a new image and gives its reference.
func (r *reader) image(nameTag string) string {
	r.t.Helper()
	ref, err := name.ParseReference(r.host + "/" + nameTag)
	if err != nil {
		r.t.Fatal(err)
	}
	img, err := random.Image(64, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		r.t.Fatal(err)
	}
	return ref.String()
}

// repo makes a public repository with these files; none make an empty one.
func (r *reader) repo(full string, files map[string]string) {
	r.t.Helper()
	private := false // as credentials go to https alone
	if _, err := r.forge.SetRepo(forgesim.Repo{Repo: full, Private: &private, Members: map[string]string{"ann": "admin"}}); err != nil {
		r.t.Fatal(err)
	}
	if files != nil {
		r.commit(full, files)
	}
}

// commit makes a commit, and pushes it.
func (r *reader) commit(full string, files map[string]string) {
	r.t.Helper()
	if _, _, err := r.forge.Commit(r.t.Context(), forgesim.Commit{Repo: full, Branch: "main", Message: "a commit", Files: files, Push: true, Sender: "ann"}); err != nil {
		r.t.Fatal(err)
	}
}

// env is the environment of a reader's commands: what they would find at Fly and at GitHub is here.
func (r *reader) env() []string {
	return settled(r.t, map[string]string{
		"FLY_API_TOKEN": readersFlyToken, "FLY_FLAPS_BASE_URL": r.flyURL, "FLY_API_BASE_URL": r.flyURL, "FLY_UIEX_BASE_URL": r.flyURL,
		"FLY_REGISTRY_HOST": r.host, "FLYCD_GITHUB_URL": r.forgeURL + "/api/v3/",
		"RELEASE":          fmt.Sprintf("--image %s/flycd/dispatcher:v1 --runner-image %s/flycd/runner:v1", r.host, r.host),
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential." + r.forgeURL + ".helper",
		"GIT_CONFIG_VALUE_0": "!f() { echo username=ann; echo password=" + readersForgeToken + "; }; f",
	})
}

// fill puts the simulated forge and its token in place of GitHub's.
func (r *reader) fill(block string) string {
	if address := "https://flycd-acme.fly.dev"; strings.Contains(block, address) {
		at, err := r.fly.AppURL("flycd-acme")
		if err != nil {
			r.t.Fatal(err)
		}
		block = strings.ReplaceAll(block, address, at)
	}
	return strings.NewReplacer(
		"https://github.com/", r.forgeURL+"/", "github.com/acme=", strings.TrimPrefix(r.forgeURL, "http://")+"/acme=",
		"github.com/$ME=", strings.TrimPrefix(r.forgeURL, "http://")+"/$ME=", "github_pat_…", readersForgeToken,
		"redis://default:…@localhost:16379", r.redis,
	).Replace(block)
}

// until waits for what FlyCD does by itself.
func (r *reader) until(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: it does not come to that; %s", what, r.story())
		}
	}
}

// story tells a person who has to mend the test what happened.
func (r *reader) story() string {
	q, err := queue.Open(r.redis, "")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = q.Close() }()
	var b strings.Builder
	list, err := q.Jobs(r.t.Context(), queue.Filter{})
	for _, j := range list {
		fmt.Fprintf(&b, "\n%s %s %s %s", j.Job.Kind, j.Job.Subject(), j.State, j.Detail)
	}
	for _, a := range r.fly.State().Apps {
		for _, m := range a.Machines {
			fmt.Fprintf(&b, "\n%s %s %s\n\t%s", a.Name, m.ID, m.State, strings.Join(m.Output, "\n\t"))
		}
	}
	for _, has := range r.forge.State().Repos {
		for _, s := range has.Statuses {
			fmt.Fprintf(&b, "\n%s %s %s %s %s", has.Repo, s.SHA, s.Context, s.State, s.Description)
		}
	}
	return fmt.Sprint(b.String(), err)
}

// machines is how many an app has.
func (r *reader) machines(app string) (n int) {
	for _, a := range r.fly.State().Apps {
		for _, m := range a.Machines {
			if a.Name == app && m.State == "started" {
				n++
			}
		}
	}
	return n
}

// programsOfFlyCD are the dispatcher and the runner, compiled.
func programsOfFlyCD(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{"dispatcher", "runner"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace", "-o", filepath.Join(dir, program), "github.com/gigurra/flycd/cmd/"+program)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the %s: %v\n%s", program, err, out)
		}
	}
	return dir
}
