package forgesim_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

func TestPushReachesTheHooksThatWantIt(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	first := repoWith(t, s, "acme/web", map[string]string{"app/a": "1", "b": "1"})
	c, l := clientOf(t, base, admin), listen(t)
	h, _, err := c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL+"/webhook", "s3cret", "push"))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.GetConfig().GetSecret(); got != "********" {
		t.Errorf("the secret is shown as %q", got)
	}
	s.Wait()
	if got := l.all("ping"); len(got) != 1 {
		t.Fatalf("%d pings, want 1", len(got))
	}
	change, done, err := s.Commit(t.Context(), forgesim.Commit{Repo: "acme/web", Message: "second\n\nmore", Files: map[string]string{"app/a": "2", "c": "1", "b": ""}, Push: true, Sender: "eve"})
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 1 || done[0].Code != http.StatusAccepted || done[0].Answer != "thanks" {
		t.Errorf("deliveries = %+v", done)
	}
	got := l.all("push")
	if len(got) != 1 {
		t.Fatalf("%d pushes, want 1", len(got))
	}
	if err := github.ValidateSignature(got[0].signature, got[0].body, []byte("s3cret")); err != nil {
		t.Error(err)
	}
	parsed, err := github.ParseWebHook("push", got[0].body)
	if err != nil {
		t.Fatal(err)
	}
	p := parsed.(*github.PushEvent)
	if p.GetRef() != "refs/heads/main" || p.GetBefore() != first || p.GetAfter() != change.After || p.GetSender().GetLogin() != "eve" ||
		p.GetRepo().GetCloneURL() != base+"/acme/web.git" || p.GetCreated() || p.GetForced() || p.GetRepo().GetPushedAt().IsZero() {
		t.Errorf("push = %s", got[0].body)
	}
	head := p.GetHeadCommit()
	if len(p.Commits) != 1 || head.GetMessage() != "second\n\nmore" || strings.Join(head.Added, head.Modified[0]) != "c" || head.Modified[0] != "app/a" || head.Removed[0] != "b" {
		t.Errorf("head commit = %+v", head)
	}
	list, err := s.Push(t.Context(), forgesim.Pushed{Repo: "acme/web"})
	if err != nil || len(list) != 0 {
		t.Errorf("a push of nothing told %v, %v", list, err)
	}
}

func TestRefsAreToldAsTheyMove(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	first := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	c, l := clientOf(t, base, admin), listen(t)
	if _, _, err := c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "x", "push")); err != nil {
		t.Fatal(err)
	}
	push := func() *github.PushEvent {
		t.Helper()
		before := len(l.all("push"))
		if _, err := s.Push(t.Context(), forgesim.Pushed{Repo: "acme/web"}); err != nil {
			t.Fatal(err)
		}
		got := l.all("push")
		if len(got) != before+1 {
			t.Fatalf("%d pushes, want one more than %d", len(got), before)
		}
		parsed, err := github.ParseWebHook("push", got[before].body)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.(*github.PushEvent)
	}
	commit := func(branch, text string) string {
		t.Helper()
		change, _, err := s.Commit(t.Context(), forgesim.Commit{Repo: "acme/web", Branch: branch, Files: map[string]string{"a": text}})
		if err != nil {
			t.Fatal(err)
		}
		return change.After
	}
	side := commit("side", "2")
	if p := push(); !p.GetCreated() || p.GetRef() != "refs/heads/side" || p.GetAfter() != side || len(p.Commits) != 1 {
		t.Errorf("new branch: %+v", p)
	}
	if err := s.SetRef("acme/web", "refs/heads/side", first); err != nil {
		t.Fatal(err)
	}
	if p := push(); !p.GetForced() || p.GetBefore() != side || p.GetAfter() != first {
		t.Errorf("force push: %+v", p)
	}
	if err := s.SetRef("acme/web", "refs/heads/side", ""); err != nil {
		t.Fatal(err)
	}
	if p := push(); !p.GetDeleted() || strings.Trim(p.GetAfter(), "0") != "" || p.HeadCommit != nil {
		t.Errorf("deleted branch: %+v", p)
	}
	if err := s.SetRef("acme/web", "refs/tags/v1", first); err != nil {
		t.Fatal(err)
	}
	if p := push(); p.GetRef() != "refs/tags/v1" || !p.GetCreated() {
		t.Errorf("tag: %+v", p)
	}
	for _, tag := range []string{"a", "b", "c", "d"} {
		if err := s.SetRef("acme/web", "refs/tags/"+tag, first); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Push(t.Context(), forgesim.Pushed{Repo: "acme/web"}); err != nil || len(list) != 0 {
		t.Errorf("four tags at once told %v, %v: GitHub tells of three at most", list, err)
	}
}

