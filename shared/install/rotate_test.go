package install_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/install"
	"github.com/gigurra/flycd/shared/manifest"
)

// pushed pushes a commit to a repository, and gives how each hook was answered.
func (w *world) pushed(t *testing.T, repo string) (codes []int) {
	t.Helper()
	_, list, err := w.forge.Commit(t.Context(), forgesim.Commit{
		Repo: repo, Branch: "main", Message: "a change", Files: map[string]string{"README": time.Now().String()}, Push: true, Sender: "ann",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		codes = append(codes, d.Code)
	}
	return codes
}

// keys are the keys of the hooks, each once.
func (w *world) keys() (keys []string) {
	for _, r := range w.forge.State().Repos {
		for _, h := range r.Hooks {
			_, key, _ := strings.Cut(h.URL, "?k=")
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestPushIsAcceptedAfterInstallingRotatingAndRepairing(t *testing.T) {
	w := newWorld(t, options{real: true})
	for _, change := range []struct {
		name string
		want func() install.Want
	}{
		{"install", w.want},
		{"rotate webhook", func() install.Want { r := w.want(); r.RotateWebhook = true; return r }},
		{"rotate webhook again", func() install.Want { r := w.want(); r.RotateWebhook = true; return r }},
		{"rotate tokens", func() install.Want { r := w.want(); r.RotateTokens = true; return r }},
		{"hook deleted by hand", func() install.Want { w.breakHook(t, "delete"); return w.want() }},
		{"hook's secret changed by hand", func() install.Want { w.breakHook(t, "secret"); return w.want() }},
		{"hook switched off", func() install.Want { w.breakHook(t, "off"); return w.want() }},
		{"another repository", func() install.Want {
			r := w.want()
			r.Repos = append(r.Repos, strings.Replace(r.Repos[1], "web", "api", 1))
			return r
		}},
	} {
		old := w.keys()
		want := change.want()
		w.install(t, want)
		want.RotateWebhook, want.RotateTokens = false, false
		w.check(t, want)
		for _, repo := range []string{"acme/config", "acme/web"} {
			if codes := w.pushed(t, repo); len(codes) != 1 || codes[0] < 200 || codes[0] > 299 {
				t.Errorf("after %s a push to %s is answered %v", change.name, repo, codes)
			}
		}
		if strings.HasPrefix(change.name, "rotate webhook") && slices.Equal(old, w.keys()) {
			t.Errorf("after %s the hooks have the key that they had", change.name)
		}
		if n := strings.Count(w.holdings(t), "secret FLYCD_WEBHOOK_SECRET"); n != 1 || len(w.keys()) != 1 {
			t.Errorf("after %s there are %d webhook secrets, and hooks have the keys %v", change.name, n, w.keys())
		}
		if n := strings.Count(w.holdings(t), "\ntoken "); n != 2 {
			t.Errorf("after %s there are %d tokens", change.name, n)
		}
	}
}

// breakHook does what a person may do to the config repository's hook.
func (w *world) breakHook(t *testing.T, how string) {
	t.Helper()
	c := &forge.Client{BaseURL: w.forgeURL + "/api/v3/", Token: gitToken}
	repo := w.want().Repos[0]
	hooks, err := c.FindHooks(t.Context(), repo, "")
	if err != nil || len(hooks) != 1 {
		t.Fatalf("hooks: %v, %v", hooks, err)
	}
	switch how {
	case "delete":
		err = c.RemoveHook(t.Context(), repo, hooks[0].ID)
	case "secret":
		_, err = c.EnsureHook(t.Context(), repo, forge.Hook{URL: hooks[0].URL, Secret: "a-persons-secret", Events: hooks[0].Events})
		if codes := w.pushed(t, "acme/config"); len(codes) != 1 || codes[0] != http.StatusUnauthorized {
			t.Errorf("a hook with another secret is answered %v", codes)
		}
	case "off":
		_, err = c.EnsureHook(t.Context(), repo, forge.Hook{URL: hooks[0].URL, Events: []string{"issue_comment"}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRotationKilledAtAnyCallIsFinishedByTheNextRun(t *testing.T) {
	rotated := func(w *world) install.Want {
		r := w.want()
		r.RotateWebhook, r.RotateTokens = true, true
		return r
	}
	whole := newWorld(t, options{})
	whole.install(t, whole.want())
	before := whole.calls.Load()
	want := whole.holdings(t)
	whole.install(t, rotated(whole))
	calls := int(whole.calls.Load() - before)
	each(t, calls, func(t *testing.T, n int, after bool) {
		t.Helper()
		w := newWorld(t, options{})
		w.install(t, w.want())
		w.killedAt(t, n, after, installing(rotated(w)))
		w.install(t, w.want())
		if got := w.holdings(t); got != want {
			t.Errorf("killed and started again, there is\n%s\nwant\n%s", got, want)
		}
		if keys := w.keys(); len(keys) != 1 {
			t.Errorf("hooks sign with %v", keys)
		}
		w.check(t, w.want())
	})
}

func TestRepositoryOutOfReachKeepsItsSecret(t *testing.T) {
	w := newWorld(t, options{real: true, reach: []string{"acme/config"}})
	_, r := w.install(t, w.want())
	if len(r.Manual) != 1 || !strings.Contains(r.Manual[0].Name, "acme/web") || r.WebhookSecret.IsZero() {
		t.Fatalf("to be done by hand: %+v", r.Manual)
	}
	_, address, _ := strings.Cut(r.Manual[0].Command, "payload URL ")
	address, _, _ = strings.Cut(address, ",")
	if !strings.HasPrefix(address, "https://flycd-acme.fly.dev/webhook?k=") || strings.Contains(r.Manual[0].Command, r.WebhookSecret.Reveal()) {
		t.Errorf("what is to be entered: %s", r.Manual[0].Command)
	}
	// the person does as they are told, with a login of their own
	other := newPerson(t, w)
	if _, err := other.EnsureHook(t.Context(), w.want().Repos[1], forge.Hook{URL: address, Secret: r.WebhookSecret.Reveal(), Events: []string{"push"}}); err != nil {
		t.Fatal(err)
	}
	if p := w.check(t, w.want()); p.Empty() == false {
		t.Error("checking finds something to do")
	}
	rotated := w.want()
	rotated.RotateWebhook = true
	w.install(t, rotated)
	w.check(t, w.want())
	for _, repo := range []string{"acme/config", "acme/web"} {
		if codes := w.pushed(t, repo); len(codes) != 1 || codes[0] > 299 {
			t.Errorf("a push to %s is answered %v", repo, codes)
		}
	}
}

// newPerson is somebody whose token reaches all.
func newPerson(t *testing.T, w *world) *forge.Client {
	t.Helper()
	return &forge.Client{BaseURL: w.forgeURL + "/api/v3/", Token: adminToken}
}

func TestTokensAreMadeAnewBeforeTheyEndAndWhenTheyWereRevoked(t *testing.T) {
	w := newWorld(t, options{})
	w.install(t, w.want())
	in := w.installer(t)
	in.Now = func() time.Time { return time.Now().Add(310 * 24 * time.Hour) }
	p, err := in.Plan(t.Context(), w.want())
	if err != nil || p.Empty() {
		t.Fatalf("two months before their end: empty %t, %v", p.Empty(), err)
	}
	tokens, err := in.Fly.Tokens(t.Context(), fly.TokenScope{Org: org})
	if err != nil || len(tokens) != 2 {
		t.Fatalf("tokens: %v, %v", tokens, err)
	}
	if err := in.Fly.RevokeToken(t.Context(), tokens[0]); err != nil {
		t.Fatal(err)
	}
	want := w.holdings(t)
	_, r := w.install(t, w.want())
	if got := w.holdings(t); got == want || strings.Count(got, "\ntoken ") != 2 {
		t.Errorf("after a token was revoked: %v\n%s", r.Done, got)
	}
	w.check(t, w.want())
}

func TestGivenSecretsAreSetWhenTheyChangeAndStayWhenTheyAreNotGiven(t *testing.T) {
	w := newWorld(t, options{})
	given := w.want()
	given.RedisURL = manifest.NewSecret("rediss://queue.example.com:6380")
	given.Dispatcher = secretsOf(map[string]string{"FLYCD_GITHUB_TOKEN": "ghp_one"})
	given.Runner = secretsOf(map[string]string{"SOPS_AGE_KEY": "AGE-SECRET-KEY-1", "FLYCD_GIT_TOKENS": "github.com=ghp_two"})
	w.install(t, given)
	w.check(t, given)
	w.check(t, w.want()) // nothing is given any more, and nothing is forgotten
	if got := w.holdings(t); strings.Contains(got, "add-on") || !strings.Contains(got, "app flycd-acme secret FLYCD_GITHUB_TOKEN") || !strings.Contains(got, "app flycd-acme-runner secret SOPS_AGE_KEY") {
		t.Errorf("there is\n%s", got)
	}
	given.Dispatcher = secretsOf(map[string]string{"FLYCD_GITHUB_TOKEN": "ghp_another"})
	given.Runner = secretsOf(map[string]string{"SOPS_AGE_KEY": "AGE-SECRET-KEY-2"})
	p, _ := w.install(t, given)
	var why []string
	for _, s := range p.Steps {
		if !s.Done {
			why = append(why, s.Why)
		}
	}
	if got := strings.Join(why, "; "); strings.Count(got, "its value is another one") != 2 || strings.Contains(got, "FLYCD_GIT_TOKENS") {
		t.Errorf("other values: %s", got)
	}
	w.check(t, w.want())
	for _, c := range w.configs() {
		for _, secret := range []string{"ghp_", "AGE-SECRET", "queue.example.com"} {
			if strings.Contains(c, secret) {
				t.Errorf("a machine's config tells %s", secret)
			}
		}
	}
}
