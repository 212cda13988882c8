package forge_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
)

// The tokens of the simulated forge.
const (
	botToken    = "ghp_botbotbotbotbot"
	weakToken   = "ghp_weakweakweakweak"
	strangToken = "ghp_nobodynobody"
)

// world is a simulated forge with one repository and one commit.
type world struct {
	sim                *forgesim.Server
	base, repo, commit string
	key                *rsa.PrivateKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	sim, err := forgesim.New(forgesim.Options{
		Tokens: map[string]forgesim.Token{
			botToken:  {Login: "bot"},
			weakToken: {Login: "weak", Permissions: map[string]string{"contents": "read"}},
		},
		Apps: []forgesim.App{{
			ID: 7, Slug: "flycd-acme", PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
			Permissions: map[string]string{
				"contents": "read", "metadata": "read", "statuses": "write", "deployments": "write", "pull_requests": "write", "repository_hooks": "write",
			},
			Installations: []forgesim.Installation{
				{ID: 70, Account: "acme"},
				{ID: 71, Account: "narrow", Permissions: map[string]string{"metadata": "read", "statuses": "write"}},
				{ID: 72, Account: "asleep", Suspended: true},
			},
		}},
		Orgs: []string{"acme"},
	})
	must(t, err)
	t.Cleanup(func() { _ = sim.Close() })
	w := &world{sim: sim, key: key}
	w.base, err = sim.Listen("127.0.0.1:0")
	must(t, err)
	w.repo, w.commit = w.newRepo(t, "acme/web")
	return w
}

// newRepo makes a repository with a commit.
func (w *world) newRepo(t *testing.T, name string) (url, commit string) {
	t.Helper()
	url, err := w.sim.SetRepo(forgesim.Repo{Repo: name})
	must(t, err)
	c, _, err := w.sim.Commit(t.Context(), forgesim.Commit{Repo: name, Branch: "main", Message: "one", Files: map[string]string{"a": "1"}})
	must(t, err)
	return url, c.After
}

func (w *world) client(token string) *forge.Client {
	return &forge.Client{BaseURL: w.base + "/api/v3", Token: token}
}

func (w *world) app() *forge.Client {
	return &forge.Client{BaseURL: w.base, App: &forge.App{ID: "7", Key: w.key}}
}

// state is what the forge holds of the repository.
func (w *world) state(t *testing.T) forgesim.RepoState {
	t.Helper()
	for _, r := range w.sim.State().Repos {
		if r.Repo == "acme/web" {
			return r
		}
	}
	t.Fatal("the forge knows no acme/web")
	return forgesim.RepoState{}
}

func (w *world) fault(t *testing.T, list ...forgesim.Fault) {
	t.Helper()
	must(t, w.sim.SetFaults(list...))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noSecret checks that an error tells nothing that it must not.
func noSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	if err == nil {
		t.Error("want an error")
		return
	}
	for _, s := range append(secrets, botToken, weakToken, strangToken) {
		if strings.Contains(err.Error(), s) {
			t.Errorf("%q tells %q", err, s)
		}
	}
}