func TestHooksAreEditedAsGitHubDoes(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	c, l := clientOf(t, base, admin), listen(t)
	h, _, err := c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "one", "push"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "two", "push"))
	refused(t, err, http.StatusUnprocessableEntity, "already exists")
	_, _, err = c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt("no url", "two", "push"))
	refused(t, err, http.StatusUnprocessableEntity, "malformed")

	// an edit of the events leaves the secret, one of the config without it drops it
	if _, _, err = c.Repositories.EditHook(t.Context(), "acme", "web", h.GetID(), &github.Hook{Events: []string{"push", "pull_request"}}); err != nil {
		t.Fatal(err)
	}
	if !s.State().Repo("acme/web").Hooks[0].Secret {
		t.Error("the secret is gone after an edit of the events")
	}
	if _, _, err = c.Repositories.EditHookConfiguration(t.Context(), "acme", "web", h.GetID(), &github.HookConfig{ContentType: github.String("form")}); err != nil {
		t.Fatal(err)
	}
	if got := s.State().Repo("acme/web").Hooks[0]; !got.Secret || got.ContentType != "form" || got.URL != l.URL {
		t.Errorf("hook = %+v", got)
	}
	edited, _, err := c.Repositories.EditHook(t.Context(), "acme", "web", h.GetID(), &github.Hook{Config: &github.HookConfig{URL: &l.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if s.State().Repo("acme/web").Hooks[0].Secret || edited.GetConfig().Secret != nil {
		t.Error("the secret is still there after an edit of the config without one")
	}
	list, _, err := c.Repositories.ListHooks(t.Context(), "acme", "web", nil)
	if err != nil || len(list) != 1 || len(list[0].Events) != 2 {
		t.Errorf("hooks = %v, %v", list, err)
	}
	if _, err := c.Repositories.DeleteHook(t.Context(), "acme", "web", h.GetID()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Repositories.PingHook(t.Context(), "acme", "web", h.GetID())
	refused(t, err, http.StatusNotFound, "Not Found")
}

func TestDeliveriesAreKeptAndSentAgain(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	c, l := clientOf(t, base, admin), listen(t)
	l.answers(http.StatusUnauthorized)
	h, _, err := c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "one", "push"))
	if err != nil {
		t.Fatal(err)
	}
	s.Wait()
	seen, _, err := c.Repositories.GetHook(t.Context(), "acme", "web", h.GetID())
	if err != nil || seen.LastResponse["code"] != float64(http.StatusUnauthorized) {
		t.Fatalf("last response = %v, %v", seen.LastResponse, err)
	}
	list, _, err := c.Repositories.ListHookDeliveries(t.Context(), "acme", "web", h.GetID(), nil)
	if err != nil || len(list) != 1 || list[0].GetStatusCode() != http.StatusUnauthorized {
		t.Fatalf("deliveries = %v, %v", list, err)
	}
	full, _, err := c.Repositories.GetHookDelivery(t.Context(), "acme", "web", h.GetID(), list[0].GetID())
	if err != nil {
		t.Fatal(err)
	}
	event, err := full.ParseRequestPayload()
	if _, is := event.(*github.PingEvent); !is || err != nil {
		t.Errorf("payload = %T, %v", event, err)
	}
	l.answers(http.StatusOK)
	if _, _, err := c.Repositories.RedeliverHookDelivery(t.Context(), "acme", "web", h.GetID(), list[0].GetID()); err != nil && !strings.Contains(err.Error(), "job scheduled") {
		t.Fatal(err)
	}
	s.Wait()
	got := l.all("ping")
	if len(got) != 2 || got[0].guid != got[1].guid || string(got[0].body) != string(got[1].body) {
		t.Errorf("sent again: %d deliveries, of %s and %s", len(got), got[0].guid, got[len(got)-1].guid)
	}
	page, resp, err := c.Repositories.ListHookDeliveries(t.Context(), "acme", "web", h.GetID(), &github.ListCursorOptions{PerPage: 1})
	if err != nil || len(page) != 1 || !page[0].GetRedelivery() || resp.Cursor == "" {
		t.Fatalf("first page = %v, cursor %q, %v", page, resp.Cursor, err)
	}
	page, resp, err = c.Repositories.ListHookDeliveries(t.Context(), "acme", "web", h.GetID(), &github.ListCursorOptions{PerPage: 1, Cursor: resp.Cursor})
	if err != nil || len(page) != 1 || page[0].GetRedelivery() || resp.Cursor != "" {
		t.Errorf("second page = %v, cursor %q, %v", page, resp.Cursor, err)
	}
}
