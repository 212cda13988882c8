package forge_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
)

// receiver answers as a dispatcher does: 401 where the secret is another one than s1.
func receiver(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("s1"))
		mac.Write(body)
		if r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/webhook"
}

// Broken when: setting webhooks up again makes a second one, or a mended one loses its secret.
func TestThereIsOneHookForAnAddress(t *testing.T) {
	w := newWorld(t)
	c, ctx := w.client(botToken), t.Context()
	hook := forge.Hook{URL: receiver(t), Secret: "s1", Events: []string{"push", "pull_request"}}
	one := func(change string, want forge.Hook) forge.HookState {
		t.Helper()
		s, err := c.EnsureHook(ctx, w.repo, want)
		must(t, err)
		have := w.state(t).Hooks
		if s.Change != change || len(have) != 1 || !s.Right(want) || !have[0].Secret {
			t.Errorf("it is %+v, the forge holds %+v", s, have)
		}
		return s
	}
	first := one("created", hook)
	one("", forge.Hook{URL: hook.URL, Events: hook.Events})
	one("mended", hook)
	more := forge.Hook{URL: hook.URL, Events: []string{"push", "issue_comment", "pull_request"}}
	if s := one("mended", more); s.ID != first.ID {
		t.Errorf("it is hook %d, was %d", s.ID, first.ID)
	}
	// what somebody broke
	admin := w.client(botToken)
	must(t, edit(t, w, first.ID, `{"active":false,"config":{"url":"`+hook.URL+`","content_type":"form","insecure_ssl":"1","secret":"s1"}}`))
	if list, err := admin.FindHooks(ctx, w.repo, hook.URL); err != nil || len(list) != 1 || list[0].Right(more) {
		t.Errorf("the broken hook is seen as %+v, %v", list, err)
	}
	one("mended", more)
	// the secret is still the first one
	if d, err := c.PingHook(ctx, w.repo, first.ID); err != nil || d.Status != http.StatusOK {
		t.Errorf("the ping was answered %+v, %v", d, err)
	}
	if _, err := c.EnsureHook(ctx, w.repo, forge.Hook{URL: hook.URL + "/elsewhere"}); !errors.Is(err, job.ErrRejected) {
		t.Errorf("a new hook without a secret: %v", err)
	}
	must(t, c.RemoveHook(ctx, w.repo, first.ID))
	must(t, c.RemoveHook(ctx, w.repo, first.ID))
	if have := w.state(t).Hooks; len(have) != 0 {
		t.Errorf("the forge holds %+v", have)
	}
}

func edit(t *testing.T, w *world, id int64, body string) error {
	t.Helper()
	return raw(t, w, http.MethodPatch, "/repos/acme/web/hooks/"+itoa(id), body)
}

// Broken when: a spelling of the same address is taken for another hook, and both deliver.
func TestSecondHookOfAnAddressIsDeleted(t *testing.T) {
	w := newWorld(t)
	address := receiver(t)
	for _, spelled := range []string{address, address + "/"} {
		must(t, raw(t, w, http.MethodPost, "/repos/acme/web/hooks", `{"events":["push"],"active":true,"config":{"url":"`+spelled+`","content_type":"json","secret":"s1"}}`))
	}
	s, err := w.client(botToken).EnsureHook(t.Context(), w.repo, forge.Hook{URL: address, Secret: "s2"})
	must(t, err)
	if have := w.state(t).Hooks; len(have) != 1 || have[0].ID != s.ID {
		t.Errorf("the forge holds %+v, ours is %+v", have, s)
	}
}

// Broken when: a request whose answer was lost is taken for one that did nothing.
func TestLostAnswerMakesNoSecondHook(t *testing.T) {
	w := newWorld(t)
	hook := forge.Hook{URL: receiver(t), Secret: "s1"}
	for name, do := range map[string]forgesim.Effect{
		"dropped after":  {Drop: "after"},
		"dropped before": {Drop: "before"},
		"502 after":      {Status: http.StatusBadGateway, After: true},
		"500":            {Status: http.StatusInternalServerError},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch} {
			w.fault(t, forgesim.Fault{Match: forgesim.Match{Method: method, Path: "*/hooks*"}, Do: do})
			s, err := w.client(botToken).EnsureHook(t.Context(), w.repo, hook)
			if have := w.state(t).Hooks; err != nil || len(have) != 1 || !s.Right(hook) {
				t.Errorf("%s %s: %v, the forge holds %+v", method, name, err, have)
			}
			w.fault(t)
			if method == http.MethodPost {
				must(t, w.client(botToken).RemoveHook(t.Context(), w.repo, s.ID))
			}
		}
	}
}

// Broken when: nobody can tell that the other side knows another secret.
func TestPingTellsWhetherTheSecretIsKnown(t *testing.T) {
	w := newWorld(t)
	c := w.client(botToken)
	address := receiver(t)
	for secret, want := range map[string]int{"s1": http.StatusOK, "s2": http.StatusUnauthorized} {
		s, err := c.EnsureHook(t.Context(), w.repo, forge.Hook{URL: address, Secret: secret})
		must(t, err)
		d, err := c.PingHook(t.Context(), w.repo, s.ID)
		must(t, err)
		if d.Status != want || d.Event != "ping" || d.GUID == "" {
			t.Errorf("secret %s: %+v, want %d", secret, d, want)
		}
	}
}

// Broken when: a refusal says neither what is missing nor what to do, or repeats the token.
func TestRefusalIsToldWithoutTheToken(t *testing.T) {
	w := newWorld(t)
	for token, want := range map[string]int{weakToken: http.StatusForbidden, strangToken: http.StatusUnauthorized} {
		_, err := w.client(token).EnsureHook(t.Context(), w.repo, forge.Hook{URL: "https://x.example/", Secret: "hunter2"})
		noSecret(t, err, "hunter2", "x.example")
		var f *forge.Failure
		if !errors.Is(err, forge.ErrDenied) || !errors.As(err, &f) || f.Status != want {
			t.Errorf("it is %v", err)
		}
	}
	_, err := w.client(botToken).FindHooks(t.Context(), w.base+"/acme/none.git", "")
	if noSecret(t, err); !errors.Is(err, forge.ErrDenied) {
		t.Errorf("a repository that is not there: %v", err)
	}
	if _, err := (&forge.Client{}).FindHooks(t.Context(), "https://github.com/a/b", ""); !errors.Is(err, forge.ErrDenied) {
		t.Errorf("without credentials: %v", err)
	}
}

// Broken when: a repository of another host is asked for at this one.
func TestOnlyRepositoriesOfTheForgeAreItsOwn(t *testing.T) {
	public, own := &forge.Client{}, &forge.Client{BaseURL: "https://git.acme.example:8443/api/v3/"}
	for repo, want := range map[string][2]bool{
		"https://github.com/Acme/Web.git":             {true, false},
		"git@github.com:acme/web":                     {true, false},
		"ssh://git@git.acme.example:2222/acme/web":    {false, true},
		"https://git.acme.example/acme/web":           {false, true},
		"https://github.com/acme":                     {false, false},
		"https://github.com/acme/web/tree":            {false, false},
		"https://github.com/acme/..%2f..":             {false, false},
		"https://github.com/../user":                  {false, false},
		"https://github.com.evil.example/acme/web":    {false, false},
		"https://evil.example/github.com/acme/web":    {false, false},
		"https://github.com@evil.example/acme/web":    {false, false},
		"/srv/git/acme/web":                           {false, false},
		"https://github.com/acme/we?b":                {true, false},
		"":                                            {false, false},
		"https://github.com/acme/web%20x":             {false, false},
		"https://github.com/acme/web\n/../../user/x ": {false, false},
	} {
		if got := [2]bool{public.Known(repo), own.Known(repo)}; got != want {
			t.Errorf("%q: %v, want %v", repo, got, want)
		}
	}
}
